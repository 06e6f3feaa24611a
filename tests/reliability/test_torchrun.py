"""Several processes under torchrun train what one would, and end together."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.training.state import TrainingState

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks in /proc for the processes"
)

LOSSES = Path(__file__).parents[1] / "run_in_processes.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
SMALL = ["--hidden-size", "16", "--embedding-size", "8", "--batch-size", "8", "--dropout", "0.2",
         "--precision", "fp32", "--threads", "1"]  # fmt: skip
STEPS = "400"
# Runs charlm in another directory, or with another option, if it is the second process.
ELSEWHERE = """
import os, sys
if os.environ["RANK"] == "1":
    os.chdir("elsewhere")
    sys.argv += os.environ.get("MORE", "").split()
from charlm.__main__ import main
main()
"""


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return {**kept, "CHARLM_MODEL": "", "COLUMNS": "100", "PYTHONWARNINGS": "error", **more}


@pytest.fixture
def directory(tmp_path, verse_path):
    shutil.copy(verse_path, tmp_path / "text.txt")
    return tmp_path


@pytest.fixture
def train(directory):
    """Train in some processes; return exit status and what was said, torchrun's words left out."""

    def run(processes, *arguments, text="text.txt", stdin=b"", program=("-m", "charlm"), **more):
        line = [*TORCHRUN, str(processes), *program, "train", text, *SMALL, *arguments]
        result = subprocess.run(
            list(map(str, line)),
            cwd=directory,
            env=environment(**more),
            input=stdin,
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert result.stdout == b""
        return result.returncode, said(result.stderr.decode())

    return run


def said(stderr):
    """Return what charlm said: what stands before torchrun's account of a failure, if any."""
    lines = [line for line in stderr.splitlines() if not re.match(r"[WE]\d{4} ", line)]
    before, _, _ = "\n".join(lines).partition("Traceback (most recent call last)")
    return before


def weights(path):
    return Checkpoint.load(path).weights_sha256


def alive(text):
    """Return the processes whose command line holds a text."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text in each.read_text(errors="replace"):
                found.append(int(each.parent.name))
    return sorted(found)


def workers(directory):
    """Return the processes that train there, in the order of their ranks."""
    found = {}
    for process in alive("\0train\0text.txt\0"):
        with contextlib.suppress(OSError, KeyError):
            there = Path(f"/proc/{process}/cwd").resolve() == directory
            facts = Path(f"/proc/{process}/environ").read_text().split("\0")
            rank = dict(fact.partition("=")[::2] for fact in facts).get("RANK")
            if there and rank is not None:
                found[int(rank)] = process
    return [found[rank] for rank in sorted(found)]


@contextlib.contextmanager
def running(directory, *arguments, restarts=0, machines=1, program=("-m", "charlm")):
    """Train in two processes meanwhile, and yield torchrun and where it says what.

    Of two machines each has one of them, and an agent of torchrun's, all of which are yielded.
    """
    line = [*TORCHRUN, 2]
    if machines == 2:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            endpoint = f"127.0.0.1:{free.getsockname()[1]}"
        line = [*TORCHRUN[:-2], "--nnodes", 2, "--rdzv-backend", "c10d"]
        line += ["--rdzv-endpoint", endpoint, "--nproc-per-node", 1]
    line += ["--max-restarts", restarts, *program, "train", "text.txt", *SMALL]
    log = directory / "said.txt"
    with log.open("ab") as file:
        agents = [
            subprocess.Popen(
                list(map(str, [*line, "--save-every", "0.2s", *arguments])),
                cwd=directory,
                env=environment(),
                stderr=file,
            )
            for _ in range(machines)
        ]
        try:
            yield agents if machines > 1 else agents[0], log
        finally:  # or workers would outlive the agent that is to end them
            for agent in agents:
                agent.terminate()
            for worker in workers(directory):
                os.kill(worker, signal.SIGKILL)
            for agent in agents:
                agent.wait(timeout=60)


def kill(directory, rank, number=signal.SIGKILL):
    """Send a signal to one of two processes, once both are there and one has saved its run."""
    step = steps_of(directory / "model.state")
    before = step()
    wait_for(lambda: step() > before and len(workers(directory)) == 2)
    os.kill(workers(directory)[rank], number)


def wait_for(what):
    """Wait until something is there, and return it."""
    deadline = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def steps_of(path):
    """Return a function that tells after which step a run was saved; 0 before."""
    return lambda: TrainingState.load(path).progress.step if path.exists() else 0


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """Return what `run_in_processes.py` prints, in so many processes."""
    directory = tmp_path_factory.mktemp("losses")
    random = np.random.default_rng(0)
    words = "the cat sat on mat and dog log where did go home".split()
    lines = [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(400)]
    (directory / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    (directory / "pairs.txt").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines))

    def found(processes):
        start = [*TORCHRUN, str(processes)] if processes > 1 else [sys.executable]
        result = subprocess.run(
            [*start, LOSSES, "lines.txt", "pairs.txt"],
            cwd=directory,
            env=environment(TORCH_CPP_LOG_LEVEL="ERROR"),
            capture_output=True,
            timeout=100,
            check=True,
        )
        return json.loads(result.stdout)

    return found, found(1)


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_have_the_losses_of_one_and_go_on(losses, processes):
    """With seven streams, which are not shared evenly, and lines, of which some have none."""
    found, alone = losses
    together = found(processes)

    assert together.keys() == alone.keys()
    for name, one in alone.items():
        assert len(one["nats"]) == 50 + 1
        assert together[name]["nats"] == pytest.approx(one["nats"], rel=1e-6), name
        assert one["nats"][49] < one["nats"][0] - 0.3, name  # it has learnt
    going_on = [name for name in alone if "from one" in alone[name]]
    assert len(going_on) == 3
    for name in going_on:
        assert (alone[name]["goes on alike"], together[name]["goes on alike"]) == (True, True)
        assert len(alone[name]["from one"]) == 3
        assert together[name]["from one"] == pytest.approx(alone[name]["from one"], rel=1e-6)


def test_one_process_under_torchrun_is_the_plain_run(charlm, train, directory):
    arguments = ["--max-steps", "60", "--metrics", "metrics"]
    plain = charlm("train", "text.txt", *SMALL, *arguments, "-o", "plain", cwd=directory)
    status, words = train(1, *arguments, "-o", "model")
    first, second = (TrainingState.load(directory / f"{name}.state") for name in ("plain", "model"))
    metrics = [json.loads(line) for line in (directory / "metrics").read_text().splitlines()]
    own = [{k: v for k, v in each.items() if "second" not in k} for each in metrics]

    assert (plain.returncode, status) == (0, 0)
    assert weights(directory / "model") == weights(directory / "plain")
    assert first.last.weights_sha256 == second.last.weights_sha256
    assert all(
        np.array_equal(first.optimizer_state[name], second.optimizer_state[name])
        for name in first.optimizer_state
    )
    assert own[: len(own) // 2] == own[len(own) // 2 :]
    assert "processes" not in words


def test_the_first_of_two_speaks_and_reads_stdin(train, directory):
    text = (directory / "text.txt").read_bytes()
    status, words = train(2, "--max-steps", "60", "-o", "model", "--metrics", "metrics")
    of_stdin = train(2, "--max-steps", "60", "-o", "other", text="-", stdin=text)
    metrics = [json.loads(line) for line in (directory / "metrics").read_text().splitlines()]

    assert (status, of_stdin[0]) == (0, 0)
    assert weights(directory / "other") == weights(directory / "model")
    assert [
        words.count(each) for each in ("read 5", "2 processes", "1 thread in each", "saved")
    ] == ([1] * 4)
    assert [each["step"] for each in metrics if each["split"] == "train"] == [
        10,
        20,
        30,
        40,
        50,
        60,
    ]
    provenance = Checkpoint.load(directory / "model").provenance
    assert (provenance["training"]["processes"], provenance["corpus"][0]["name"]) == (2, "text.txt")


def test_two_machines_train_what_two_processes_of_one_do(train, directory):
    """Two of torchrun's agents, each with a process, which meet at a port.

    One of the processes is killed; its agent counts a restart, and the other none.
    """
    assert train(2, "--max-steps", STEPS, "-o", "one")[0] == 0
    arguments = ["--max-steps", STEPS, "-o", "model", "--resume"]
    with running(directory, *arguments, restarts=3, machines=2) as (agents, log):
        kill(directory, rank=0)
        ended = [agent.wait(timeout=90) for agent in agents]
    words = log.read_text()

    assert ended == [0, 0], words
    assert words.count("2 processes share each step") == 2
    assert words.count("going on after") == 1
    assert weights(directory / "model") == weights(directory / "one")


def test_a_worker_is_killed_and_restarts_finish_the_run(train, directory):
    """Twice, one process and then the other; the network is that of the run in one piece."""
    assert train(2, "--max-steps", STEPS, "-o", "straight")[0] == 0
    arguments = ["--max-steps", STEPS, "-o", "model", "--resume"]
    with running(directory, *arguments, restarts=3) as (process, log):
        kill(directory, rank=1)
        kill(directory, rank=0)
        assert process.wait(timeout=90) == 0
    words = log.read_text()

    assert words.count("going on after") == 2
    assert weights(directory / "model") == weights(directory / "straight")
    assert workers(directory) == []


@pytest.mark.parametrize(
    ("killed", "tells"), [(1, "error: another"), (0, "error: [rank 1] another")]
)
def test_without_restarts_a_killed_worker_ends_the_run_which_can_go_on(
    train, directory, killed, tells
):
    with running(directory, "--max-steps", "1000000", "-o", "model") as (process, log):
        kill(directory, killed)
        assert process.wait(timeout=30) == 1
    words = said(log.read_text())

    assert workers(directory) == []
    assert words.count("error: ") == 1
    assert f"{tells} process of the run has ended or does not answer" in words
    assert "go on from the last save with --resume" in words
    step = steps_of(directory / "model.state")()
    status, words = train(1, "--max-steps", step + 20, "-o", "model", "--resume")
    assert status == 0
    assert "processes 1 instead of 2: the results may not be the same bit for bit" in words
    assert TrainingState.load(directory / "model.state").progress.step == step + 20


@pytest.mark.parametrize("asked", ["torchrun", "one process"])
def test_sigterm_ends_all_in_good_order(train, directory, asked):
    assert train(2, "--max-steps", STEPS, "-o", "straight")[0] == 0
    with running(directory, "--max-steps", STEPS, "-o", "model") as (process, log):
        wait_for(lambda: steps_of(directory / "model.state")() and len(workers(directory)) == 2)
        if asked == "torchrun":
            process.terminate()
        else:
            kill(directory, 1, signal.SIGTERM)
        assert process.wait(timeout=30) == 1  # torchrun's own
    words = log.read_text()

    assert workers(directory) == []
    assert ("stopping: the run is saved in model.state" in words) == (asked == "torchrun")
    assert "stopped as asked" in words
    assert "to go on: torchrun --standalone --nproc-per-node 2 -m charlm train --resume" in words
    assert 0 < steps_of(directory / "model.state")() < int(STEPS)
    assert train(2, "--max-steps", STEPS, "-o", "model", "--resume")[0] == 0
    assert weights(directory / "model") == weights(directory / "straight")


def test_a_run_that_has_so_much_time_is_planned_alike(train, directory):
    status, words = train(2, "--max-time", "3s", "-o", "model")

    assert status == 0, words
    assert "done after" in words


ANOTHER = "a text of its own\n" * 100
SAME = "the text of all\n" * 100


@pytest.mark.parametrize(
    ("here", "elsewhere", "more", "wanted"),
    [
        (SAME, None, "", "error: [rank 1] text.txt does not exist"),
        (SAME, ANOTHER, "", "error: process 1 has another text than process 0"),
        (
            SAME,
            SAME,
            "--learning-rate 0.1",
            "error: --learning-rate is 0.1 in process 1, but not given in process 0",
        ),
    ],
    ids=["no text", "another text", "another option"],
)
def test_what_differs_in_one_process_is_told_once(train, directory, here, elsewhere, more, wanted):
    (directory / "elsewhere").mkdir()
    (directory / "start.py").write_text(ELSEWHERE)
    (directory / "text.txt").write_text(here)
    if elsewhere is not None:
        (directory / "elsewhere" / "text.txt").write_text(elsewhere)
    status, words = train(2, "--max-steps", "10", program=("start.py",), MORE=more)

    assert status in (1, 2)
    assert words.count("error: ") == 1
    assert wanted in words
    assert list(directory.glob("model*")) == []


def test_another_model_to_start_from_in_one_process_is_told_once(
    train, directory, verse_model_path, random_checkpoint
):
    (directory / "elsewhere").mkdir()
    (directory / "start.py").write_text(ELSEWHERE)
    shutil.copy(directory / "text.txt", directory / "elsewhere")
    shutil.copy(verse_model_path, directory / "start")
    random_checkpoint().save(directory / "elsewhere" / "start")
    status, words = train(2, "--from", "start", "-o", "model", program=("start.py",))

    assert status == 1
    assert words.count("error: ") == 1
    assert "error: process 1 has another start than process 0" in words


def test_another_held_out_text_on_one_machine_is_told_once(directory):
    (directory / "elsewhere").mkdir()
    (directory / "start.py").write_text(ELSEWHERE)
    shutil.copy(directory / "text.txt", directory / "elsewhere")
    (directory / "held-out.txt").write_text(SAME)
    (directory / "elsewhere" / "held-out.txt").write_text(ANOTHER)
    arguments = ["--validation", "held-out.txt", "-o", "model"]
    with running(directory, *arguments, machines=2, program=["start.py"]) as (agents, log):
        ended = [agent.wait(timeout=60) for agent in agents]
    words = log.read_text()

    assert ended == [1, 1]
    assert words.count("error: ") == 1
    assert "error: process 1 has another held-out text than process 0" in words
    assert list(directory.glob("model*")) == []


def test_restarts_that_could_not_go_on_are_refused(charlm, directory):
    arguments = ["train", "text.txt", "-"], ["train", "text.txt", "-", "--resume"]
    found = [
        charlm(*each, cwd=directory, env={"TORCHELASTIC_MAX_RESTARTS": "3"}) for each in arguments
    ]

    assert [each.returncode for each in found] == [2, 2]
    assert b"error: torchrun --max-restarts needs --resume" in found[0].stderr
    assert b"error: torchrun --max-restarts needs a file" in found[1].stderr


@pytest.mark.parametrize("command", ["info", "generate"])
def test_other_commands_speak_in_every_process(charlm, directory, command):
    environment = {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    }  # fmt: skip
    result = charlm(command, "-m", "none", cwd=directory, env=environment)

    assert result.returncode == 1
    assert result.stderr.startswith(b"error: there is no model at none")


def test_what_all_processes_find_is_told_once_by_the_first(train, directory):
    diverged = train(2, "--max-steps", "100", "--learning-rate", "1e6")
    unknown = train(2, "--batch-sise", "3")
    too_many = train(2, "--threads", str(2 * (os.cpu_count() or 1)), "--max-steps", "5")

    for status, words in (diverged, unknown, too_many):
        assert status == 1  # torchrun's own
        assert words.count("error: ") == 1
    assert "training has diverged" in diverged[1]
    assert "no such option: --batch-sise" in unknown[1]


def test_stdin_by_a_name_that_only_the_first_can_read_is_refused(directory):
    with (directory / "text.txt").open("rb") as file:
        line = [*TORCHRUN, "2", "-m", "charlm", "train", "/dev/stdin", *SMALL]
        result = subprocess.run(
            line, cwd=directory, env=environment(), stdin=file, capture_output=True, timeout=60
        )
    words = said(result.stderr.decode())

    assert result.returncode == 1
    assert words.count("error: ") == 1
    assert "process 1 has another list of files than process 0" in words
    assert "name standard input -" in words


def test_a_network_that_is_not_there_is_told_with_the_cure(train, directory):
    status, words = train(2, "--max-steps", "5", GLOO_SOCKET_IFNAME="nosuch0")

    assert status == 1
    assert words.count("error: ") == 1
    assert "cannot connect to the others" in words
    assert "GLOO_SOCKET_IFNAME=eth0" in words


def test_half_of_torchrun_is_bad_usage(charlm, directory):
    result = charlm("train", "text.txt", cwd=directory, env={"RANK": "1"})

    assert result.returncode == 2
    assert b"error: RANK is set, but WORLD_SIZE is not" in result.stderr
