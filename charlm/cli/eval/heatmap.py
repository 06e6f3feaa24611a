"""The text itself, with its surprisal: in colours, or in bars where there are none."""

import sys
from collections.abc import Iterable

from charlm.cli.output import is_terminal, write
from charlm.config import SingleDirection
from charlm.display.surprisal import SurprisalColours, surprisal_bars
from charlm.formatting import harmless
from charlm.inference.model import Model


def show_heatmap(
    judge: Model, texts: Iterable[tuple[str, str]], *, direction: SingleDirection | None
) -> None:
    """Show texts that have names, each character by its surprisal, and what that means."""
    colours = SurprisalColours()
    for text, name in texts:
        nats = judge.score_tokens(text, direction=direction, name=name).character_nats()
        shown = harmless(text) if is_terminal(sys.stdout) else text
        if text and not text.endswith("\n"):
            shown, nats = shown + "\n", [*nats, 0.0]
        place = 0
        for line in shown.split("\n")[:-1]:
            of_line = nats[place : place + len(line)]
            place += len(line) + 1
            if colours.are_there:
                write(colours.coloured(line, of_line) + "\n")
            else:
                write("".join(f"{row}\n" for row in surprisal_bars(line, of_line)))
    colours.explain()
