"""Which files a training may write, and which it must not replace."""

import os
import shutil
from pathlib import Path

import pytest

from charlm.cli.train.destination import Destination
from charlm.errors import CheckpointError

SIZE = ("--hidden-size", 16, "--embedding-size", 8, "--batch-size", 64, "--bptt-length", 32)


@pytest.fixture
def destination(tmp_path, monkeypatch):
    """Build a destination in the current folder, which is empty."""
    monkeypatch.chdir(tmp_path)

    def build(output="model", metrics=None, *, overwrite=False, resume=False):
        return Destination(
            output=Path(output),
            overwrite=overwrite,
            resume=resume,
            save_every=60.0,
            metrics=None if metrics is None else Path(metrics),
            quiet=False,
        )

    return build


@pytest.mark.parametrize("name", ["a.txt", "texts/b.txt", "held-out.txt"])
def test_no_text_is_overwritten(destination, name):
    texts = ["a.txt", "texts", "held-out.txt", "-"]
    Path("texts").mkdir()
    for path in ("a.txt", "texts/b.txt", "held-out.txt"):
        Path(path).write_text("good text")
    for paths in ((name, None), ("model", name)):
        with (
            pytest.raises(CheckpointError, match=f"{name} is the text to learn from"),
            destination(*paths, overwrite=True).lock(texts),
        ):
            pass


@pytest.mark.parametrize("metrics", ["model", "model.state"])
def test_metrics_are_not_appended_to_the_results(destination, metrics):
    with (
        pytest.raises(CheckpointError, match=f"{metrics} is the model"),
        destination(metrics=metrics).lock([]),
    ):
        pass


def test_another_process_of_the_run_writes_nothing(destination):
    other = destination("no/where", "m.jsonl").without_writing()
    with other.lock([]):
        assert os.listdir() == []

    assert (other.metrics, other.quiet, other.is_writer) == (None, True, False)


@pytest.mark.parametrize(
    ("name", "resume", "message"),
    [
        ("model", False, "there is a model at model already"),
        ("model.state", False, "there is a run at model.state already"),
        ("model", True, "there is a model at model, but not the state of its run, model.state"),
    ],
)
def test_a_model_or_a_run_needs_overwrite(destination, monkeypatch, name, resume, message):
    monkeypatch.setattr(Destination, "_check_file_types", lambda self: None)
    Path(name).write_text("a model or a state")
    with pytest.raises(CheckpointError, match=message), destination(resume=resume).lock([]):
        pass
    with destination(overwrite=True).lock([]):
        pass


@pytest.mark.parametrize("name", ["notes", "notes.state"])
def test_overwrite_replaces_nothing_but_a_model_and_a_state(charlm, verse_path, tmp_path, name):
    (tmp_path / name).write_text("precious notes of some length\n")
    results = [
        charlm("train", verse_path, *SIZE, "--max-steps", 2, "-o", "notes", *more)
        for more in ([], ["--overwrite"])
    ]

    for result in results:
        assert result.returncode == 2
        assert f"error: {name} is text, not a charlm " in result.stderr.decode()
        assert "so it is not replaced\n\nhint: remove it, or choose ano" in result.stderr.decode()
    assert (tmp_path / name).read_text() == "precious notes of some length\n"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["m.state.safetensors", "m.state"])
def test_a_model_has_no_name_of_a_state(destination, name):
    with (
        pytest.raises(CheckpointError, match="is a name for the state of a run"),
        destination(output=Path(name)).lock([]),
    ):
        pass


def test_metrics_and_model_are_different_files_however_they_are_spelled(
    charlm, verse_path, tmp_path
):
    (tmp_path / "link").symlink_to("model")
    for metrics in (tmp_path / "model", "./model", "link"):
        result = charlm("train", verse_path, *SIZE, "-o", "model", "--metrics", metrics)

        assert result.returncode == 2
        assert b"is the model\n\nhint: choose another --metrics file" in result.stderr


def test_a_model_is_not_replaced_by_the_state_of_another(
    charlm, verse_path, verse_model_path, tmp_path
):
    shutil.copy(verse_model_path, tmp_path / "other.state.safetensors")
    result = charlm("train", verse_path, "-o", "other.safetensors", "--overwrite")

    assert result.returncode == 2
    assert b"other.state.safetensors is a safetensors file, but not a charlm state" in result.stderr
