"""Let one process at a time write an output.

A lock file beside the output holds the number of the process. The system releases the lock when the
process ends, however it ends, so a lock file that is left behind blocks no process.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from charlm.errors import CheckpointError
from charlm.files.atomic import reported, target_of, write_all

LONGEST_CONTENT = 20  # bytes: a process number and a line end


@contextlib.contextmanager
def single_writer(path: Path, *others: Path) -> Iterator[None]:
    """Hold the right to write `path` and `others`, which one process at a time can have.

    Temporary files that killed processes left there are removed. On a file system without locks
    (some network file systems) and on Windows, other processes are not noticed.

    Raises:
        CheckpointError: If another process holds it; the message names the process.
    """
    if os.name == "nt":  # no flock there
        yield
        return
    target = target_of(path)
    lock = target.with_name(f".{target.name}.lock")
    with reported(path):
        descriptor = _acquire(path, lock)
    try:
        with reported(path):
            for output in (path, *others):
                _remove_stale_temporaries(target_of(output))
        yield
    finally:
        with contextlib.suppress(OSError):  # a file that stays blocks no process
            os.unlink(lock)
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _acquire(path: Path, lock: Path) -> int:
    """Return the descriptor of the lock file, locked by this process."""
    import fcntl  # on POSIX systems alone

    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise _not_a_lock(lock, "a link") from None
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
                raise CheckpointError(
                    f"another training, process {owner}, is writing {path}",
                    hint="wait until it ends, or name another --output",
                ) from None
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
            if not _is_at(lock, descriptor):
                continue  # the last owner has just removed the name of this file
            status = os.fstat(descriptor)
            if status.st_nlink > 1:
                raise _not_a_lock(lock, "a link")
            is_lock = stat.S_ISREG(status.st_mode) and re.fullmatch(
                rb"(\d{1,19}\n)?", os.read(descriptor, LONGEST_CONTENT + 1)
            )
            if not is_lock:
                raise _not_a_lock(lock, "not the lock of a training")
            undo.callback(os.unlink, lock)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.ftruncate(descriptor, 0)
            write_all(descriptor, f"{os.getpid()}\n".encode())
            undo.pop_all()
            return descriptor


def _not_a_lock(lock: Path, kind: str) -> CheckpointError:
    """Return the error for something of the lock's name, which is left as it is."""
    return CheckpointError(
        f"{lock} is {kind}, so it is left as it is",
        hint="remove or rename it, or name another --output",
    )


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether `path` is the name of the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_stale_temporaries(target: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote `target`."""
    pattern = re.compile(re.escape(f".{target.name}.") + r"(\d+)\.[0-9a-f]{8}\.tmp")
    for path in target.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match is not None and not _is_alive(int(match[1])):
            with contextlib.suppress(OSError):  # another user's file
                os.unlink(path)


def _is_alive(process: int) -> bool:
    if process == os.getpid():  # an earlier process had this number, as in containers
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's process
    return True
