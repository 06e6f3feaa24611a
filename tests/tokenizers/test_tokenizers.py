"""Every tokenizer is lossless; the character tokenizer's ids are known by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm import tokenizers
from charlm.errors import ConfigError
from charlm.tokenizers import ByteTokenizer, CharacterTokenizer, StreamDecoder

# Every code point, lone surrogates included.
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))

NASTY = {
    "nothing": "",
    "carriage returns": "one\r\ntwo\rthree\n",
    "white space": "  a\t\tb   c \u00a0\u2003 ",
    "no final newline": "the end",
    "a NUL": "a\0b",
    "byte order marks": "\ufeffa\ufeff",
    "ligatures and full width": "ﬁne Ａ",
    "SentencePiece's own marks": "▁a▅b",
    "a family of emoji": "👨‍👩‍👧‍👦!",
    "combining marks": "e\u0301 é",
    "right to left": "שלום עולם",
    "Chinese beyond the first plane": "𠀀客栈",
    "lone surrogates": "\ud800 \udfff \udc00\ud800",
    "the last code point": "\U0010ffff",
}

TOKENIZERS = {
    "byte": ByteTokenizer(),
    "char of ASCII": CharacterTokenizer.learn(["the quick brown fox"] * 2),
    "char of Chinese": CharacterTokenizer.learn(["山脚客栈", "𠀀 "] * 2),
    "char of nothing": CharacterTokenizer(""),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_nasty_texts_survive_the_round_trip(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=ANY_TEXT)
def test_every_text_survives_the_round_trip(text):
    for tokenizer in TOKENIZERS.values():
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=ANY_TEXT, more=ANY_TEXT)
def test_encoding_in_chunks_is_encoding_at_once(text, more):
    for tokenizer in TOKENIZERS.values():
        chunks = [*tokenizer.encode(text), *tokenizer.encode(more)]

        assert chunks == tokenizer.encode(text + more).tolist()


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
    again = tokenizers.from_json(tokenizer.to_json())

    assert type(again) is type(tokenizer)
    assert again.pieces == tokenizer.pieces


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
        {"kind": "os.system"},
    ],
)
def test_a_lying_json_is_refused(value):
    with pytest.raises(ConfigError):
        tokenizers.from_json(value)


def test_known_characters_have_ids_after_the_bytes_in_code_point_order():
    tokenizer = CharacterTokenizer.learn(["béa", "abé"])

    assert tokenizer.characters == "abé"
    assert tokenizer.encode("éba").tolist() == [258, 257, 256]


def test_a_character_that_occurs_once_is_spelled():
    tokenizer = CharacterTokenizer.learn(["abc", "cab", "d"])

    assert tokenizer.characters == "abc"
    assert tokenizer.encode("d").tolist() == [ord("d")]


def test_an_unknown_character_is_spelled_in_utf8():
    tokenizer = CharacterTokenizer("a")

    assert tokenizer.encode("a€a").tolist() == [256, 0xE2, 0x82, 0xAC, 256]


def test_the_start_is_no_token():
    tokenizer = CharacterTokenizer("ab")

    assert (tokenizer.vocab_size, tokenizer.start_id) == (258, 258)


@pytest.mark.parametrize(
    ("vocabulary", "dtype"), [(0, np.uint8), (1, np.uint16), (70_000, np.uint32)]
)
def test_ids_take_the_smallest_unsigned_type(vocabulary, dtype):
    characters = "".join(map(chr, range(0x20000, 0x20000 + vocabulary)))

    assert CharacterTokenizer(characters).id_dtype == dtype
