"""Runs of several processes: how they are started, found and killed."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from charlm.checkpoint import Checkpoint
from charlm.training.state import TrainingState

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
SMALL = ["--hidden-size", "16", "--embedding-size", "8", "--batch-size", "8", "--dropout", "0.2",
         "--precision", "fp32", "--threads", "1"]  # fmt: skip


def without_coverage(**more):
    """Return this process's environment for children in which coverage is not measured."""
    return {**os.environ, "COVERAGE_PROCESS_START": "", **more}


def environment(**more):
    """Return the environment of a process under torchrun."""
    variables = without_coverage(CHARLM_MODEL="", COLUMNS="100", PYTHONWARNINGS="error", **more)
    del variables["OMP_NUM_THREADS"]
    return variables


def charlm_lines(stderr):
    """Return what charlm wrote: the text before torchrun's account of a failure, if any."""
    lines = [line for line in stderr.splitlines() if not re.match(r"[WE]\d{4} ", line)]
    before, _, _ = "\n".join(lines).partition("Traceback (most recent call last)")
    return before


def weights(path):
    return Checkpoint.load(path).weights_sha256


def saved_step(path):
    """Return the step after which a run was saved last; 0 before the first save."""
    return TrainingState.load(path).progress.step if path.exists() else 0


def workers(directory):
    """Return the process ids of the workers that train in a directory, in the order of ranks."""
    ids = {}
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        process = command_line.parent
        with contextlib.suppress(OSError):  # a process that has just ended
            if "\0train\0text.txt\0" not in command_line.read_text(errors="replace"):
                continue
            variables = (process / "environ").read_text().split("\0")
            rank = dict(text.partition("=")[::2] for text in variables).get("RANK")
            if rank is not None and (process / "cwd").resolve() == directory:
                ids[int(rank)] = int(process.name)
    return [ids[rank] for rank in sorted(ids)]


@contextlib.contextmanager
def running(directory, *arguments, restarts=0, machines=1):
    """Train in two processes under torchrun; yield torchrun's agents and the file of stderr.

    With two machines, each has an agent and one process.
    """
    line = [*TORCHRUN, 2]
    if machines == 2:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            endpoint = f"127.0.0.1:{free.getsockname()[1]}"
        line = [*TORCHRUN[:-2], "--nnodes", 2, "--rdzv-backend", "c10d"]
        line += ["--rdzv-endpoint", endpoint, "--nproc-per-node", 1]
    line += ["--max-restarts", restarts, "-m", "charlm", "train", "text.txt", *SMALL]
    log = directory / "stderr.txt"
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
            yield agents, log
        finally:  # or workers would outlive the agent that is to end them
            for agent in agents:
                agent.terminate()
            for worker in workers(directory):
                os.kill(worker, signal.SIGKILL)
            for agent in agents:
                agent.wait(timeout=60)


def kill(directory, rank, number=signal.SIGKILL):
    """Send a signal to one of two processes, once both run and the run has been saved anew."""
    before = saved_step(directory / "model.state")
    wait_for(
        lambda: saved_step(directory / "model.state") > before and len(workers(directory)) == 2
    )
    os.kill(workers(directory)[rank], number)


def wait_for(condition):
    """Wait until a condition holds, at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
