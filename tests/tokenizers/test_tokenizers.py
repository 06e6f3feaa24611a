"""Every tokenizer is lossless; the ids of the simple ones are known by hand."""

import random
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm import tokenizers
from charlm.errors import ConfigError
from charlm.tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    StreamDecoder,
    WordTokenizer,
    pre_tokenization,
)

# Every code point, lone surrogates included.
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
EVERY_SCALAR_VALUE = "".join(
    chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000
)

NASTY = {
    "nothing": "",
    "carriage returns": "one\r\ntwo\rthree\n",
    "white space": "  a\t\tb   c \u00a0\u2003 ",
    "runs of spaces": "if x:\n        return    y   \n\n\n" + " " * 50,
    "no final newline": "the end",
    "a NUL": "a\0b",
    "byte order marks": "\ufeffa\ufeff",
    "a no-break space": "10\u00a0000",
    "ligatures and full width": "ﬁne Ａ",
    "SentencePiece's space": "▁a▁ ▁▁ the▁fox",
    "SentencePiece's unknown": "▅a▅ the ▅",
    "SentencePiece's pieces": "<unk><s></s><0x41><0xE5>",
    "replacement characters": "a\ufffdb \ufffd",
    "a family of emoji": "👨‍👩‍👧‍👦!",
    "combining marks": "e\u0301 é हिन्दी",
    "right to left": "שלום עולם",
    "Chinese beyond the first plane": "𠀀客栈",
    "Thai, which has no spaces": "สวัสดีชาวโลก",
    "lone surrogates": "\ud800 \udfff \udc00\ud800",
    "the last code point": "\U0010ffff",
    "one long word": "fox" * 30_000,
    "one long line of one character": "山" * 30_000,
    "apostrophes without end": "'a" * 5_000,
}

PROSE = (
    "The quick brown fox, said the dog, didn't jump over the dog.\n\nThe fox did.\t\tIt did!\n" * 9
)
CHINESE = "山脚下有一家客栈，客栈里有一个老人。老人说：客栈是山的。𠀀 𠀀\n" * 9

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


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_nasty_texts_survive_the_round_trip(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_scalar_value_survives_the_round_trip(tokenizer):
    assert tokenizer.decode(tokenizer.encode(EVERY_SCALAR_VALUE)) == EVERY_SCALAR_VALUE


def test_every_scalar_value_survives_among_letters(tokenizer):
    shuffled = list(EVERY_SCALAR_VALUE[::97])
    random.Random(0).shuffle(shuffled)
    text = " fox".join(shuffled) + "老人".join(shuffled)

    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=ANY_TEXT)
def test_every_text_survives_the_round_trip(text):
    for tokenizer in TOKENIZERS.values():
        assert tokenizer.decode(tokenizer.encode(text)) == text


PATTERNS = {"word": WordTokenizer.pattern, "subword": TOKENIZERS["bpe of nothing"].pattern}


@given(texts=st.lists(st.one_of(ANY_TEXT, st.sampled_from([PROSE[:70], CHINESE[:30], " ", "\n"]))))
def test_splitting_in_chunks_is_splitting_at_once(texts):
    for pattern in PATTERNS.values():
        stretches = [each for chunk in pre_tokenization.split(pattern, texts) for each in chunk]

        assert stretches == pattern.findall("".join(texts))


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_where_nasty_texts_are_cut_does_not_show(pattern, text):
    for size in (1, 7, 1000):
        if len(text) / size > 5000:
            continue
        cut = [text[start : start + size] for start in range(0, len(text), size)]
        stretches = [each for chunk in pre_tokenization.split(pattern, cut) for each in chunk]

        assert stretches == pattern.findall(text)
        assert "".join(stretches) == text


@given(text=st.text())
def test_a_stream_decoder_gives_the_same_text_piece_by_piece(text):
    for tokenizer in TOKENIZERS.values():
        decoder = StreamDecoder(tokenizer)
        pieces = [decoder.push(token) for token in tokenizer.encode(text)]

        assert "".join(pieces) + decoder.finish() == text


@given(ids=st.lists(st.integers(0, 255 + 10)))
def test_any_ids_decode_to_valid_unicode(ids):
    decoder = StreamDecoder(TOKENIZERS["char of ASCII"])
    text = "".join(decoder.push(token) for token in ids) + decoder.finish()

    assert text.encode().decode() == text


@given(text=ANY_TEXT)
def test_ids_lie_below_the_vocabulary_size(text):
    for tokenizer in TOKENIZERS.values():
        ids = tokenizer.encode(text)

        assert ids.dtype == tokenizer.id_dtype
        assert (ids < tokenizer.vocab_size).all()


