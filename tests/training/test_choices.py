"""Hidden size, dropout and learning rate fit the text and the budget."""

from dataclasses import replace

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.training.plan import make_plan

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


@pytest.mark.parametrize(
    ("epochs", "dropout"), [(11, 0.0), (12, 0.2), (85, 0.2), (86, 0.3), (850, 0.3), (855, 0.5)]
)
def test_the_oftener_a_text_is_read_the_more_dropout_it_takes(corpus_of, epochs, dropout):
    """4 · 24 · (8 + 24 + 1) weights for 9,001 tokens are 0.352; thresholds are 4, 30 and 300."""
    corpus = corpus_of("x" * 10_000)
    free = settings(max_epochs=epochs, dropout=None)
    plan = make_plan(corpus, SMALL, free)
    given = make_plan(corpus, SMALL, replace(free, dropout=0.1))

    assert plan.config.dropout == dropout
    assert plan.reasons[-1] == (
        f"dropout {dropout:g} for {round(plan.epochs)} epochs and 3.17 k recurrent weights"
    )
    assert given.config.dropout == 0.1
    assert given.reasons == plan.reasons[:-1]


@pytest.mark.parametrize(
    ("steps", "size"), [(634, 256), (635, 384), (1953, 384), (1954, 512), (10**6, 512)]
)
def test_the_longer_a_run_the_larger_its_network(corpus_of, steps, size):
    """2,048 tokens a step make 1,300,000 in 634.8 steps, 4,000,000 in 1,953.1."""
    corpus = corpus_of("x" * 1_000_000)
    config = TrainingConfig(max_steps=steps)
    plan = make_plan(corpus, ModelConfig(), config, may_resize=True)

    assert plan.model.hidden_size == size
    assert plan.reasons[0].startswith(f"hidden size {size}: the budget is enough for ")
    assert make_plan(corpus, SMALL, config).model.hidden_size == 24


@pytest.mark.parametrize(("steps", "size"), [(488, 256), (489, 512)])
def test_a_short_text_takes_a_large_network_unless_there_is_little_time(corpus_of, steps, size):
    """A million tokens are 488.3 steps, 11 epochs; 1.18 million weights then want dropout 0.3."""
    plan = make_plan(
        corpus_of("x" * 100_000), ModelConfig(), TrainingConfig(max_steps=steps), may_resize=True
    )

    assert plan.model.hidden_size == size


@pytest.mark.parametrize(
    ("network", "streams", "optimizer", "rate"),
    [
        ({}, 32, "adamw", 15e-3),
        ({}, 128, "adamw", 15e-3),
        ({}, 8, "adamw", 7.5e-3),
        ({"cell": "gru"}, 2, "adam", 3.75e-3),
        ({}, 8, "sgd", 2.0),
        ({"cell": "rnn"}, 32, "adamw", 3.75e-3),
        ({"cell": "rnn", "nonlinearity": "relu"}, 32, "adamw", 15e-3),
    ],
)
def test_the_learning_rate_suits_network_and_batch(corpus_of, network, streams, optimizer, rate):
    corpus = corpus_of("x" * 5000)
    config = settings(max_steps=1, batch_size=streams, optimizer=optimizer)
    free, given = (
        make_plan(corpus, ModelConfig(**network), replace(config, learning_rate=given))
        for given in (None, 0.1)
    )

    assert free.config.peak_learning_rate == pytest.approx(rate)
    is_told = any(
        reason.startswith(f"learning rate {rate:g} for {streams} ") for reason in free.reasons
    )
    assert is_told == (rate != config.peak_learning_rate)
    assert given.config.peak_learning_rate == 0.1
