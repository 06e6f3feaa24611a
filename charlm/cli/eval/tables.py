"""Named figures on stdout: in aligned columns, or as JSON."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from charlm.cli.output import write, write_json

Figures = dict[str, float | None]


def write_figures(figures: Figures, *, is_json: bool) -> None:
    """Write the figures of one model."""
    if is_json:
        write_json(figures)
    else:
        write_table({name: [cell(value)] for name, value in figures.items()})


def write_table(rows: Mapping[str, Sequence[str]]) -> None:
    """Write named rows in aligned columns."""
    widths = [max(map(len, column)) for column in zip_longest(*rows.values(), fillvalue="")]
    name_width = max(map(len, rows))
    for name, row in rows.items():
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        write(f"{name:{name_width}}  {cells}".rstrip() + "\n")


def cell(value: float | None) -> str:
    """Return a figure as text; None is a perplexity that is too large for a float."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
