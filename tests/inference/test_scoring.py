"""The score of a text is known beforehand, and does not depend on how it is computed."""

import math
from itertools import pairwise

import numpy as np
import pytest

from charlm.corpus.windows import Windows
from charlm.inference.model import Model
from charlm.inference.scoring import Score, index_of_best, nats_of_ids, score_windows

VERSE_LINE = "where did the dog go? the dog went home.\n"


@pytest.fixture
def uniform(random_checkpoint):
    """A model for which every one of its 256 + 8 tokens is as likely as any other."""
    return Model(random_checkpoint(scale=0.0))


@pytest.fixture
def verse(verse_checkpoint):
    return Model(verse_checkpoint)


def test_a_uniform_model_is_as_perplexed_as_its_vocabulary_is_large(uniform):
    score = uniform.score("abcab")

    assert score.perplexity == pytest.approx(264, rel=1e-6)
    assert score.nats == pytest.approx(5 * math.log(264), rel=1e-6)  # the first is predicted, too
    assert score.bits_per_character == pytest.approx(math.log2(264), rel=1e-6)


def test_characters_and_bytes_are_those_of_the_raw_text(uniform):
    score = uniform.score("a客")

    assert (score.tokens, score.characters, score.bytes) == (4, 2, 4)
    assert score.bits_per_character == pytest.approx(math.log2(264) * 4 / 2, rel=1e-6)
    assert score.bits_per_byte == pytest.approx(math.log2(264), rel=1e-6)


def test_scores_add_up():
    one = Score(nats=2.0, tokens=3, characters=4, bytes=5)

    assert one + Score() == one
    assert one + one == Score(nats=4.0, tokens=6, characters=8, bytes=10)


def test_an_empty_text_has_no_information(uniform):
    assert uniform.score("") == Score()


def test_an_absurd_score_has_an_infinite_perplexity_and_no_error():
    assert Score(nats=1e6, tokens=1, characters=1, bytes=1).perplexity == math.inf


def test_the_score_is_the_sum_over_the_steps(verse):
    """Scoring many segments at once is reading one token after another."""
    text = VERSE_LINE * 3
    ids = [verse.tokenizer.boundary_id, *verse.tokenizer.encode("\n" + text)]
    state, parts = verse.runtime().zero_state(1), []
    for token, following in pairwise(ids):
        features, state = verse.runtime().step(np.array([token]), state)
        logits = verse.runtime().logits(features)[0].astype(np.float64)
        parts.append(np.log(np.exp(logits).sum()) - logits[following])
    nats = sum(parts[1:])  # the line end before the text is not scored

    assert verse.score(text).nats == pytest.approx(nats, rel=1e-5)


def test_learnt_text_is_cheaper_than_its_reverse(verse):
    assert verse.score(VERSE_LINE).bits_per_character < 0.5
    assert verse.score(VERSE_LINE[::-1]).bits_per_character > 5


def test_no_cold_start_runs_away(verse, verse_path):
    """Wherever a text is entered from nothing, the model finds its feet.

    Trained without restarts, some networks never do: they score tens of nats to the end.
    """
    text = verse_path.read_text(encoding="utf-8")
    windows = [text[start : start + 96] for start in range(0, len(text) - 96, 13)]

    assert len(windows) > 400
    assert max(verse.score(window).nats / 96 for window in windows) < 3


def test_a_character_never_seen_has_a_finite_score(verse):
    score = verse.score("the 客 sat")

    assert math.isfinite(score.nats)
    assert score.tokens == 11


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_the_number_of_segments_does_not_change_the_score(verse, score_segments, count):
    ids = verse.tokenizer.encode(VERSE_LINE * 60)
    whole = score_segments(verse.runtime(), ids, verse.tokenizer.boundary_id, count=1)
    parts = score_segments(verse.runtime(), ids, verse.tokenizer.boundary_id, count=count)

    assert parts / len(ids) == pytest.approx(whole / len(ids), abs=1e-4)


def test_windows_are_scored_as_their_ids_are(verse):
    ids = verse.tokenizer.encode(VERSE_LINE * 120)
    begin, first, stop = (np.array(bounds) for bounds in ([0, 9, 30], [0, 9, 35], [9, 35, 4900]))
    windows = Windows(ids, verse.tokenizer.boundary_id, begin, first, stop)
    nats = nats_of_ids(verse.runtime(), windows)

    expected = [nats[:9].sum(), nats[9:35].sum(), nats[35:4900].sum()]
    assert score_windows(verse.runtime(), windows) == pytest.approx(expected, rel=1e-9)
    assert not nats[4900:].any()


def test_the_best_score_is_the_lowest_and_of_equals_the_first():
    high, low = (Score(nats=nats, tokens=1, characters=1, bytes=1) for nats in (2.0, 1.0))

    assert index_of_best([high, low, low]) == 1
    assert index_of_best([Score(), high]) == 1  # a text without tokens has no score
    assert index_of_best([Score(), Score()]) is None
