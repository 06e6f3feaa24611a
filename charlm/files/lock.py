"""One process at a time writes an output.

A file beside it, locked, holds the number of the process. The system lets go of the lock when the
process dies, however that happens, so what is left of the file never stands in anybody's way.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from charlm.errors import CheckpointError
from charlm.files.atomic import reported, target_of, write_all


@contextlib.contextmanager
def only_writer(path: Path, *more: Path) -> Iterator[None]:
    """Hold the right to write `path`, and `more`, which one process at a time can have.

    What others have left who died while they wrote is removed. A file system without locks, as some
    of networks are, tells nobody of anybody.

    Raises:
        CheckpointError: If another process has it; the message tells which.
    """
    if os.name == "nt":  # which has no such locks
        yield
        return
    target = target_of(path)
    lock = target.with_name(f".{target.name}.lock")
    with reported(path):
        descriptor = _locked(path, lock)
    try:
        with reported(path):
            for each in (path, *more):
                _remove_stale_temporaries(target_of(each))
        yield
    finally:
        with contextlib.suppress(OSError):  # left or not, it stands in nobody's way
            os.unlink(lock)
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _locked(path: Path, lock: Path) -> int:
    """Return the descriptor of the lock file, which this process holds now."""
    import fcntl  # POSIX's

    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
                raise CheckpointError(
                    f"another training, process {owner}, is writing {path}",
                    hint="wait until it is done, or name another --output",
                ) from None
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
            if not _is_at(lock, descriptor):
                continue  # its last owner has just removed it: a file without a name
            undo.callback(os.unlink, lock)
            os.ftruncate(descriptor, 0)
            write_all(descriptor, f"{os.getpid()}\n".encode())
            undo.pop_all()
            return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether it is the open file that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_stale_temporaries(target: Path) -> None:
    """Remove the temporary files that processes left which died while they wrote `target`."""
    name = re.compile(re.escape(f".{target.name}.") + r"(\d+)\.[0-9a-f]{8}\.tmp")
    for found in target.parent.iterdir():
        match = name.fullmatch(found.name)
        if match is not None and not _is_alive(int(match[1])):
            with contextlib.suppress(OSError):  # another user's, who alone may remove it
                os.unlink(found)


def _is_alive(process: int) -> bool:
    if process == os.getpid():  # had by one before this, as in containers, where numbers are few
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True
