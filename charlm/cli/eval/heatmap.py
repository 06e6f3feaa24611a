"""A text with the surprisal of each character, as colours or as bars."""

import sys
from collections.abc import Iterable

from charlm.cli.output import is_terminal, write
from charlm.config import SingleDirection
from charlm.display.surprisal import SurprisalColours, surprisal_bars
from charlm.formatting import harmless
from charlm.inference.model import Model


def show_heatmap(
    model: Model, texts: Iterable[tuple[str, str]], *, direction: SingleDirection | None
) -> None:
    """Show texts with the surprisal of each character, and a legend on stderr.

    Args:
        model: The model.
        texts: Text and name of each.
        direction: In which texts are read.
    """
    colours = SurprisalColours()
    for text, name in texts:
        nats = model.score_tokens(text, direction=direction, name=name).character_nats()
        visible_text = harmless(text) if is_terminal(sys.stdout) else text
        if text and not text.endswith("\n"):
            visible_text, nats = visible_text + "\n", [*nats, 0.0]
        start = 0
        for line in visible_text.split("\n")[:-1]:
            line_nats = nats[start : start + len(line)]
            start += len(line) + 1
            if colours.are_there:
                write(colours.coloured(line, line_nats) + "\n")
            else:
                write("".join(f"{row}\n" for row in surprisal_bars(line, line_nats)))
    colours.explain()
