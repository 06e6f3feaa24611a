"""torchrun starts the processes of a run, restarts them, and ends them together."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from processes import SMALL, charlm_lines, kill, running, saved_step, wait_for, weights, workers

from charlm.training.state import TrainingState

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks in /proc for the processes"
)

STEPS = "400"


@pytest.fixture(scope="module")
def whole_weights(run_processes, verse_path, tmp_path_factory):
    """The weights of a run of two processes that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "text.txt").write_bytes(verse_path.read_bytes())
    command = ["charlm", "train", "text.txt", *SMALL, "--max-steps", STEPS, "-o", "model"]
    assert run_processes(2, command, cwd=folder).returncode == 0
    return weights(folder / "model")


def test_one_process_under_torchrun_is_the_plain_run(charlm, torchrun, directory):
    arguments = ["--max-steps", "60", "--metrics", "metrics"]
    plain = charlm("train", "text.txt", *SMALL, *arguments, "-o", "plain", cwd=directory)
    status, output = torchrun(1, *arguments, "-o", "model")
    first, second = (TrainingState.load(directory / f"{name}.state") for name in ("plain", "model"))
    records = [json.loads(line) for line in (directory / "metrics").read_text().splitlines()]
    runs = [record.pop("run") for record in records]
    metrics = [{k: v for k, v in record.items() if "second" not in k} for record in records]

    assert set(runs) == {"plain", "model"}
    assert (plain.returncode, status) == (0, 0)
    assert weights(directory / "model") == weights(directory / "plain")
    assert first.last.weights_sha256 == second.last.weights_sha256
    assert all(
        np.array_equal(first.optimizer_state[name], second.optimizer_state[name])
        for name in first.optimizer_state
    )
    assert metrics[: len(metrics) // 2] == metrics[len(metrics) // 2 :]
    assert "processes" not in output


def test_the_first_of_two_processes_reads_stdin(torchrun, train, directory):
    text = (directory / "text.txt").read_bytes()
    status, output = torchrun(2, "--max-steps", "60", "-o", "model", text="-", stdin=text)

    assert status == 0, output
    assert output.count("saved") == 1
    assert train(2, "--max-steps", "60", "-o", "other")[0] == 0
    assert weights(directory / "model") == weights(directory / "other")


def test_two_machines_compute_what_two_processes_of_one_compute(directory, whole_weights):
    """Each of torchrun's two agents has a process; they meet at a port.

    One process is killed; its agent counts a restart, and the other does not.
    """
    arguments = ["--max-steps", STEPS, "-o", "model", "--resume"]
    with running(directory, *arguments, restarts=3, machines=2) as (agents, log):
        kill(directory, rank=0)
        statuses = [agent.wait(timeout=90) for agent in agents]
    output = log.read_text()

    assert statuses == [0, 0], output
    assert output.count("2 processes share each step") == 2
    assert output.count("going on after") == 1
    assert weights(directory / "model") == whole_weights


def test_a_restart_after_a_killed_worker_finishes_the_run(directory, whole_weights):
    """The weights are those of a run in one piece."""
    arguments = ["--max-steps", STEPS, "-o", "model", "--resume"]
    with running(directory, *arguments, restarts=3) as ([agent], log):
        kill(directory, rank=1)
        assert agent.wait(timeout=90) == 0
    output = log.read_text()

    assert output.count("going on after") == 1
    assert weights(directory / "model") == whole_weights
    assert workers(directory) == []


@pytest.mark.parametrize(
    ("killed", "error"), [(1, "error: another"), (0, "error: [rank 1] another")]
)
def test_without_restarts_a_killed_worker_ends_the_run_which_can_go_on(
    charlm, directory, killed, error
):
    with running(directory, "--max-steps", "1000000", "-o", "model") as ([agent], log):
        kill(directory, killed)
        assert agent.wait(timeout=30) == 1
    output = charlm_lines(log.read_text())

    assert workers(directory) == []
    assert output.count("error: ") == 1
    assert f"{error} process of the run has ended or does not answer" in output
    assert "continue from the last save with --resume" in output
    step = saved_step(directory / "model.state")
    arguments = ["--max-steps", step + 20, "-o", "model", "--resume"]
    resumed = charlm("train", "text.txt", *SMALL, *arguments, cwd=directory)
    assert resumed.returncode == 0
    assert (
        b"processes 1 instead of 2: the results may not be the same bit for bit" in resumed.stderr
    )
    assert saved_step(directory / "model.state") == step + 20


@pytest.mark.parametrize("receiver", ["torchrun", "one process"])
def test_sigterm_saves_the_run_and_ends_all(train, directory, receiver, whole_weights):
    with running(directory, "--max-steps", STEPS, "-o", "model") as ([agent], log):
        wait_for(lambda: saved_step(directory / "model.state") and len(workers(directory)) == 2)
        if receiver == "torchrun":
            agent.terminate()
        else:
            kill(directory, 1, signal.SIGTERM)
        assert agent.wait(timeout=30) == 1  # torchrun's own
    output = log.read_text()

    assert workers(directory) == []
    assert ("stopping: the run is saved in model.state" in output) == (receiver == "torchrun")
    assert "stopped as asked" in output
    assert "to go on: torchrun --standalone --nproc-per-node 2 -m charlm train --resume" in output
    assert 0 < saved_step(directory / "model.state") < int(STEPS)
    if receiver == "torchrun":
        assert train(2, "--max-steps", STEPS, "-o", "model", "--resume")[0] == 0
        assert weights(directory / "model") == whole_weights


def test_restarts_that_could_not_go_on_are_refused(charlm, directory):
    commands = ["train", "text.txt", "-"], ["train", "text.txt", "-", "--resume"]
    results = [
        charlm(*command, cwd=directory, env={"TORCHELASTIC_MAX_RESTARTS": "3"})
        for command in commands
    ]

    assert [result.returncode for result in results] == [2, 2]
    assert b"error: torchrun --max-restarts needs --resume" in results[0].stderr
    assert b"error: torchrun --max-restarts needs a file" in results[1].stderr
