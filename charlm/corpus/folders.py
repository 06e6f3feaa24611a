"""The names of a command line: files, directories of .txt files, and - for stdin."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import CorpusError
from charlm.formatting import count

STDIN = "-"


@dataclass(frozen=True)
class Folder:
    """What a directory holds, in its subdirectories, too, sorted."""

    texts: list[Path]  # .txt files, in any case of letters
    hidden: list[Path]  # files and directories whose names begin with a dot
    others: list[Path]  # files of other types

    @classmethod
    def of(cls, path: Path) -> "Folder":
        """List a directory.

        Raises:
            CorpusError: If a directory in it cannot be read.
        """

        def refuse(error: OSError) -> None:
            raise CorpusError(f"{error.filename} cannot be read: {error.strerror}")

        folder = cls([], [], [])
        for parent, directories, files in os.walk(path, onerror=refuse):
            hidden = [name for name in (*directories, *files) if name.startswith(".")]
            folder.hidden.extend(Path(parent, name) for name in hidden)
            directories[:] = [name for name in directories if not name.startswith(".")]
            for file in (Path(parent, name) for name in files if not name.startswith(".")):
                if file.is_file():
                    is_text = file.suffix.lower() == ".txt"
                    (folder.texts if is_text else folder.others).append(file)
        for paths in (folder.texts, folder.hidden, folder.others):
            paths.sort()
        return folder

    def left_out(self) -> str:
        """Return in words what was left out, with an example of each kind; "" if nothing was."""
        parts = [
            f"{count(len(paths), noun)}, such as {paths[0].name}"
            for paths, noun in (
                (self.others, "file of another type"),
                (self.hidden, "hidden file"),
            )
            if paths
        ]
        return " and ".join(parts)


def named_files(name: str) -> list[Path]:
    """Return the file that a path names, or the .txt files in a directory, sorted.

    Raises:
        CorpusError: If the path does not exist or cannot be read, or the directory holds no .txt
            file.
    """
    path = Path(name)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)  # is_dir() hides errors from Python 3.14 on
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(name, path) from None
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}") from None
    if is_folder:
        folder = Folder.of(path)
        if not folder.texts:
            raise CorpusError(f"{path} holds no .txt file", hint="give the names of the files")
        return folder.texts
    return [path]


def _missing(name: str, path: Path) -> CorpusError:
    # The shell closes the pipe of <(…) for the processes that torchrun starts.
    is_pipe = path.parts[:3] == ("/", "dev", "fd")
    hint = "pipe the text into stdin instead: … | charlm … -" if is_pipe else None
    if " " in name:
        hint = "if this is the text itself, pipe it into stdin: echo … | charlm … -"
    return CorpusError(f"{name} does not exist", hint=hint)


def paths_of(names: Iterable[str]) -> list[Path | None]:
    """Return the paths of the texts of a command line; None is stdin.

    Raises:
        CorpusError: If a path is missing, or a directory holds no .txt file.
    """
    return [path for name in names for path in ([None] if name == STDIN else named_files(name))]
