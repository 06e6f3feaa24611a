"""A run reports, prints samples, detects divergence, and leaves out what is after a stop."""

import math

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import TrainingError
from charlm.inference.model import Model
from charlm.training import loop
from charlm.training.events import Finished, Progress
from charlm.training.loop import train
from charlm.training.plan import make_plan
from charlm.training.samples import SAMPLE_LENGTH, sample_text
from charlm.training.state import TrainingState
from charlm.training.trainer import Trainer

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def run(corpus, config, model=SMALL, **more):
    return list(train(corpus, make_plan(corpus, model, config), **more))


def test_clipped_gradients_are_counted(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    for norm, share in ((1e-3, 1.0), (1e9, 0.0)):
        *events, finished = run(corpus, settings(max_steps=30, max_gradient_norm=norm))

        assert finished.clipped_share == share
        assert finished.median_gradient_norm > 1e-3
        assert {event.clipped_share for event in events if isinstance(event, Progress)} == {share}


def test_a_validation_that_is_given_up_tells_nothing_of_how_long_one_takes(corpus_of, monkeypatch):
    monkeypatch.setattr(loop, "PATIENCE_WITH_STOP", -1.0)
    corpus, validate, asked = corpus_of(SENTENCE * 30), Trainer.validate, []

    def noted(self, give_up):
        asked.append(1)
        return validate(self, give_up)

    monkeypatch.setattr(Trainer, "validate", noted)
    plan = make_plan(corpus, SMALL, settings(max_steps=60))
    events = [*train(corpus, plan, save_every=math.inf, should_stop=lambda: len(asked) > 0)]
    [*_, state] = [event for event in events if isinstance(event, TrainingState)]

    assert state.progress.step > state.progress.validated_step == -1
    assert state.progress.validation_seconds == 0


def test_a_run_that_is_stopped_before_its_first_validation_has_no_model(corpus_of, monkeypatch):
    monkeypatch.setattr(loop, "PATIENCE_WITH_STOP", -1.0)
    corpus = corpus_of(SENTENCE * 30)
    events = [
        *train(corpus, make_plan(corpus, SMALL, settings(max_steps=60)), should_stop=lambda: True)
    ]

    assert [type(event) for event in events] == [Finished]
    assert events[0].best is None


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


def test_a_sample_of_running_text_has_a_fixed_length(random_checkpoint):
    text = sample_text(Model(random_checkpoint()), None, rng_seed=1)

    assert len(text) == SAMPLE_LENGTH
    assert sample_text(Model(random_checkpoint()), None, rng_seed=1) == text


def test_a_sample_of_lines_has_several(unigram_model):
    model = unigram_model({"a": 0.9, None: 0.1}, task="lines")
    lines = sample_text(model, None, rng_seed=0).splitlines()

    assert len(lines) > 1
    assert set("".join(lines)) == {"a"}
    assert sum(len(line) + 1 for line in lines) >= SAMPLE_LENGTH // 2


def test_a_sample_of_pairs_is_an_answer_to_the_first_held_out_source(corpus_of, unigram_model):
    corpus = corpus_of("b\ta\n" * 40, task="pairs")
    model = unigram_model({"a": 0.5, "b": 0.25, None: 0.25}, task="pairs")
    source, _, target = sample_text(model, corpus.validation, rng_seed=0).partition("\t")

    assert source == "b"
    assert set(target) <= {"a", "b"}
