"""A fingerprint finds every entry, and hardly any other text."""

import numpy as np
import pytest

from charlm import fingerprint
from charlm.errors import ConfigError
from charlm.fingerprint import (
    LARGEST_FILTER,
    MOST_FINGERPRINTS,
    Fingerprint,
    share_in_training_texts,
    union,
)


def words(count, seed):
    generator = np.random.default_rng(seed)
    return ["".join(map(chr, row)) for row in generator.integers(97, 123, (count, 12))]


def test_every_line_is_found_and_hardly_any_other():
    entries, others = words(5_000, 0), words(5_000, 1)
    fingerprint = Fingerprint.of_lines([entries[:7], entries[7:]], len(entries))

    assert all(map(fingerprint.holds, entries))
    assert sum(map(fingerprint.holds, others)) <= 1  # one in a million
    assert fingerprint.false_positives == pytest.approx(1e-6, rel=0.3)
    assert len(fingerprint.bits) == pytest.approx(3.6 * 5_000, rel=0.01)


def test_a_filter_has_a_largest_size(monkeypatch):
    monkeypatch.setattr("charlm.fingerprint.LARGEST_FILTER", 1_000)
    entries = words(2_000, 0)
    fingerprint = Fingerprint.of_lines([entries], len(entries))

    assert all(map(fingerprint.holds, entries))
    assert len(fingerprint.bits) == 1_000
    rate = sum(map(fingerprint.holds, words(2_000, 1))) / 2_000
    assert rate == pytest.approx(fingerprint.false_positives, abs=0.03)
    assert 0.1 < rate < 0.2  # 0.6185 to the power of 4 bits an entry is 0.146


@pytest.mark.parametrize("chunk", [1, 5, 40, 10_000])
def test_long_pieces_of_the_text_are_found_wherever_they_begin(chunk):
    text = "".join(words(60, 0))
    chunks = [text[start : start + chunk] for start in range(0, len(text), chunk)]
    fingerprint = Fingerprint.of_texts([chunks], len(text))

    assert fingerprint.always_found == 47
    for start in range(len(text) - 47):
        assert fingerprint.holds("X" + text[start : start + 47] + "Y")
    assert not fingerprint.holds(text[:31]) and fingerprint.holds(text[:32])
    assert not fingerprint.holds("".join(words(60, 1)))


def test_texts_do_not_run_into_one_another():
    first, second = "".join(words(5, 0)), "".join(words(5, 1))
    fingerprint = Fingerprint.of_texts([[first], [second]], len(first + second))

    assert fingerprint.holds(first) and fingerprint.holds(second)
    assert not fingerprint.holds(first[-16:] + second[:16])


def test_in_a_long_text_shingles_are_farther_apart():
    assert Fingerprint.of_texts([["a" * 100]], 50_000_000).always_found == 32 + 50 - 1


def test_what_is_written_is_read_again():
    entries = words(50, 0)
    fingerprint = Fingerprint.of_lines([entries], len(entries))
    again = Fingerprint.from_json(fingerprint.to_json(), fingerprint.bits)

    assert all(map(again.holds, entries)) and not again.holds("x")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "words"}, {"hashes": 0}, {"hashes": 1 << 40}, {"stride": 0}, {"entries": "many"},
        {"more": 1}, {"entries": True}, {"stride": 1 << 54}, {"kind": "passages", "stride": 15},
    ],
)  # fmt: skip
def test_a_malformed_fingerprint_is_an_error(change):
    good = Fingerprint.of_lines([["a"]], 1)
    with pytest.raises(ConfigError, match="fingerprint"):
        Fingerprint.from_json({**good.to_json(), **change}, good.bits)
    for bits in (np.empty(0, np.uint8), np.zeros(LARGEST_FILTER + 1, np.uint8)):
        with pytest.raises(ConfigError, match="fingerprint"):
            Fingerprint.from_json(good.to_json(), bits)


def test_an_empty_or_short_text_has_a_fingerprint():
    assert not Fingerprint.of_lines([], 0).holds("")
    assert not Fingerprint.of_texts([["short"]], 5).holds("short")


def test_the_union_is_empty_if_a_text_is_unknown():
    first, second = (Fingerprint.of_lines([[name]], 1) for name in ("Anna", "Bob"))
    again = Fingerprint.of_lines([["Anna"]], 1)

    assert union([first], [second]) == (first, second)
    assert union([first], [again]) == (first,)
    assert union([], [first]) == union([first], []) == ()
    assert len(union(MOST_FINGERPRINTS * [first], [again])) == MOST_FINGERPRINTS
    assert union(MOST_FINGERPRINTS * [first], [second]) == ()


def test_the_share_in_the_training_text_is_of_lines_or_of_shingles():
    lines = Fingerprint.of_lines([["Anna", "Bob"]], 2)
    assert lines.share_in_training_text("Anna\r\nEve\n\nBob\nZoe") == 0.5
    assert lines.share_in_training_text("") == 0.0

    text = "".join(chr(0x4E00 + number) for number in range(4000))
    other = "".join(chr(0x3400 + number) for number in range(4000))
    shingles = Fingerprint.of_texts([[text]], len(text))
    assert (
        shingles.share_in_training_text(text)
        == shingles.share_in_training_text(text[100:180])
        == 1.0
    )
    assert (
        shingles.share_in_training_text(other) == shingles.share_in_training_text(text[:20]) == 0.0
    )
    assert shingles.share_in_training_text(text + other) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("kind", ["lines", "passages"])
def test_many_filters_look_at_smaller_samples(monkeypatch, kind):
    """The work of a question is bounded, however many filters a file holds."""
    hashed = []
    original = fingerprint._hash64
    monkeypatch.setattr(
        fingerprint, "_hash64", lambda texts: (hashed.append(len(texts)), original(texts))[1]
    )
    text = "".join(words(9000, 3)) + "\nline" * 30_000
    filters = [
        Fingerprint(kind, 1, stride, 64, np.full(10, 0xFF, np.uint8))
        for stride in [16, 1 << 50] * 128
    ]

    assert share_in_training_texts(filters, text) == 1
    assert sum(hashed) < 256 * 800
    assert share_in_training_texts([], text) == 0