def test_a_tokenizer_comes_back_from_its_json(tokenizer):
    again = tokenizers.from_json(tokenizer.to_json(), tokenizer.binary)

    assert type(again) is type(tokenizer)
    assert again.pieces == tokenizer.pieces
    assert again.encode(PROSE).tolist() == tokenizer.encode(PROSE).tolist()


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_learning_twice_gives_the_same_bytes(kind):
    one, other = (tokenizers.train(kind, [PROSE, CHINESE], vocab_size=99) for _ in range(2))

    assert (one.to_json(), one.binary) == (other.to_json(), other.binary)


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram"])
def test_a_vocabulary_has_the_size_that_was_asked_for_or_what_the_text_fills(kind):
    asked = tokenizers.train(kind, [PROSE], vocab_size=15)
    filled = tokenizers.train(kind, [PROSE], vocab_size=5000)

    assert 10 <= asked.vocab_size - 256 <= 15
    assert 15 < filled.vocab_size - 256 < 500


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram"])
def test_reserved_characters_stand_in_no_piece(kind):
    learnt = tokenizers.train(kind, [PROSE], vocab_size=300, reserved="\n\t")
    ids = learnt.encode("The fox\tdid.\n").tolist()

    assert not any(set(piece) & set("\n\t") for piece in learnt.pieces if isinstance(piece, str))
    assert ids.count(ord("\t")) == ids.count(ord("\n")) == 1
    assert ids[-1] == ord("\n")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_line_of_any_length_is_learnt_from_to_its_end(kind):
    """By itself, SentencePiece skips lines of more than 4,192 bytes."""
    line = "ferry " * 5_000 + "tide " * 5_000
    learnt = tokenizers.train(kind, [line], vocab_size=30)

    assert {"ferry", "tide"} <= {str(piece).strip() for piece in learnt.pieces}
    assert len(learnt.encode(line)) <= 20_000  # two tokens a word, at most


def test_sentencepiece_keeps_its_log_to_itself(capfd):
    tokenizers.train("unigram", [PROSE], vocab_size=5000)

    assert capfd.readouterr() == ("", "")


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
def test_a_lying_json_is_refused(value):
    with pytest.raises(ConfigError):
        tokenizers.from_json(value)


def test_a_model_that_sentencepiece_cannot_read_is_refused():
    import hashlib

    model = b"no protocol buffer"
    value = {"kind": "bpe", "white_space": [], "model_sha256": hashlib.sha256(model).hexdigest()}
    with pytest.raises(ConfigError, match="no SentencePiece model"):
        tokenizers.from_json(value, model)


def test_bytes_that_belong_to_no_tokenizer_are_refused():
    with pytest.raises(ConfigError):
        tokenizers.from_json({"kind": "byte"}, b"more")


def test_known_characters_have_ids_after_the_bytes_in_code_point_order():
    tokenizer = CharacterTokenizer.train(["béa", "abé"])

    assert tokenizer.characters == "abé"
    assert tokenizer.encode("éba").tolist() == [258, 257, 256]


def test_a_character_that_occurs_once_is_spelled():
    tokenizer = CharacterTokenizer.train(["abc", "cab", "d"])

    assert tokenizer.characters == "abc"
    assert tokenizer.encode("d").tolist() == [ord("d")]


def test_an_unknown_character_is_spelled_in_utf8():
    tokenizer = CharacterTokenizer("a")

    assert tokenizer.encode("a€a").tolist() == [256, 0xE2, 0x82, 0xAC, 256]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("This is", ["This", " is"]),
        ("don't, said I.", ["don't", ",", " said", " I", "."]),
        ('say "no" (now)', ["say", ' "', "no", '"', " (", "now", ")"]),
        ("a  b\n\n  c\r\n", ["a", " ", " b", "\n\n", " ", " c", "\r", "\n"]),
        ("x_1 = 0x3f", ["x_1", " =", " 0x3f"]),
        ("客栈, 山", ["客", "栈", ",", " 山"]),
        ("हिन्दी में", ["हिन्दी", " में"]),
        ("naïve café", ["naïve", " café"]),
    ],
)
def test_words_are_split_as_a_reader_would(text, words):
    assert WordTokenizer.pattern.findall(text) == words


def test_the_most_frequent_words_that_recur_are_tokens():
    tokenizer = WordTokenizer.train(["b b", " b a", " c c c d"], 2)  # in chunks: "b", " b" …

    assert tokenizer.words == [" c", " b"]
    assert tokenizer.encode(" c d").tolist() == [256, *b" d"]


def test_words_are_counted_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(pre_tokenization, "MOST_COUNTED", 50)
    rare = (f" rare{number}" for number in range(1000))
    chunks = [" often" * 20 + next(rare) + " also" * 9 for _ in range(1000)]
    counts = pre_tokenization.count_pre_tokens(WordTokenizer.pattern, chunks)

    assert len(counts) <= 50
    assert counts[" often"] == 20_000
    assert counts[" also"] == 9_000


def test_ids_of_many_different_stretches_are_forgotten_and_found_again(monkeypatch):
    monkeypatch.setattr(pre_tokenization, "MOST_CACHED", 10)
    tokenizer = WordTokenizer(["a"])
    text = " ".join(f"word{number}" for number in range(100))

    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer._ids_of) <= 10


def test_frequent_pieces_are_subwords():
    tokenizer = tokenizers.train(
        "bpe", ["low lower lowest slow slower slowest\n" * 5], vocab_size=20
    )

    assert {" slow", "lowe", " slowe"} & set(tokenizer.pieces)
    assert len(tokenizer.encode(" slowest")) <= 3


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram"])
def test_characters_that_no_piece_holds_are_unlisted(kind):
    tokenizer = tokenizers.train(kind, [PROSE], vocab_size=300)

    assert tokenizer.out_of_vocabulary("The fox, é 客!") == "é客"
    assert ByteTokenizer().out_of_vocabulary("é客") == ""


def test_the_boundary_is_no_token():
    tokenizer = CharacterTokenizer("ab")

    assert (tokenizer.vocab_size, tokenizer.boundary_id) == (258, 258)


@pytest.mark.parametrize(
    ("vocabulary", "dtype"), [(0, np.uint16), (65_279, np.uint16), (65_280, np.uint32)]
)
def test_ids_take_the_smallest_unsigned_type_that_holds_the_boundary(vocabulary, dtype):
    characters = "".join(map(chr, range(0x20000, 0x20000 + vocabulary)))

    assert CharacterTokenizer(characters).id_dtype == dtype
