"""A run that diverges ends with an error that names the step and the cure."""

import math

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import TrainingError
from charlm.training.loop import train
from charlm.training.plan import make_plan
from charlm.training.state import TrainingState
from charlm.training.trainer import Trainer

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def run(corpus, config, model=SMALL, **more):
    return list(train(corpus, make_plan(corpus, model, config), **more))


def test_divergence_is_an_error_that_names_the_step_and_the_cure(corpus_of):
    config = settings(max_steps=200, optimizer="sgd", learning_rate=1e38, max_gradient_norm=1e38)
    with pytest.raises(TrainingError, match="diverged") as caught:
        run(corpus_of(SENTENCE * 20), config)

    assert caught.value.hint == "lower --learning-rate (1e+38)"


def test_a_gradient_that_is_no_number_is_divergence_though_the_loss_is_one(corpus_of, monkeypatch):
    clip = Trainer._clip_gradients
    monkeypatch.setattr(Trainer, "_clip_gradients", lambda self: clip(self) * math.inf)

    with pytest.raises(
        TrainingError, match="training has diverged: the gradient norm at step 1 is inf"
    ):
        run(corpus_of(SENTENCE * 20), settings(max_steps=20))


def test_a_run_that_has_diverged_is_not_saved_over_the_state_that_was_good(corpus_of, tmp_path):
    corpus = corpus_of(SENTENCE * 30)
    events = train(
        corpus, make_plan(corpus, SMALL, settings(max_steps=60, learning_rate=1e30)), save_every=0.0
    )
    states = []
    with pytest.raises(TrainingError, match="training has diverged"):
        for event in events:
            states += [event] * isinstance(event, TrainingState)

    assert [state.progress.step for state in states] == [0]
    for state in states:
        state.save(tmp_path / "state")
        TrainingState.load(tmp_path / "state")
