"""One command in several processes, as torchrun starts it: the first reads stdin, and speaks."""

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

YIELDS = 2.0  # seconds in which the first process may tell what is everybody's error
LINGERS = 1.0  # seconds in which it tells, and leaves first: torchrun names who did


@contextlib.contextmanager
def joined_processes(options: Mapping[str, Any]) -> Iterator[ProcessGroup]:
    """Join the processes that torchrun has started, if it has.

    What goes wrong in one of them ends all, and is told by one.

    Args:
        options: What the command was given, as JSON; each process must have been given the same.

    Raises:
        CharlmError: What went wrong, in the process that is to tell of it.
        MemoryError: If it was that.
        SystemExit: In the others.
    """
    process = Process.from_environment()
    if process.world_size == 1:
        yield ProcessGroup(process)
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # PyTorch looks when it is loaded
    if not process.is_first:  # all have the same stdin, and would take it from one another
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        if not sys.warnoptions:  # which the first shows
            warnings.simplefilter("ignore")
    from charlm.training import check_room_for_pytorch

    with _ending(process):  # as long as they cannot agree who tells
        check_room_for_pytorch()
        from charlm.training.distributed import is_first_to_fail, joined, meet

        store = meet(process)
    with _ending(process, partial(is_first_to_fail, store)), joined(process, store) as group:
        _refuse_other_options(options, group)
        yield group


def refuse_restarts(*, is_to_go_on: bool, texts: Sequence[str]) -> None:
    """Raise ConfigError where torchrun may restart what could not go on."""
    if not _restarts() or (is_to_go_on and "-" not in texts):
        return
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":  # this has been told
        raise SystemExit(2)
    if not is_to_go_on:
        raise ConfigError(
            "torchrun --max-restarts needs --resume: a restart would not go on with the run",
            hint="add --resume, which begins a run where there is none, and leave out --overwrite",
        )
    raise ConfigError(
        "torchrun --max-restarts needs a file: a restart cannot read standard input again",
        hint="write the text to a file, and name that",
    )


def command_line(process: Process) -> str:
    """Return what starts charlm in as many processes as this one is of."""
    if process.world_size == 1:
        return "charlm"
    words = ["torchrun", "--standalone", f"--nproc-per-node {process.local_world_size}"]
    if (
        process.world_size > process.local_world_size
    ):  # that meet at a place of which nothing is known here
        machines = process.world_size // process.local_world_size
        words[1:] = [f"--nnodes {machines}", f"--nproc-per-node {process.local_world_size}", "…"]
    if restarts := _restarts():
        words.append(f"--max-restarts {restarts}")
    return " ".join([*words, "-m charlm"])


def is_told_here(error: CharlmError) -> bool:
    """Return whether an error is to be told by this process.

    One that says in which process it came up is. Any other came up in a `train` before processes
    were joined: in each of a machine, whose first one tells of it.
    """
    if error.rank is not None or sys.argv[1:2] != ["train"]:
        return True
    try:
        return Process.from_environment().local_rank == 0
    except ConfigError:
        return True


def _restarts() -> int:
    """Return how often torchrun may restart the processes."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS") or 0)


@contextlib.contextmanager
def _ending(process: Process, may_tell: Callable[[float], bool] | None = None) -> Iterator[None]:
    """Raise what goes wrong inside, with this process's number, where it may tell of that.

    It may not if another process has told within some seconds, as `may_tell` finds out, or else
    torchrun, which then ends it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (CharlmError, MemoryError, OSError) as error:
        seconds = 0.0 if process.is_first else YIELDS
        if may_tell is None:
            time.sleep(seconds)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # by which torchrun ends all
            if not may_tell(seconds):
                time.sleep(LINGERS)
                raise SystemExit(1) from None
        if isinstance(error, MemoryError):
            raise
        known = error if isinstance(error, CharlmError) else CharlmError(str(error))
        known.rank = process.rank
        raise known from None


def _refuse_other_options(options: Mapping[str, Any], group: ProcessGroup) -> None:
    """Raise ConfigError unless each process was started alike."""
    own: dict[str, Any] = {name: importlib.metadata.version(name) for name in ("charlm", "torch")}
    own |= {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    of_first, *others = map(json.loads, group.all_gather(json.dumps(own).encode()))
    for rank, each in enumerate(others, 1):
        for name in {**of_first, **each}:
            here, there = (found.get(name, "not given") for found in (of_first, each))
            if here != there:
                raise ConfigError(
                    f"{name} is {there} in process {rank}, but {here} in process 0",
                    hint="start each process with the same command, of the same version",
                )
