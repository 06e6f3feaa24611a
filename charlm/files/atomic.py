"""Replace files whole: at every instant the old file is there, or the new one.

The promise rests on the order of the operations:

    create a temporary file beside the target, under a unique name     its mode follows the umask
    write everything · take over the target's mode · fsync             the bytes are on the disk
    rename it to the target                                            one step: the old or the new
    fsync the directory                                                the name is on the disk

A process that is killed before the rename leaves the old file and a temporary one, which the next
training removes (`lock.py`). A power cut leaves the old file or the new one, on file systems that
honour fsync.

Each operation is one call of the system, so that tests can make each of them fail
(`tests/faults.py`).
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

    A symbolic link stays one: its target is replaced. A new file's mode follows the umask; an old
    file keeps its own.

    Raises:
        CheckpointError: If an operation fails, with the system's reason. No temporary file is left.
            If only the fsync of the directory fails, `path` already has the new file, which a
            power cut may undo.
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
    """Return the file that `path` names, symbolic links followed as far as they lead."""
    return Path(os.path.realpath(path))


def _temporary(target: Path) -> Path:
    """Return a unique name beside `target`."""
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; one call of the system may write less."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _mode(path: Path) -> int | None:
    """Return the mode of the file at `path`; None if there is no file.

    Raises:
        CheckpointError: If it is a directory, device, pipe or socket, which a rename would destroy.
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
    """Turn an OSError into a CheckpointError that names `path`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror or error}", hint="choose another path"
        ) from None


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:  # another process's file
        raise
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            os.unlink(path)
        raise


def _flush_directory(path: Path) -> None:
    """Make a rename in the directory `path` survive a power cut. Windows cannot."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without fsync of directories
            raise
    finally:
        os.close(descriptor)
