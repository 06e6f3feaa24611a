"""Constraints hold for every text, whatever the model predicts."""

import numpy as np
import pytest

from charlm.config import GenerationConfig
from charlm.inference.constraints import MOST_NGRAMS, LogitsProcessors, TokenHistory
from charlm.tokenizers import ByteTokenizer, CharacterTokenizer, WordTokenizer

pytestmark = pytest.mark.repetitive

EVEN = dict.fromkeys("abcd \n", 1 / 8) | {0xC3: 1 / 8, 0xA9: 1 / 16, 0xFF: 1 / 16}


@pytest.mark.parametrize("seed", range(5))
def test_only_allowed_characters_are_generated(unigram_model, seed):
    model = unigram_model(EVEN)
    text = model.generate(length=300, allow_chars="abéx", temperature=1, rng_seed=seed)

    assert len(text) == 300
    assert set(text) == set("abé")  # x is allowed, but hardly likely


def test_what_is_spelled_in_bytes_is_allowed_and_forbidden_as_a_character(unigram_model):
    model = unigram_model({0xC3: 0.5, 0xA9: 0.25, 0xA8: 0.25})  # é and è
    how = {"length": 60, "temperature": 1, "rng_seed": 1}

    assert set(model.generate(allow_chars="é", **how)) == {"é"}
    assert set(model.generate(forbid_chars="é", **how)) == {"è"}
    assert set(model.generate(forbid_chars="x", **how)) == {"é", "è"}  # never half of one
    assert "\ufffd" in model.generate(**how)


def test_a_whole_block_of_characters_may_be_forbidden(unigram_model):
    """All that begin with byte C3 are, so it is not said; of those with CE only α is left."""
    model = unigram_model({0xC3: 0.4, 0xA9: 0.2, 0xCE: 0.2, 0xB1: 0.1, "a": 0.1})
    greek = "".join(map(chr, range(0x380, 0x3C0))).replace("α", "")
    forbidden = "".join(map(chr, range(0xC0, 0x100))) + greek
    text = model.generate(length=80, forbid_chars=forbidden, temperature=1, rng_seed=0)

    assert set(text) == set("aα")


def test_every_character_but_a_few_may_be_forbidden(unigram_model):
    model = unigram_model(EVEN)
    forbidden = "".join(chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000)
    text = model.generate(length=80, forbid_chars=forbidden, temperature=1, rng_seed=0)

    assert set(text) == set("abcd \n")


def test_forbidden_characters_are_not_generated(unigram_model):
    text = unigram_model(EVEN).generate(length=300, forbid_chars="a\n", temperature=1, rng_seed=1)

    assert set(text) == set("bcd é")


@pytest.mark.parametrize("width", [1, 2, 7])
def test_no_line_is_wider(unigram_model, width):
    model = unigram_model({"a": 0.9, "\n": 0.05, 0xC3: 0.03, 0xA9: 0.02})
    text = model.generate("aaaaaaaa\n", length=400, max_width=width, temperature=1, rng_seed=1)

    assert len(text) == 400
    assert max(map(len, text.split("\n"))) == width


def test_the_width_counts_the_line_of_the_seed(unigram_model):
    model = unigram_model({"a": 0.999, "\n": 0.001})

    assert model.generate("xx\nbbb", length=6, max_width=5, temperature=0) == "aa\naaa"


def test_items_end_where_no_more_fits(unigram_model):
    model = unigram_model({"a": 0.999, None: 0.001}, task="lines")

    assert model.generate("b", max_width=4, temperature=0) == "aaa"


def test_a_seed_may_be_wider(unigram_model):
    model = unigram_model({"a": 0.999, "\n": 0.001})

    assert model.generate("x" * 9, length=4, max_width=3, temperature=0) == "\naaa"


