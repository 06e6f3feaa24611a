"""The plan, its sizes and rates fit the text and the budget; a new budget continues a run."""

import math
from dataclasses import replace

import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import ConfigError
from charlm.process_group import Process, ProcessGroup
from charlm.training import estimate, hardware
from charlm.training.estimate import Throughput, with_budget
from charlm.training.events import Progress
from charlm.training.loop import train
from charlm.training.plan import make_plan, resume_plan

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def test_epochs_become_steps(corpus_of):
    corpus = corpus_of("x" * 1000, validation_fraction=0.04)

    assert corpus.train.tokens == 960 + 1
    assert make_plan(corpus, SMALL, settings(max_epochs=2)).steps == 2 * 960 / 64
    assert make_plan(corpus, SMALL, settings(max_epochs=0.001)).steps == 1


def test_whichever_budget_ends_first_counts(corpus_of):
    corpus = corpus_of("x" * 1000)

    assert make_plan(corpus, SMALL, settings(max_epochs=2, max_steps=7)).steps == 7
    assert make_plan(corpus, SMALL, settings(max_time=1000, max_steps=7)).steps == 7


def test_a_short_run_reads_short_windows(corpus_of, monkeypatch):
    """At 0.1 s a step of 2,048 tokens, 10 s hold 0.2 million less planning, 130 s 2.5 million."""
    monkeypatch.setattr(
        estimate, "_measure", lambda *_: Throughput(step_seconds=0.1, validation_seconds=0.0)
    )
    corpus = corpus_of("x" * 100_000)

    def window(**given):
        return make_plan(corpus, SMALL, TrainingConfig(**given)).config.bptt_length

    short = make_plan(corpus, SMALL, TrainingConfig(max_time=10))
    assert (short.config.bptt_length, short.tokens_per_step) == (32, 32 * 32)
    assert "windows of 32 tokens for a short run" in short.reasons
    assert window(max_time=130) == 64
    assert window(max_time=10, bptt_length=48) == 48
    assert window(max_steps=10) == window(max_steps=10, max_time=10) == 64


def test_without_a_budget_there_are_five_minutes(corpus_of):
    plan = make_plan(corpus_of("x" * 1000), SMALL, settings())

    assert plan.config.max_time == 300
    assert 270 < plan.seconds < 300


def test_a_batch_is_made_to_fit_a_short_text(corpus_of):
    plan = make_plan(corpus_of("x" * 100), SMALL, settings(max_steps=1, batch_size=64))

    assert plan.config.batch_size == 90 // 16
    assert "5 streams side by side for a short text" in plan.reasons
    assert plan.config.peak_learning_rate == 15e-3  # they are the whole text


def test_more_processes_than_streams_are_refused(corpus_of):
    corpus = corpus_of("my dog has fleas" * 20)
    with pytest.raises(ConfigError, match="4 streams cannot be shared by 5 processes"):
        make_plan(
            corpus,
            ModelConfig(),
            TrainingConfig(batch_size=4, max_steps=1),
            group=ProcessGroup(Process(world_size=5)),
        )


def test_a_longer_budget_has_the_rate_that_a_run_of_so_many_steps_has_there(corpus_of):
    corpus = corpus_of(SENTENCE * 30)
    *_, first = train(corpus, make_plan(corpus, SMALL, settings(max_steps=60)), save_every=math.inf)
    state = with_budget(first.state, replace(first.state.config, max_steps=200))
    events = [*train(corpus, resume_plan(corpus, state), state=state)]
    whole = [*train(corpus, make_plan(corpus, SMALL, settings(max_steps=200)))]
    rates, wanted = (
        [(each.step, each.learning_rate) for each in run if isinstance(each, Progress)]
        for run in (events, whole)
    )

    assert first.state.progress.is_over
    assert rates == wanted[6:]
    assert events[-1].step == 200


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"max_steps": 60}, "max-steps must be above 60, the steps that were taken"),
        ({"max_time": 1e-6}, "max-time must be above"),
    ],
)
def test_a_budget_that_is_used_up_is_refused(budget, message, corpus_of):
    corpus = corpus_of(SENTENCE * 30)
    *_, end = train(corpus, make_plan(corpus, SMALL, settings(max_steps=60)), save_every=math.inf)
    none = {"max_steps": None, "max_time": None, "max_epochs": None}

    with pytest.raises(ConfigError, match=message):
        with_budget(end.state, replace(end.state.config, **{**none, **budget}))


