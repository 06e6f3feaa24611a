"""A model speaks and judges; what it says and the score it gives are known beforehand."""

import math
from itertools import pairwise

import numpy as np
import pytest

import charlm
from charlm.errors import ConfigError
from charlm.inference.model import Model
from charlm.inference.scoring import Score

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
    ids = [verse.tokenizer.boundary_id, *verse.tokenizer.encode(text)]
    state, nats = verse.runtime().zero_state(1), 0.0
    for token, following in pairwise(ids):
        features, state = verse.runtime().step(np.array([token]), state)
        logits = verse.runtime().logits(features)[0].astype(np.float64)
        nats += np.log(np.exp(logits).sum()) - logits[following]

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


def test_greedy_text_is_the_verse(verse):
    assert (
        verse.generate("where did the dog", length=23, temperature=0) == " go? the dog went home."
    )


@pytest.mark.parametrize("length", [0, 1, 57])
def test_the_length_is_exact(verse, length):
    assert len(verse.generate("the", length=length, temperature=2.0, rng_seed=1)) == length


def test_pieces_come_one_by_one(verse):
    stream = verse.stream("the", length=10**12, rng_seed=1)

    assert len("".join(next(stream) for _ in range(20))) >= 20


def test_spelled_characters_come_out_whole(verse_checkpoint):
    """A model of bytes only that is sure of its text says "é" and never half of it."""
    from charlm.config import ModelConfig
    from charlm.parameters import parameters
    from charlm.tokenizers import ByteTokenizer

    config = ModelConfig(embedding_size=2, hidden_size=2)
    arrays = {p.name: np.zeros(p.shape, np.float32) for p in parameters(config, 256)}
    arrays["output.bias"][[0xC3, 0xA9]] = 50.0  # both as likely, all others impossible
    checkpoint = type(verse_checkpoint)(config=config, tokenizer=ByteTokenizer(), arrays=arrays)
    text = Model(checkpoint).generate(length=200, temperature=1.0, rng_seed=0)

    assert len(text) == 200
    assert set(text) == {"é", "\ufffd"}


def test_the_same_rng_seed_gives_the_same_text(verse):
    first = verse.generate("the", length=80, temperature=1.5, rng_seed=3)

    assert verse.generate("the", length=80, temperature=1.5, rng_seed=3) == first
    assert verse.generate("the", length=80, temperature=1.5, rng_seed=4) != first


def test_settings_out_of_range_are_refused(verse):
    with pytest.raises(ConfigError, match="temperature"):
        verse.generate(temperature=-1)


def test_a_model_is_loaded_by_path(verse, verse_model_path):
    loaded = charlm.load(verse_model_path)

    assert loaded.generate("the", length=30, rng_seed=1) == verse.generate(
        "the", length=30, rng_seed=1
    )
    assert loaded.provenance["corpus"][0]["name"] == "verse.txt"


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_a_space_at_the_end_of_the_seed_is_that_of_the_next_word(corpus_of, kind):
    """The token of a word has its space in it, so the space alone leads nowhere."""
    from charlm.config import ModelConfig, TrainingConfig
    from charlm.training.loop import train
    from charlm.training.plan import make_plan

    corpus = corpus_of("the dog saw the cat and the cat saw the dog. " * 60, tokenizer=kind)
    settings = TrainingConfig(
        max_steps=120, batch_size=8, bptt_length=16, dropout=0.0, precision="fp32", device="cpu"
    )
    plan = make_plan(corpus, ModelConfig(embedding_size=16, hidden_size=32), settings)
    *_, finished = train(corpus, plan)
    model = Model(finished.best.best)

    assert model.generate("saw the cat and ", length=4, temperature=0) == "the "
    assert len(model.generate("saw ", length=7, temperature=1.0, rng_seed=0)) == 7
