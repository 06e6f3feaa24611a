"""A state file holds a run; states of earlier and later versions are told apart."""

import json
from pathlib import Path

import pytest
from mutants import signed
from safetensors import safe_open
from safetensors.numpy import load_file

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import CheckpointError
from charlm.training.loop import train
from charlm.training.plan import make_plan
from charlm.training.schedule import RunClock
from charlm.training.state import KIND, TrainingState, state_path
from charlm.training.trainer import Trainer

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."
NETWORKS = {"last.output.weight", "best.output.weight"}


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def same(one, other):
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )


def test_the_best_model_is_in_the_state_once(corpus_of, tmp_path):
    """And apart from the last one where that is another."""
    corpus = corpus_of(SENTENCE * 30)
    plan = make_plan(corpus, SMALL, settings(max_steps=60))
    states = [
        event for event in train(corpus, plan, save_every=0.0) if isinstance(event, TrainingState)
    ]
    at_best, after = [state for state in states if state.best is not None][:2]
    assert at_best.progress.step == at_best.best.step == after.progress.step - 1 == after.best.step
    for state, networks in ((at_best, 1), (after, 2)):
        state.save(tmp_path / "state")
        loaded = TrainingState.load(tmp_path / "state")
        assert len(load_file(tmp_path / "state").keys() & NETWORKS) == networks
        assert loaded.best == state.best
        assert same(loaded.best_model.arrays, at_best.last.arrays)
        assert same(loaded.last.arrays, state.last.arrays)


def test_the_state_lies_beside_the_model():
    assert str(state_path(Path("a/model.safetensors"))) == "a/model.state.safetensors"
    assert str(state_path(Path("names"))) == "names.state"


@pytest.fixture
def saved(corpus_of, tmp_path):
    """Return a state, and a function that saves it with another JSON and loads it."""
    corpus = corpus_of(SENTENCE * 30)
    events = train(corpus, make_plan(corpus, SMALL, settings(max_steps=3)), save_every=0.0)
    *_, state = [event for event in events if isinstance(event, TrainingState)]
    path = tmp_path / "m.state.safetensors"
    state.save(path)
    with safe_open(path, framework="np") as file:
        metadata = json.loads(file.metadata()[KIND.key])
    del metadata["sha256"]

    def load(change):
        change(metadata)
        path.write_bytes(signed(metadata, load_file(path), kind=KIND))
        return TrainingState.load(path)

    return state, load


def test_a_state_with_the_names_of_charlm_0_1_0_is_read(saved):
    state, load = saved

    def rename(metadata):
        metadata["expectation"] = metadata.pop("estimate")
        metadata["place"] = metadata.pop("progress")
        metadata["corpus"]["form"] = metadata["corpus"].pop("task")
        metadata["last"]["config"]["form"] = metadata["last"]["config"].pop("task")

    former = load(rename)

    assert (former.estimate, former.progress) == (state.estimate, state.progress)
    assert (former.corpus, former.model) == (state.corpus, state.model)


def test_a_missing_field_has_its_default(saved):
    _, load = saved

    def remove(metadata):
        del metadata["command"], metadata["reasons"], metadata["progress"]["falls_by"]
        del metadata["config"]["momentum"]

    state = load(remove)

    assert (state.command, state.reasons, state.progress.falls_by) == ({}, (), 1.0)
    assert state.config.momentum == TrainingConfig.momentum


def test_a_missing_field_without_a_default_is_damage(saved):
    with pytest.raises(CheckpointError, match="is damaged: its progress lacks step"):
        saved[1](lambda metadata: metadata["progress"].pop("step"))


@pytest.mark.parametrize("owner", ["state", "progress", "config"])
def test_an_unknown_field_names_the_version_that_wrote_it(saved, owner):
    def add(metadata):
        metadata["version"] = "9.1"
        (metadata if owner == "state" else metadata[owner])["zoom"] = 1

    with pytest.raises(
        CheckpointError, match=f"was written by charlm '9.1': its {owner} has the unknown field"
    ) as caught:
        saved[1](add)
    assert "damaged" not in caught.value.message
    assert caught.value.hint.startswith("upgrade charlm, or begin a new run with --overwrite")


@pytest.mark.parametrize(("encoder", "kept"), [("none", 30), ("attention", 60)])
def test_with_an_encoder_the_last_model_is_kept(corpus_of, monkeypatch, encoder, kept):
    """The score gets worse from validation to validation; the first of two is at step 30."""
    scores = iter(range(1, 100))
    monkeypatch.setattr(Trainer, "validate", lambda self, give_up: (float(next(scores)), 0))
    monkeypatch.setattr(RunClock, "next_validation", lambda self, step: step + 30)
    corpus = corpus_of("ab\tb\n" * 40, task="pairs")
    model = ModelConfig(task="pairs", encoder=encoder, embedding_size=4, hidden_size=4)
    *_, end = train(corpus, make_plan(corpus, model, settings(max_steps=60)))

    assert end.best.step == kept


def test_a_model_of_pairs_is_validated_by_its_wrong_tokens(corpus_of):
    """Nothing is learnt, so the most probable token is the most frequent one, the end."""
    corpus = corpus_of("ab\tb\n" * 40, task="pairs")
    model = ModelConfig(task="pairs", encoder="attention", embedding_size=4, hidden_size=4)
    config = settings(max_steps=1, learning_rate=1e-9)
    *_, end = train(corpus, make_plan(corpus, model, config))

    assert (end.best.errors, end.best.error_rate) == (4, 0.5)
