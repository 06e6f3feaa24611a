"""What a run saves and prints, given its events."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlm.cli.signals import Stop
from charlm.cli.train.destination import Destination
from charlm.cli.train.metrics import Metrics
from charlm.cli.train.run import _generate_command, _print_and_save, _Results
from charlm.config import ModelConfig
from charlm.display.training import TrainingDisplay
from charlm.errors import CheckpointError, TrainingError
from charlm.process_group import SINGLE_PROCESS
from charlm.training.events import Validation


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The results of a new run that is saved at m in the current folder."""
    monkeypatch.chdir(tmp_path)
    destination = Destination(
        output=Path("m"), overwrite=False, resume=False, save_every=60.0, metrics=None, quiet=False
    )
    return _Results(destination, SimpleNamespace(state=None, options={}), Metrics(None, run="m"))


def validation_of(checkpoint, nats=9.0):
    return Validation(
        step=10, epoch=0.5, seconds=1.0, nats=nats, nats_per_character=2.0, bits_per_character=2.9,
        best=checkpoint, sample="the cat",
    )  # fmt: skip


def follow(results, events):
    with TrainingDisplay(quiet=False) as display:
        _print_and_save(events, ModelConfig(), results, display, Stop(), SINGLE_PROCESS)


def test_a_model_is_saved_if_it_is_the_best(results, random_checkpoint):
    model = random_checkpoint()

    assert not results.save_model(validation_of(None))
    assert not results.has_model
    assert results.save_model(validation_of(model))
    assert results.has_model
    assert Path("m").exists()


@pytest.mark.parametrize(("has_model", "hint"), [(True, "lower it; "), (False, None)])
def test_a_run_that_cannot_go_on_says_what_is_saved(
    results, random_checkpoint, capsys, has_model, hint
):
    def events():
        yield validation_of(random_checkpoint() if has_model else None)
        raise TrainingError("it has diverged", hint=hint and hint.removesuffix("; "))

    with pytest.raises(TrainingError, match="it has diverged") as caught:
        follow(results, events())

    assert caught.value.hint == (
        f"{hint or ''}--resume goes on from the last save, --overwrite begins a new run"
    )
    note = "note: m holds the best model so far\n"
    assert capsys.readouterr().err.endswith(note) == has_model


@pytest.mark.parametrize("has_model", [True, False])
def test_a_state_that_cannot_be_saved_says_what_to_do(
    results, random_checkpoint, monkeypatch, has_model
):
    class State:
        def save(self, path):
            raise CheckpointError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("charlm.cli.train.run.replace", lambda state, **changes: state)
    results.save_model(validation_of(random_checkpoint() if has_model else None))
    with pytest.raises(CheckpointError, match=r"m\.state cannot be written") as caught:
        results.save_state(State())

    assert caught.value.hint == (
        "free some space, and go on with --resume" + "; m holds the best model so far" * has_model
    )


@pytest.mark.parametrize(
    ("changes", "output", "command"),
    [
        ({}, "model.safetensors", "charlm generate --length 300"),
        ({"task": "lines"}, "a model", "charlm generate --count 20 --model 'a model'"),
        ({"task": "pairs"}, "model.safetensors", "charlm generate --seed 'a source'"),
        ({"direction": "both"}, "m", "charlm generate --length 300 --ending . --model m"),
    ],
)
def test_the_next_command_suits_the_model(changes, output, command):
    assert _generate_command(Path(output), replace(ModelConfig(), **changes)) == command
