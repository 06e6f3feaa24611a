"""One command in several processes, as torchrun starts it: the first reads stdin, and speaks."""

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator

from charlm.config import Device
from charlm.distributed import Group, Process
from charlm.errors import CharlmError, ConfigError


@contextlib.contextmanager
def joined_processes(device: Device) -> Iterator[Group]:
    """Join the processes that torchrun has started, if it has; device is where they compute.

    Raises:
        ConfigError: If torchrun's environment is there in part.
        TrainingError: If the processes cannot be joined, or one of them dies.
    """
    process = Process.from_environment()
    if process.size == 1:
        yield Group(process)
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # PyTorch looks when it is loaded
    if not process.is_first:  # all have the same stdin, and would take it from one another
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        if not sys.warnoptions:  # which the first shows
            warnings.simplefilter("ignore")
    from charlm.training import check_room_for_pytorch

    check_room_for_pytorch()
    from charlm.training.processes import joined

    try:
        with joined(process, device) as group:
            yield group
    except CharlmError:  # of which this process tells, before torchrun ends it, too
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise


def is_told_here(error: CharlmError) -> bool:
    """Return whether an error is to be told by this process.

    One that says in which process it came up is. Any other came up in each, before they were
    joined, and the first tells of it.
    """
    try:
        return error.rank is not None or Process.from_environment().is_first
    except ConfigError:
        return True
