"""Files that are replaced whole: at every instant the old one is there, or the new one.

The order of the operations is what the promise rests on:

    open a temporary file beside the target, which nobody else has     its mode follows the umask
    write everything · take over the target's mode · fsync             the bytes are on the disk
    rename it to the target                                            one step: the old or the new
    fsync the directory                                                the name is on the disk

A process that dies before the rename leaves the old file and a temporary one, which
the next training removes (`lock.py`); a power cut leaves the old file or the new one, on file
systems that honour fsync.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from charlm.errors import CheckpointError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, or leave it as it was.

    A symbolic link stays one: what it points to is replaced. A new file's mode follows the umask,
    an old file's is kept.

    Raises:
        CheckpointError: With the reason of the system, whichever operation failed. No temporary
            file is left. Only where the last one failed, the directory's fsync, `path` has the new
            file already, which a power cut may still undo.
    """
    with reported(path):
        mode = _mode(path)
        target = target_of(path)
        temporary = _temporary(target)
        with _removed_on_error(temporary):
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            try:
                write_all(descriptor, data)
                if mode is not None:
                    os.chmod(temporary, mode)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, target)
        _flush_directory(target.parent)


def check_writable(path: Path) -> None:
    """Raise CheckpointError now if `path` could not be written later."""
    with reported(path):
        _mode(path)
        target = target_of(path)
        folder = target.parent
        try:
            os.stat(folder)
        except FileNotFoundError:
            raise CheckpointError(f"{folder} does not exist", hint=f"mkdir -p {folder}") from None
        probe = _temporary(target)
        with _removed_on_error(probe):
            os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            os.unlink(probe)
        _flush_directory(folder)


def target_of(path: Path) -> Path:
    """Return where a symbolic link leads; itself if that is nowhere, of which opening tells."""
    return Path(os.path.realpath(path))


def _temporary(target: Path) -> Path:
    """Return a name beside `target` that nobody else has."""
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data`, however few bytes the system takes at a time."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _mode(path: Path) -> int | None:
    """Return the mode of the file at `path`; None if there is none.

    Raises:
        CheckpointError: For what a rename would destroy: a directory, device, pipe or socket.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise CheckpointError(f"{path} is a directory", hint="name a file in it")
    if str(path) == "-" or (mode is not None and not stat.S_ISREG(mode)):
        raise CheckpointError(
            f"{path} is not a regular file, so nothing is written there", hint="name another file"
        )
    return None if mode is None else stat.S_IMODE(mode)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Raise CheckpointError where the system refuses to write `path`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror or error}", hint="choose another place"
        ) from None


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:  # somebody else's
        raise
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong before is told, and no more than that
            os.unlink(path)
        raise


def _flush_directory(path: Path) -> None:
    """Make a rename in `path` survive a power cut, where the system can (Windows cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)
