"""How errors, notes and progress look: on stderr, drawn by rich, readable without colour.

live_block  lines that are drawn again and again
surprisal   the surprisal of each character, as colours or bars
training    the progress of a training run
counter     the progress of other commands
origin      the origin of a model
attention   the attention of a pair, with characters or as SVG
plots       the curves of a run and the memory of a model, by matplotlib
"""

import errno

from rich.console import Console
from rich.text import Text

from charlm.errors import CharlmError
from charlm.formatting import visible


class _StderrConsole(Console):
    """A console on stderr that prints text unchanged and raises when the pipe is closed.

    rich itself ends the program on a closed pipe.
    """

    def __init__(self) -> None:
        super().__init__(stderr=True, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "the reader of standard error has closed it")


def stderr_console() -> Console:
    """Return a console on stderr that prints text unchanged."""
    return _StderrConsole()


def print_line(console: Console, text: Text) -> None:
    """Print a line: wrapped between words on a terminal, unbroken in a file or pipe."""
    console.print(text, soft_wrap=not console.is_terminal)


def note_line(text: str) -> Text:
    """Return "note: " and `text` on one line."""
    return Text.assemble(("note: ", "bold"), visible(text))


def show_error(error: CharlmError) -> None:
    """Print the message and, after an empty line, the hint."""
    console = stderr_console()
    rank = f"[rank {error.rank}] " if error.rank else ""
    print_line(console, Text.assemble(("error: ", "bold red"), rank + visible(error.message)))
    if error.hint is not None:
        console.print()
        print_line(console, Text.assemble(("hint: ", "bold"), visible(error.hint)))


def show_note(text: str) -> None:
    """Print "note: " and `text` on one line."""
    print_line(stderr_console(), note_line(text))


def show_line(text: str) -> None:
    """Print `text` on one line."""
    print_line(stderr_console(), Text(visible(text)))
