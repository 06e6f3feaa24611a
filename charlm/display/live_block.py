"""Lines at the bottom of a terminal that are drawn again and again."""

import os
import time

from rich.console import Console, RenderableType
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment

FRAMES_PER_SECOND = 4
# Set by terminals that cut off the lines of a narrower window. All others wrap them again.
CUTTING_TERMINALS = ("XTERM_VERSION", "STY")  # xterm; GNU screen


class LiveBlock:
    """A block of lines that replaces itself, also in a window that has become narrower.

    A terminal wraps the lines of a narrower window again, so that the block takes more rows than
    were drawn. rich alone would erase the rows that it drew, and leave the others behind.
    """

    def __init__(self, console: Console) -> None:
        # Nothing is drawn by a thread, which could find rows that were wrapped again. Without the
        # last two arguments, rich would send what a program writes to stdout to stderr.
        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._widths: list[int] = []  # of the lines on the screen, in columns
        self._next_frame = 0.0
        self._live.start()

    def draw(self, picture: RenderableType, *, at_once: bool = False) -> None:
        """Draw a picture, at most FRAMES_PER_SECOND times a second unless `at_once`."""
        now = time.monotonic()
        if now < self._next_frame and not at_once:
            return
        self._next_frame = now + 1 / FRAMES_PER_SECOND
        self.erase_wrapped_rows()
        self._live.update(picture, refresh=True)
        lines = self._console.render_lines(picture, pad=False)
        self._widths = [Segment.get_line_length(line) for line in lines]

    def erase_wrapped_rows(self) -> None:
        """Erase the rows that the block takes beyond those that rich drew and will erase."""
        if any(name in os.environ for name in CUTTING_TERMINALS):
            return
        width = max(1, self._console.width)
        wrapped_rows = sum((columns - 1) // width for columns in self._widths if columns)
        if wrapped_rows:
            row = (ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)
            self._console.control(Control(*row * wrapped_rows))
        self._widths = [min(columns, width) for columns in self._widths]

    def stop(self) -> None:
        """Leave the block on the screen, and draw nothing more."""
        self.erase_wrapped_rows()
        self._live.stop()
