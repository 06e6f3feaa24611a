"""Files without a name in the temporary directory, which vanish with the process."""

import tempfile
from typing import IO

from charlm.errors import CorpusError

HINT = "name a directory with more room in $TMPDIR"


def open_temporary() -> IO[bytes]:
    """Return a new file.

    Raises:
        CorpusError: If there is no directory to have it in.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise CorpusError(f"there is no temporary file: {error.strerror}", hint=HINT) from None


def write_temporary(file: IO[bytes], data: bytes, *, what: str) -> None:
    """Write `data` to a temporary file, at once.

    Args:
        file: To write to.
        data: To write.
        what: What messages call it.

    Raises:
        CorpusError: If the temporary directory is full.
    """
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise CorpusError(
            f"{what} cannot be written to {tempfile.gettempdir()}: {error.strerror}", hint=HINT
        ) from None
