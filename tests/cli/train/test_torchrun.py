"""What the command does in the processes of torchrun, without starting any."""

import importlib.metadata
import json

import pytest

from charlm.cli.train.torchrun import (
    _require_same_options,
    check_restarts,
    joined_processes,
    launch_command,
    reports_errors,
)
from charlm.errors import CharlmError, ConfigError
from charlm.process_group import Process, ProcessGroup


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch):
    for name in ("RANK", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)


def start_as(monkeypatch, rank):
    """Set the environment of one of two processes of a machine."""
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**variables, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(
    ("process", "restarts", "command"),
    [
        (Process(), None, "charlm"),
        (
            Process(world_size=2, local_world_size=2),
            "3",
            "torchrun --standalone --nproc-per-node 2 --max-restarts 3 -m charlm",
        ),
        (
            Process(world_size=4, local_world_size=2),
            None,
            "torchrun --nnodes 2 --nproc-per-node 2 … -m charlm",
        ),
    ],
)
def test_the_launch_command_starts_as_many_processes(monkeypatch, process, restarts, command):
    if restarts:
        monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", restarts)

    assert launch_command(process) == command


def test_restarts_need_a_run_to_resume_and_texts_to_read_again(monkeypatch):
    check_restarts(resume=False, texts=["-"])  # nothing is restarted
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    check_restarts(resume=True, texts=["text"])
    with pytest.raises(ConfigError, match="needs --resume"):
        check_restarts(resume=False, texts=["text"])
    with pytest.raises(ConfigError, match="needs a file"):
        check_restarts(resume=True, texts=["text", "-"])
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(SystemExit):
        check_restarts(resume=False, texts=["text"])


def test_an_error_before_processes_are_joined_is_reported_once(monkeypatch):
    error = CharlmError("wrong")
    monkeypatch.setattr("sys.argv", ["charlm", "train"])
    assert reports_errors(error)  # one process
    start_as(monkeypatch, 0)
    assert reports_errors(error)
    start_as(monkeypatch, 1)
    assert not reports_errors(error)
    error.rank = 1
    assert reports_errors(error)
    error.rank = None
    monkeypatch.setenv("RANK", "no number")
    assert reports_errors(error)
    monkeypatch.setattr("sys.argv", ["charlm", "eval"])
    assert reports_errors(error)


def test_one_process_is_a_group_of_its_own():
    with joined_processes({"max_steps": 5}) as group:
        assert (group.rank, group.world_size) == (0, 1)


def test_processes_with_other_options_are_refused():
    versions = {name: importlib.metadata.version(name) for name in ("charlm", "torch")}

    class Group(ProcessGroup):
        def all_gather(self, data):
            return [data, json.dumps({**versions, "--lines": True}).encode()]

    _require_same_options({"lines": True}, Group())
    with pytest.raises(ConfigError, match="--max-steps is not given in process 1, but 5 in proce"):
        _require_same_options({"lines": True, "max_steps": 5}, Group())
