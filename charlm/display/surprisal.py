"""The surprisal of each character of a text, as colours or, without colours, as bars."""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from rich.text import Text

from charlm.display import print_line, stderr_console

# By the fewest bits of each level; dark on light, so that any background shows it.
COLOURS = {
    0: Style(),
    1: Style(color="black", bgcolor="#fff3b0"),
    3: Style(color="black", bgcolor="#ffd166"),
    6: Style(color="black", bgcolor="#f79d65"),
    10: Style(color="white", bgcolor="#c1121f"),
}
BARS = {0: " ", 1: "▂", 3: "▄", 6: "▆", 10: "█"}
COLOUR_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}


class SurprisalColours:
    """Colours text for a terminal, each character by its surprisal.

    Attributes:
        are_there: Whether the terminal has colours and NO_COLOR is not set.
    """

    def __init__(self) -> None:
        stdout = Console()
        self._system = None if stdout.no_color else COLOUR_SYSTEMS.get(stdout.color_system or "")
        self.are_there = self._system is not None

    def coloured(self, text: str, nats: Sequence[float]) -> str:
        """Return `text` with colour codes, given the surprisal of each character in nats."""
        styles = map(self._style, text, nats)
        runs = itertools.groupby(zip(text, styles, strict=False), key=lambda pair: pair[1])
        return "".join(
            style.render("".join(character for character, _ in run), color_system=self._system)
            for style, run in runs
        )

    @staticmethod
    def _style(character: str, nats: float) -> Style:
        if character.isspace() and character != " ":
            return COLOURS[0]  # a coloured line end would colour the rest of the line
        return COLOURS[_level(nats)]

    def explain(self) -> None:
        """Print the legend on stderr: how many bits each colour or bar stands for."""
        if self.are_there:
            legend = [(f" {bits:g} ", style) for bits, style in COLOURS.items()]
        else:
            legend = [(f" {bar} {bits:g} ", Style()) for bits, bar in BARS.items()]
        print_line(stderr_console(), Text.assemble("bits a character, from: ", *legend))


def surprisal_bars(line: str, nats: Sequence[float]) -> Iterator[str]:
    """Yield a line and, below it, a bar for each character, given their surprisals in nats.

    On a terminal both are wrapped at its width.
    """
    stdout = Console()
    width = stdout.width if stdout.is_terminal else sys.maxsize
    text: list[str] = []
    bars: list[str] = []
    used = 0  # columns
    for character, character_nats in zip(line.expandtabs(1), nats, strict=True):
        columns = cell_len(character)
        if used + columns > width:
            yield from ("".join(text), "".join(bars).rstrip())
            text, bars, used = [], [], 0
        text.append(character)
        bars.append(BARS[_level(character_nats)] * columns)
        used += columns
    yield "".join(text)
    if text:
        yield "".join(bars).rstrip()


def _level(nats: float) -> int:
    """Return the level of a surprisal: its fewest bits."""
    return max((level for level in COLOURS if level <= nats / math.log(2)), default=0)
