"""Labels, tags, features and phones as tokens."""

import numpy as np
import pytest

from charlm import tokenizers
from charlm.errors import ConfigError
from charlm.tokenizers import ByteTokenizer, CharacterTokenizer, SymbolTokenizer

CLASSES = SymbolTokenizer(CharacterTokenizer("abc"), features=(), symbols=("yes", "no"))
PHONES = SymbolTokenizer(
    CharacterTokenizer("dhno"),
    features=(),
    symbols=("n", "t", "ɔ", "ɦ", " n", " t", " ɔ", " ɦ"),
    separator=" ",
)
FEATURES = SymbolTokenizer(
    CharacterTokenizer("degil"), features=(";PST", ";SG", "\x1fV"), symbols=()
)


def pieces(tokenizer, text):
    return [tokenizer.pieces[token] for token in tokenizer.encode(text)]


def test_a_label_is_one_token_behind_a_tab_alone():
    assert pieces(CLASSES, "ab\tno\n") == ["a", "b", 9, "no", 10]
    assert pieces(CLASSES, "no") == [ord("n"), ord("o")]


def test_a_label_out_of_vocabulary_is_bytes():
    assert pieces(CLASSES, "a\tnot") == ["a", 9, *b"not"]


def test_classes_end_the_vocabulary():
    assert CLASSES.first_symbol == 259
    assert CLASSES.vocab_size == 261
    assert CharacterTokenizer("abc").first_symbol == 259


def test_symbols_of_a_target_stand_between_separators():
    assert pieces(PHONES, "hond\tɦ ɔ n t") == ["h", "o", "n", "d", 9, "ɦ", " ɔ", " n", " t"]


def test_an_unknown_symbol_is_read_by_the_base():
    assert pieces(PHONES, "h\tn x t") == ["h", 9, "n", *b" x", " t"]


def test_features_are_tokens_behind_the_mark():
    assert pieces(FEATURES, "gel\x1fV;PST\tgeldi") == [
        "g", "e", "l", "\x1fV", ";PST", 9, "g", "e", "l", "d", "i",
    ]  # fmt: skip
    assert pieces(FEATURES, "gel\x1fV;FUT") == ["g", "e", "l", "\x1fV", *b";FUT"]


@pytest.mark.parametrize("tokenizer", [CLASSES, PHONES, FEATURES], ids=["classes", "phones", "fs"])
def test_nothing_is_lost(tokenizer):
    parts = ["a", "\t", "\n", " ", "no", "yes", "ɦ", "n", "\x1f", ";", "PST", "V", "é", "\ud800"]
    generator = np.random.default_rng(0)
    texts = ["".join(generator.choice(parts, 12)) for _ in range(300)]

    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == texts


@pytest.mark.parametrize("tokenizer", [CLASSES, PHONES, FEATURES], ids=["classes", "phones", "fs"])
def test_a_file_gives_the_same_tokenizer(tokenizer):
    again = tokenizers.from_json(tokenizer.to_json())

    assert again.pieces == tokenizer.pieces
    assert again.separator == tokenizer.separator
    assert pieces(again, "hond\tɦ ɔ") == pieces(tokenizer, "hond\tɦ ɔ")


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": ["yes", "yes"]},
        {"symbols": [""]},
        {"symbols": [1]},
        {"separator": ""},
        {"separator": 3},
        {"base": {"base": {"kind": "byte"}, "features": [], "symbols": [], "separator": None}},
        {"more": 1},
    ],
)
def test_a_damaged_description_is_an_error(changes):
    with pytest.raises(ConfigError, match="the tokenizer is"):
        tokenizers.from_json({**CLASSES.to_json(), **changes})


def test_the_vocabulary_names_its_parts():
    assert CLASSES.vocabulary == "3 characters and 256 bytes, 2 classes"
    assert PHONES.vocabulary == "4 characters and 256 bytes, 4 symbols"
    assert FEATURES.vocabulary == "5 characters and 256 bytes, 3 features"
    assert SymbolTokenizer(ByteTokenizer(), features=(), symbols=("a", "b")).kind == "byte"
