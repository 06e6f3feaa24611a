"""`charlm train` in several processes, as torchrun starts it: the first reads stdin and prints.

An error in one process ends all, and exactly one of them prints it.
"""

import contextlib
import importlib.metadata
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from charlm.errors import CharlmError, ConfigError
from charlm.process_group import Process, ProcessGroup

FIRST_PROCESS_SECONDS = 2.0  # in which the first process may report an error that all have
# The process that reports gets these seconds to exit first: torchrun names the first that exits.
REPORT_SECONDS = 1.0


@contextlib.contextmanager
def joined_processes(options: Mapping[str, Any]) -> Iterator[ProcessGroup]:
    """Join the processes that torchrun has started, if it has.

    Args:
        options: The options of this process's command line, as JSON; all processes must agree.

    Raises:
        CharlmError: The error, in the process that reports it.
        MemoryError: Likewise.
        SystemExit: In the other processes.
    """
    process = Process.from_environment()
    if process.world_size == 1:
        yield ProcessGroup(process)
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # PyTorch reads it when it is imported
    if not process.is_first:  # all share one stdin; only the first may read it
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        if not sys.warnoptions:  # the first process prints the same warnings
            warnings.simplefilter("ignore")
    from charlm.training import check_room_for_pytorch

    with _reported_once(process):  # the processes cannot agree yet on who reports
        check_room_for_pytorch()
        from charlm.training.distributed import is_first_to_fail, joined, shared_store

        store = shared_store(process)
    with _reported_once(process, partial(is_first_to_fail, store)), joined(process, store) as group:
        _require_same_options(options, group)
        yield group


def check_restarts(*, resume: bool, texts: Sequence[str]) -> None:
    """Raise ConfigError if torchrun may restart a command that could not go on."""
    if not _max_restarts() or (resume and "-" not in texts):
        return
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":  # the first start has reported it
        raise SystemExit(2)
    if not resume:
        raise ConfigError(
            "torchrun --max-restarts needs --resume: a restart would not go on with the run",
            hint="add --resume, which begins a run where there is none, and leave out --overwrite",
        )
    raise ConfigError(
        "torchrun --max-restarts needs a file: a restart cannot read standard input again",
        hint="write the text to a file and name that file",
    )


def launch_command(process: Process) -> str:
    """Return the words that start charlm in as many processes as this run has."""
    if process.world_size == 1:
        return "charlm"
    words = ["torchrun", "--standalone", f"--nproc-per-node {process.local_world_size}"]
    if process.world_size > process.local_world_size:
        machines = process.world_size // process.local_world_size
        # "…" stands for the rendezvous options, which only torchrun knows.
        words[1:] = [f"--nnodes {machines}", f"--nproc-per-node {process.local_world_size}", "…"]
    if max_restarts := _max_restarts():
        words.append(f"--max-restarts {max_restarts}")
    return " ".join([*words, "-m charlm"])


def reports_errors(error: CharlmError) -> bool:
    """Return whether this process prints an error.

    An error with a rank is printed. One without was raised in every process of `train` before they
    were joined; the first process of each machine prints it.
    """
    if error.rank is not None or sys.argv[1:2] != ["train"]:
        return True
    try:
        return Process.from_environment().local_rank == 0
    except ConfigError:
        return True


def _max_restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS") or 0)


@contextlib.contextmanager
def _reported_once(
    process: Process, may_report: Callable[[float], bool] | None = None
) -> Iterator[None]:
    """Add this process's rank to an error and raise it, if this process is to report it.

    Otherwise the process exits without a word: another one, or torchrun, ends the run.

    Args:
        process: This process.
        may_report: Waits some seconds for another process to report, and returns whether none did.
            None: the first process reports at once; another one only if nobody ended it by then.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (CharlmError, MemoryError, OSError) as error:
        seconds = 0.0 if process.is_first else FIRST_PROCESS_SECONDS
        if may_report is None:
            time.sleep(seconds)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends all processes with it
            if not may_report(seconds):
                time.sleep(REPORT_SECONDS)
                raise SystemExit(1) from None
        if isinstance(error, MemoryError):
            raise
        charlm_error = error if isinstance(error, CharlmError) else CharlmError(str(error))
        charlm_error.rank = process.rank
        raise charlm_error from None


def _require_same_options(options: Mapping[str, Any], group: ProcessGroup) -> None:
    """Raise ConfigError unless all processes have the same options and versions."""
    settings: dict[str, Any] = {
        name: importlib.metadata.version(name) for name in ("charlm", "torch")
    }
    settings |= {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    first, *others = map(json.loads, group.all_gather(json.dumps(settings).encode()))
    for rank, other in enumerate(others, 1):
        for name in {**first, **other}:
            value, other_value = first.get(name, "not given"), other.get(name, "not given")
            if value != other_value:
                raise ConfigError(
                    f"{name} is {other_value} in process {rank}, but {value} in process 0",
                    hint="start each process with the same command and the same version",
                )