def test_a_budget_of_epochs_that_is_used_up_is_refused(corpus_of):
    corpus = corpus_of(SENTENCE * 30)
    *_, end = train(corpus, make_plan(corpus, SMALL, settings(max_steps=60)), save_every=math.inf)
    config = replace(end.state.config, max_steps=None, max_epochs=0.5)

    with pytest.raises(ConfigError, match="the budget is 9 steps, but the run has taken 60"):
        resume_plan(corpus, with_budget(end.state, config))


@pytest.mark.parametrize("budget", [{"max_epochs": 2}, {"max_steps": 9}, {"max_time": 60}])
def test_a_run_before_its_first_step_takes_any_budget(budget, corpus_of):
    """A run that is killed in its first minute leaves the state of step 0."""
    corpus = corpus_of(SENTENCE * 30)
    events = train(corpus, make_plan(corpus, SMALL, settings(max_steps=60)), save_every=0.0)
    state = next(events)
    none = {"max_steps": None, "max_time": None, "max_epochs": None}
    state = with_budget(state, replace(state.config, **{**none, **budget}))
    plan = resume_plan(corpus, state)

    assert state.progress.step == 0
    assert plan.steps >= 1
    assert {name: getattr(plan.config, name) for name in none} == {**none, **budget}


def test_a_precision_that_cannot_be_used_is_a_reason_of_the_plan(corpus_of, monkeypatch):
    corpus = corpus_of(SENTENCE * 30)
    monkeypatch.setattr(hardware, "_runs_bfloat16", lambda device: False)
    reason = "precision fp32, because PyTorch cannot train in bf16 on cpu here"
    reasons = {
        precision: make_plan(corpus, SMALL, settings(max_steps=1, precision=precision)).reasons
        for precision in ("bf16", "fp32", "auto")
    }

    assert reason in reasons["bf16"]
    assert reason not in reasons["fp32"] + reasons["auto"]


def test_a_resumed_plan_gives_that_reason_once(corpus_of, monkeypatch):
    corpus = corpus_of(SENTENCE * 30)
    plan = make_plan(corpus, SMALL, settings(max_steps=60))
    state = next(train(corpus, plan, save_every=0.0))
    monkeypatch.setattr(hardware, "_runs_bfloat16", lambda device: False)
    state = replace(state, config=replace(state.config, precision="bf16"))
    once = resume_plan(corpus, state)
    twice = resume_plan(corpus, replace(state, reasons=once.reasons))

    assert once.precision == torch.float32
    assert len(once.reasons) == len(plan.reasons) + 1
    assert twice.reasons == once.reasons


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
    largest = "" if size == 512 else "with 512 units, "
    assert plan.reasons[0].startswith(f"hidden size {size}: {largest}the budget is enough for ")
    assert make_plan(corpus, SMALL, config).model.hidden_size == 24


@pytest.mark.parametrize(
    ("seconds", "size", "measured"), [(5, 256, [256]), (6, 256, [512, 256, 256])]
)
def test_in_the_shortest_runs_larger_networks_are_not_measured(
    corpus_of, monkeypatch, seconds, size, measured
):
    """Two threads read at most 200,000 tokens a second; from a million on, sizes differ."""
    sizes = []

    def measure(trainer, *_):
        sizes.append(trainer.networks[0].config.hidden_size)
        return Throughput(step_seconds=0.1, validation_seconds=0.0)

    monkeypatch.setattr(estimate, "_measure", measure)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    config = TrainingConfig(max_time=seconds)
    plan = make_plan(corpus_of("x" * 100_000), ModelConfig(), config, may_resize=True)

    assert sizes == measured
    assert (plan.model.hidden_size, plan.config.bptt_length) == (size, 32)
    assert make_plan(corpus_of("x" * 500), ModelConfig(), config, may_resize=True)
    assert sizes[len(measured)] == 512  # 40 epochs end it, whatever the time


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
        ({"cell": "rnn", "nonlinearity": "relu", "hidden_size": 400}, 32, "adamw", 2.5e-3),
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
