"""What a run reports, and what it leaves out after a stop."""

import math

from charlm.config import ModelConfig, TrainingConfig
from charlm.training import loop
from charlm.training.events import Finished, Progress
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