def test_what_is_left_is_penalised_by_its_share_of_what_is_left(unigram_model):
    model = unigram_model({"a": 0.01, "b": 0.01, "c": 0.98})
    how = {"allow_chars": "ab", "repetition_penalty": 2, "temperature": 1, "length": 1}
    found = [text.text for text in model.generate_many(["a"] * 3000, rng_seed=0, **how)]

    # Of 1/2 and 1/2 the first is squared: 1/4 to 1/2.
    assert found.count("a") / 3000 == pytest.approx(1 / 3, abs=0.03)


def test_a_text_ends_where_no_token_is_allowed(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.5})
    [text] = model.generate_many(allow_chars="ab", max_width=3, rng_seed=1)

    assert (len(text.text), text.finish_reason) == (3, "dead end")


def test_words_keep_the_rules_as_wholes():
    tokenizer = WordTokenizer([" the", " cat", "\n", "x"])
    rules = LogitsProcessors(
        GenerationConfig(forbid_chars="h", max_width=3), tokenizer, tokenizer.vocab_size
    )
    logits = np.zeros(tokenizer.vocab_size)
    rules.apply(logits, TokenHistory(GenerationConfig()))
    allowed = {tokenizer.pieces[token] for token in np.flatnonzero(np.isfinite(logits))}

    assert {"\n", "x", ord("y"), ord(" ")} <= allowed
    assert not {" the", " cat", ord("h"), 0x80, 0xC0, 0xFF} & allowed  # " cat" has four


def test_the_repetition_penalty_raises_probabilities_to_a_power():
    tokenizer = CharacterTokenizer("abc")
    config = GenerationConfig(repetition_penalty=2, repetition_window=2)
    said = TokenHistory(config)
    for token in (258, 257, 256, 256):  # c and b are too long ago
        said.push(token, tokenizer.pieces[token])
    logits = np.full(259, -np.inf)
    logits[256:] = np.log([0.5, 0.25, 0.25]) + 7
    LogitsProcessors(config, tokenizer, 259).apply(logits, said)

    assert np.exp(logits[256:]) == pytest.approx([0.25, 0.25, 0.25])


@pytest.mark.parametrize(("size", "length"), [(1, 5), (2, 30), (3, 60)])
def test_no_ngram_is_generated_twice(unigram_model, size, length):
    model = unigram_model(dict.fromkeys("abcdef", 1 / 6))
    how = {"length": length, "temperature": 1, "rng_seed": 2}
    text = "c" + model.generate("c", no_repeat_ngram=size, **how)
    ngrams = [text[place : place + size] for place in range(len(text) - size + 1)]
    free = "c" + model.generate("c", **how)

    assert len(set(ngrams)) == len(ngrams) == length + 2 - size
    assert len({free[place : place + size] for place in range(len(free) - size + 1)}) < len(ngrams)


def test_ngrams_of_long_ago_are_forgotten():
    config = GenerationConfig(no_repeat_ngram=2)
    said, pieces = TokenHistory(config), ByteTokenizer().pieces
    for token in [1, 2] + [3] * (MOST_NGRAMS - 2):
        said.push(token, pieces[token])
    said.push(1, pieces[1])

    assert said.repeating() == [2]
    for token in (3, 3, 1):
        said.push(token, pieces[token])
    assert said.repeating() == [3]


def test_extreme_penalties_end_in_text(unigram_model):
    model = unigram_model(EVEN)
    for penalty in (1e-3, 1e30, 1e308):
        text = model.generate(length=20, repetition_penalty=penalty, rng_seed=1)

        assert len(text) == 20


def test_an_extreme_penalty_of_extreme_logits_stays_finite(unigram_model):
    """Weights may be as large as a million, so logits may be as small as −1e12."""
    config = GenerationConfig(repetition_penalty=1e30)
    tokenizer = unigram_model(EVEN).tokenizer
    history = TokenHistory(config)
    history.push(256, "a")
    logits = np.full(tokenizer.vocab_size, 1e12, np.float32)
    logits[256] = -1e12
    with np.errstate(over="raise", invalid="raise"):
        LogitsProcessors(config, tokenizer, len(logits)).apply(logits, history)

    assert logits[256] == np.finfo(np.float32).min
    assert np.isfinite(logits).all()
