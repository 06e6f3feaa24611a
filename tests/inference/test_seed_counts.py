"""What a long seed text says comes again, as strongly as the weight says."""

import numpy as np
import pytest

from charlm.inference.model import Model
from charlm.inference.runtime import log_softmax
from charlm.inference.seed_counts import SHORTEST_SEED, SeedCounts

SEED = [0, 1, 2, 3, 9, 0, 1, 2]  # 3 stood once after 0 1 2; nothing longer stood twice
# A count of 1 is discounted by 0.6, so its share is 0.4, and 0.6 is left to the model.
SHARE = 0.4 / 0.6


def probabilities(counts):
    logits = np.zeros(10, np.float32)
    counts.apply(logits)
    return np.exp(log_softmax(logits))


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_a_token_that_followed_becomes_more_probable(weight):
    factor = ((0.1 + SHARE) / 0.1) ** weight
    expected = np.full(10, 1 / (9 + factor))
    expected[3] *= factor

    assert probabilities(SeedCounts(SEED, weight)) == pytest.approx(expected, rel=1e-5)


def test_the_text_that_continues_decides_what_comes_again():
    counts = SeedCounts(SEED, 1.0)
    counts.push(5)
    assert probabilities(counts) == pytest.approx(0.1)

    for token in (1, 2, 3):
        counts.push(token)
    assert probabilities(counts).argmax() == 9


def test_what_is_excluded_stays_excluded():
    logits = np.zeros(10, np.float32)
    logits[[3, 4]] = -np.inf
    SeedCounts(SEED, 1.0).apply(logits)

    assert np.exp(log_softmax(logits)) == pytest.approx([1 / 8] * 3 + [0, 0] + [1 / 8] * 5)


@pytest.fixture
def verse_model(verse_checkpoint):
    return Model(verse_checkpoint)


@pytest.fixture
def seed():
    return "The zebra Zoe was here. " * 20


def test_a_long_seed_text_counts_when_text_is_generated(verse_model, seed):
    prompt = seed + "The ze"
    assert len(verse_model.tokenizer.encode(prompt)) >= SHORTEST_SEED
    options = {"length": 20, "temperature": 0.0}

    assert verse_model.generate(prompt, **options, seed_weight=1.0) == "bra Zoe was here. Th"
    assert verse_model.generate(prompt, **options, seed_weight=0.0) != "bra Zoe was here. Th"


def test_a_text_does_not_depend_on_the_seed_texts_beside_it(verse_model, seed):
    options = {"length": 30, "rng_seed": 3, "seed_weight": 0.7}
    alone = [
        text.text
        for prompt in (seed, "short")
        for text in verse_model.generate_many([prompt], **options)
    ]
    beside = [text.text for text in verse_model.generate_many([seed, "short"], **options)]

    assert beside[0] == alone[0]


def test_a_short_seed_text_changes_nothing(verse_model):
    one, other = (
        verse_model.generate("the sea the sea the ", rng_seed=1, seed_weight=weight)
        for weight in (0.0, 1.0)
    )

    assert one == other
