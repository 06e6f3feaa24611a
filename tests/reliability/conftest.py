"""Tests of what must hold when something fails or lies, one file a danger.

test_crashes: a run that is stopped at any instant goes on and ends in the same weights.
test_faults: any call or the power may fail during a save: the old file or the new one is whole.
test_broken_disks: the same on full disks, and with calls that the system refuses.
test_little_memory: long lines need little memory; too little memory is one line of error.
test_no_internet: no command opens a socket.
test_hostile_files, test_hostile_state: any model or state file is refused in a line, or harmless.
test_hostile_text: wrong bytes in a text are named with their place.
test_processes: several processes compute what one computes, and report an error once.
test_torchrun: torchrun starts, restarts and ends the processes of a run.
"""

import shutil
import socket
import subprocess

import pytest
from processes import SMALL, TORCHRUN, charlm_lines, environment


@pytest.fixture
def directory(tmp_path, verse_path):
    """A directory with a text."""
    shutil.copy(verse_path, tmp_path / "text.txt")
    return tmp_path


@pytest.fixture(scope="session")
def run_processes(fork_servers):
    """Run a program in several processes that are forked, not started by torchrun."""

    def run(processes, command, *, cwd, machines=1, stdin=b"", **variables):
        store = tcp_store()
        environments = [
            environment(
                RANK=str(rank),
                WORLD_SIZE=str(processes),
                LOCAL_RANK=str(rank if machines == 1 else 0),
                LOCAL_WORLD_SIZE=str(processes // machines),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(store.port),
                TORCHELASTIC_USE_AGENT_STORE="True",
                **variables,
            )
            for rank in range(processes)
        ]
        return fork_servers[1].run(command, environments, cwd=cwd, stdin=stdin)

    return run


def tcp_store():
    """Return the store by which processes find one another, as torchrun's agent has it."""
    import torch.distributed as dist

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)


@pytest.fixture
def train(run_processes, directory):
    """Train in several processes; return the exit status and stderr."""

    def run(processes, *arguments, text="text.txt", program="charlm", **more):
        command = [program, "train", text, *SMALL, *arguments]
        result = run_processes(processes, command, cwd=directory, **more)
        assert result.stdout == b""
        return result.returncode, result.stderr.decode()

    return run


@pytest.fixture
def torchrun(directory):
    """Train under torchrun; return the exit status and what charlm wrote to stderr."""

    def run(processes, *arguments, text="text.txt", stdin=b""):
        line = [*TORCHRUN, processes, "-m", "charlm", "train", text, *SMALL, *arguments]
        result = subprocess.run(
            list(map(str, line)),
            cwd=directory,
            env=environment(),
            input=stdin,
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert result.stdout == b""
        return result.returncode, charlm_lines(result.stderr.decode())

    return run
