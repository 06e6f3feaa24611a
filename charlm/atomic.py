"""Files that are replaced whole: at every instant the old one is there, or the new one.

The order of the operations is what the promise rests on:

    open a temporary file beside the target, which nobody else has     its mode follows the umask
    write everything · take over the target's mode · fsync             the bytes are on the disk
    rename it to the target                                            one step: the old or the new
    fsync the directory                                                the name is on the disk

A process that dies before the rename leaves the old file and a temporary one, which
`remove_stale_temporaries` removes later; a power cut leaves the old file or the new one, on file
systems that honour fsync.
"""

import contextlib
import os
import re
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
    with _reported(path):
        mode = _mode(path)
        target = _target(path)
        temporary = _temporary(target)
        with _removed_on_error(temporary):
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            try:
                _write_all(descriptor, data)
                if mode is not None:
                    os.chmod(temporary, mode)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, target)
        _flush_directory(target.parent)


def cannot_write(path: Path, error: OSError) -> CheckpointError:
    """Return what to tell when the system refuses to write a file."""
    return CheckpointError(
        f"{path} cannot be written: {error.strerror or error}", hint="choose another place"
    )


def check_writable(path: Path) -> None:
    """Raise CheckpointError now if `path` could not be written later."""
    with _reported(path):
        _mode(path)
        target = _target(path)
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


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the right to write `path`, which one process at a time can have; tidy up after others.

    A file beside it, locked, holds the process's number. The system lets go of the lock when the
    process dies, however that happens, so what is left of the file never stands in anybody's way.

    Raises:
        CheckpointError: If another process has it; the message tells which.
    """
    if os.name == "nt":  # which has no such locks
        yield
        return
    target = _target(path)
    lock = target.with_name(f".{target.name}.lock")
    with _reported(path):
        descriptor = _locked(path, lock)
    try:
        with _reported(path):
            _remove_stale_temporaries(target)
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
            if not _is_at(lock, descriptor):
                continue  # its last owner has just removed it: a file without a name
            undo.callback(os.unlink, lock)
            os.ftruncate(descriptor, 0)
            _write_all(descriptor, f"{os.getpid()}\n".encode())
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


def _target(path: Path) -> Path:
    """Return where a symbolic link leads; itself if that is nowhere, of which opening tells."""
    return Path(os.path.realpath(path))


def _temporary(target: Path) -> Path:
    """Return a name beside `target` that nobody else has."""
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _write_all(descriptor: int, data: bytes) -> None:
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
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None


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
    finally:
        os.close(descriptor)
