"""What holds for every tokenizer: no loss, ids below the vocabulary size, the same from a file."""

import hashlib
import random
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_texts import ANY_TEXT, CHINESE, HARD, PROSE

from charlm import tokenizers
from charlm.errors import ConfigError
from charlm.tokenizers import ByteTokenizer, CharacterTokenizer, StreamDecoder, WordTokenizer
from charlm.tokenizers.base import lengths

pytestmark = pytest.mark.repetitive

EVERY_SCALAR_VALUE = "".join(
    chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000
)
TOKENIZERS = {
    "byte": ByteTokenizer(),
    "char of ASCII": CharacterTokenizer.train(["the quick brown fox"] * 2),
    "char of Chinese": CharacterTokenizer.train(["山脚客栈", "𠀀 "] * 2),
    "char of nothing": CharacterTokenizer(""),
    "word of nothing": WordTokenizer([]),
    "bpe of nothing": tokenizers.train("bpe", ["\n"], vocab_size=9),
} | {
    f"{kind} of {name}": tokenizers.train(kind, [text], vocab_size=60)
    for kind in ("word", "bpe", "unigram")
    for name, text in {"English": PROSE, "Chinese": CHINESE}.items()
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


def test_hard_texts_survive_the_round_trip(tokenizer):
    for name, text in HARD.items():
        assert tokenizer.decode(tokenizer.encode(text)) == text, name


@pytest.mark.parametrize(
    "name", ["byte", "char of Chinese", "word of English", "bpe of Chinese", "unigram of English"]
)
def test_every_scalar_value_survives_the_round_trip(name):
    """Alone, and among letters."""
    tokenizer = TOKENIZERS[name]
    shuffled = list(EVERY_SCALAR_VALUE[::97])
    random.Random(0).shuffle(shuffled)
    for text in (EVERY_SCALAR_VALUE, " fox".join(shuffled), "老人".join(shuffled)):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=ANY_TEXT)
def test_every_text_survives_the_round_trip_in_ids_below_the_vocabulary_size(text):
    for tokenizer in TOKENIZERS.values():
        ids = tokenizer.encode(text)

        assert tokenizer.decode(ids) == text
        assert ids.dtype == tokenizer.id_dtype
        assert (ids < tokenizer.vocab_size).all()


@given(text=st.text())
def test_a_stream_decoder_gives_the_same_text_token_by_token(text):
    for tokenizer in TOKENIZERS.values():
        decoder = StreamDecoder(tokenizer)
        pieces = [decoder.push(token) for token in tokenizer.encode(text)]

        assert "".join(pieces) + decoder.finish() == text


@given(ids=st.lists(st.integers(0, 255 + 10)))
def test_any_ids_decode_to_valid_unicode(ids):
    tokenizer = TOKENIZERS["char of ASCII"]
    decoder = StreamDecoder(tokenizer)
    text = "".join(decoder.push(token) for token in ids) + decoder.finish()

    assert text.encode().decode() == text
    assert isinstance(tokenizer.decode(ids), str)


def test_bytes_that_are_not_utf8_decode_to_replacement_characters():
    assert ByteTokenizer().decode([0x61, 0xFF, 0x62]) == "a\ufffdb"


def test_a_tokenizer_comes_back_from_its_json(tokenizer):
    again = tokenizers.from_json(tokenizer.to_json(), tokenizer.binary)

    assert type(again) is type(tokenizer)
    assert again.pieces == tokenizer.pieces
    assert again.vocabulary == tokenizer.vocabulary
    assert again.encode(PROSE).tolist() == tokenizer.encode(PROSE).tolist()


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_training_twice_gives_the_same_bytes(kind):
    one, other = (tokenizers.train(kind, [PROSE, CHINESE], vocab_size=99) for _ in range(2))

    assert (one.to_json(), one.binary) == (other.to_json(), other.binary)


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram"])
def test_a_vocabulary_has_the_given_size_or_as_many_tokens_as_the_text_fills(kind):
    small = tokenizers.train(kind, [PROSE], vocab_size=15)
    large = tokenizers.train(kind, [PROSE], vocab_size=5000)

    assert 10 <= small.vocab_size - 256 <= 15
    assert 15 < large.vocab_size - 256 < 500


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram"])
def test_reserved_characters_are_in_no_piece(kind):
    tokenizer = tokenizers.train(kind, [PROSE], vocab_size=300, reserved="\n\t")
    ids = tokenizer.encode("The fox\tdid.\n").tolist()

    texts = [piece for piece in tokenizer.pieces if isinstance(piece, str)]
    assert not any(set(text) & set("\n\t") for text in texts)
    assert ids.count(ord("\t")) == ids.count(ord("\n")) == 1
    assert ids[-1] == ord("\n")


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram"])
def test_characters_that_are_in_no_piece_are_out_of_vocabulary(kind):
    tokenizer = tokenizers.train(kind, [PROSE], vocab_size=300)

    assert tokenizer.out_of_vocabulary("The fox, é 客 é!") == "é客"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"kind": "char"},
        {"kind": "char", "characters": 3},
        {"kind": "char", "characters": "ba"},
        {"kind": "char", "characters": "aa"},
        {"kind": "char", "characters": "ab", "path": "/etc/passwd"},
        {"kind": "byte", "size": 1 << 40},
        {"kind": "word"},
        {"kind": "word", "words": "the"},
        {"kind": "word", "words": ["the", 3]},
        {"kind": "word", "words": ["the", "the"]},
        {"kind": "word", "words": [""]},
        {"kind": "bpe", "white_space": []},
        {"kind": "bpe", "white_space": [], "model_sha256": "0" * 64},
        {"kind": ["bpe"], "white_space": []},
        {"kind": "os.system"},
    ],
)
def test_a_false_json_is_an_error(value):
    with pytest.raises(ConfigError):
        tokenizers.from_json(value)


def test_a_model_that_sentencepiece_cannot_read_is_an_error():
    model = b"no protocol buffer"
    value = {"kind": "bpe", "white_space": [], "model_sha256": hashlib.sha256(model).hexdigest()}
    with pytest.raises(ConfigError, match="not a SentencePiece model"):
        tokenizers.from_json(value, model)


def test_bytes_without_a_use_are_an_error():
    with pytest.raises(ConfigError):
        tokenizers.from_json({"kind": "byte"}, b"more")


def test_the_boundary_is_not_in_the_vocabulary():
    tokenizer = CharacterTokenizer("ab")

    assert (tokenizer.vocab_size, tokenizer.boundary_id) == (258, 258)


@pytest.mark.parametrize(
    ("vocabulary", "dtype"), [(0, np.uint16), (65_279, np.uint16), (65_280, np.uint32)]
)
def test_ids_take_the_smallest_unsigned_type_that_holds_the_boundary(vocabulary, dtype):
    characters = "".join(map(chr, range(0x20000, 0x20000 + vocabulary)))

    assert CharacterTokenizer(characters).id_dtype == dtype


def test_the_characters_that_begin_in_the_tokens_of_a_text_add_up_to_its_length():
    for text in (PROSE, CHINESE, "é€𠀀"):
        for tokenizer in TOKENIZERS.values():
            characters, continues = lengths(tokenizer)
            ids = tokenizer.encode(text)

            assert characters[ids].sum() == len(text)
            assert not continues[ids[0]]
