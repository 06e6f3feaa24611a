"""Files that are replaced whole: at every instant the old one is there, or the new one."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from charlm.errors import CheckpointError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, or leave it as it was.

    The bytes go to a temporary file beside the target, reach the disk, and take the target's
    name in one step; then the directory reaches the disk. A symbolic link stays one: what it
    points to is replaced. A new file's mode follows the umask, an old file's is kept.

    Raises:
        CheckpointError: With the reason of the system. No temporary file is left.
    """
    _refuse_devices(path)
    target = path.resolve()
    temporary = _temporary(target)
    try:
        with _removed_on_error(temporary):
            with temporary.open("xb") as file:  # never somebody else's
                file.write(data)
                file.flush()
                if target.exists():
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                os.fsync(file.fileno())
            temporary.replace(target)
        _flush_directory(target.parent)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="choose another place",
        ) from None


def check_writable(path: Path) -> None:
    """Raise CheckpointError now if `path` could not be written later."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory", hint="name a file in it")
    _refuse_devices(path)
    target = path.resolve()
    folder = target.parent
    if not folder.is_dir():
        raise CheckpointError(f"{folder} does not exist", hint=f"mkdir -p {folder}")
    probe = _temporary(target)
    try:
        with _removed_on_error(probe):
            probe.touch(exist_ok=False)
            probe.unlink()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror or error}") from None


def _temporary(target: Path) -> Path:
    """Return a name beside `target` that nobody else has."""
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _refuse_devices(path: Path) -> None:
    """Raise CheckpointError for what a rename would destroy: a device, a pipe, a socket."""
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise CheckpointError(
            f"{path} is not a regular file, so nothing is written there", hint="name another file"
        )


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
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
