"""A text with the surprisal of each character, as colours or as bars."""

import sys
from collections.abc import Iterable

from charlm.cli.output import is_terminal, write
from charlm.config import SingleDirection
from charlm.display.surprisal import SurprisalColours, surprisal_bars
from charlm.formatting import harmless
from charlm.inference.model import Model


class Heatmap:
    """Shows texts with the surprisal of each character."""

    def __init__(
        self, model: Model, *, direction: SingleDirection | None, context: str = ""
    ) -> None:
        """Read texts in `direction`, and `context` before each."""
        self._model, self._direction, self._context = model, direction, context
        self._colours = SurprisalColours()

    def show(self, text: str, name: str) -> None:
        """Show a text, called `name` in errors."""
        scores = self._model.score_tokens(
            text, context=self._context, direction=self._direction, name=name
        )
        nats = scores.character_nats()
        visible_text = harmless(text) if is_terminal(sys.stdout) else text
        if not text.endswith("\n"):
            visible_text, nats = visible_text + "\n", [*nats, 0.0]
        start = 0
        for line in visible_text.split("\n")[:-1]:
            line_nats = nats[start : start + len(line)]
            start += len(line) + 1
            if self._colours.are_there:
                write(self._colours.coloured(line, line_nats) + "\n")
            else:
                write("".join(f"{row}\n" for row in surprisal_bars(line, line_nats)))

    def explain(self) -> None:
        """Print the legend on stderr."""
        self._colours.explain()


def show_heatmap(
    model: Model, texts: Iterable[tuple[str, str]], *, direction: SingleDirection | None
) -> None:
    """Show texts with the surprisal of each character, and a legend on stderr.

    Args:
        model: The model.
        texts: Text and name of each.
        direction: In which texts are read.
    """
    heatmap = Heatmap(model, direction=direction)
    for text, name in texts:
        if text:
            heatmap.show(text, name)
    heatmap.explain()
