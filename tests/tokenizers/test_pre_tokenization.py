"""A text of any size is split into pre-tokens, wherever its chunks are cut."""

import re
from functools import cache

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from sample_texts import ANY_TEXT, CHINESE, HARD, PROSE

from charlm import tokenizers
from charlm.tokenizers import WordTokenizer, pre_tokenization
from charlm.tokenizers.pre_tokenization import byte_fallback, count_pre_tokens, split
from charlm.tokenizers.subword import SubwordTokenizer

PATTERNS = {"word": WordTokenizer.pattern, "subword": SubwordTokenizer.pattern}


def pre_tokens_of(pattern, chunks):
    return [pre_token for pre_tokens in split(pattern, chunks) for pre_token in pre_tokens]


@given(texts=st.lists(st.one_of(ANY_TEXT, st.sampled_from([PROSE[:70], CHINESE[:30], " ", "\n"]))))
def test_chunks_are_split_like_the_whole_text(texts):
    for pattern in PATTERNS.values():
        assert pre_tokens_of(pattern, texts) == pattern.findall("".join(texts))


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_hard_texts_are_split_alike_wherever_they_are_cut(pattern):
    for name, text in HARD.items():
        for size in (1, 7, 1000):
            if len(text) / size > 5000:
                continue
            chunks = [text[start : start + size] for start in range(0, len(text), size)]
            pre_tokens = pre_tokens_of(pattern, chunks)

            assert pre_tokens == pattern.findall(text), name
            assert "".join(pre_tokens) == text, name


def test_pre_tokens_are_counted_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(pre_tokenization, "MOST_COUNTED", 50)
    rare = (f" rare{number}" for number in range(1000))
    chunks = [" often" * 20 + next(rare) + " also" * 9 for _ in range(1000)]
    counts = count_pre_tokens(WordTokenizer.pattern, chunks)

    assert len(counts) <= 50
    assert counts[" often"] == 20_000
    assert counts[" also"] == 9_000


def test_the_cache_of_ids_is_bounded(monkeypatch):
    monkeypatch.setattr(pre_tokenization, "MOST_CACHED", 10)
    tokenizer = WordTokenizer(["a"])
    text = " ".join(f"word{number}" for number in range(100))

    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer._ids_of) <= 10


def test_the_ids_of_byte_fallback_are_the_bytes():
    assert byte_fallback("né\ud800") == (110, 195, 169, 0xED, 0xA0, 0x80)


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram"])
@given(text=st.one_of(ANY_TEXT, st.text("abcrow 客\n", max_size=12)))
def test_an_unfinished_text_is_the_text_and_its_next_tokens_begin_with_the_rest(kind, text):
    tokenizer = tokenizer_of(kind)
    unfinished = tokenizer.encode_unfinished(text)

    assert tokenizer.decode(unfinished.ids) + unfinished.typed == text
    pieces = [tokenizer.pieces[token] for token in unfinished.next_tokens]
    assert all(piece.startswith(unfinished.typed) for piece in pieces)
    assert bool(pieces) == bool(unfinished.typed)
    if not unfinished.typed:
        assert unfinished.ids.tolist() == tokenizer.encode(text).tolist()


@cache
def tokenizer_of(kind):
    return tokenizers.train(kind, [PROSE * 3, CHINESE * 2, "row crow\n\n\ncrown crows\n" * 9])


def test_scripts_without_spaces_are_those_of_unicode():
    unspaced = regex.compile(
        r"[\p{L}\p{M}&&[\p{Line_Break=SA}\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Tangut}"
        r"\p{Nushu}\p{Khitan_Small_Script}]]",
        flags=regex.VERSION1,
    )
    characters = [c for c in map(chr, range(0x110000)) if unspaced.match(c)]
    table = re.compile(f"[{pre_tokenization.UNSPACED}{pre_tokenization.MARKS}]")

    assert [hex(ord(c)) for c in characters if not table.match(c)] == []
    assert len(characters) > 100_000
