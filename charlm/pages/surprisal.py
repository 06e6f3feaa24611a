"""An HTML page that shows the surprisal of a text and the likeliest tokens at each position.

The page holds its text twice: as plain text, which needs no script, and as compressed columns. Only
the visible part has an element for each token.
"""

import math
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.files.atomic import write_atomically
from charlm.inference.token_scores import TokenScores
from charlm.pages.template import facts, fill, printable

# The lowest number of bits of each colour.
CHARACTER_STEPS = (0, 1, 3, 6, 10)
TOKEN_STEPS = (0, 2, 6, 12, 20)
MOST_BINS = 300  # of the chart
SHORTEST_BLOCK, LONGEST_BLOCK = 600, 1600  # characters; a browser lays out a block at once

Integers = NDArray[np.int64]
Values = NDArray[np.float64]


def write_page(path: Path, scores: TokenScores, *, title: str, figures: Mapping[str, str]) -> None:
    """Write a page that shows the surprisal of each token of a text.

    The page is one file and loads no other. It is written atomically.

    Args:
        path: The file.
        scores: Of at least one token.
        title: The heading.
        figures: Shown below the heading, by name.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    text = printable(scores.text)
    lengths = scores.stop - scores.start
    by_character = float(np.median(lengths)) <= 1
    steps = CHARACTER_STEPS if by_character else TOKEN_STEPS
    chart = _chart(scores)
    parts = {
        "figures": facts(figures),
        "legend": legend(
            steps, by_character=by_character, has_gaps=bool(lengths.sum() < len(text))
        ),
        "strong": str(steps[3]),
        "blocks": "".join(
            f'<div class="block">{escape(block)}</div>' for block in _blocks(text, scores)
        ),
        **chart.parts(),
    }
    data = _data(scores, text, steps, chart)
    write_atomically(path, fill("surprisal", parts, title=title, data=data).encode())


@dataclass(frozen=True, kw_only=True)
class _Chart:
    """Bits per character along a text.

    Attributes:
        edges: The bounds of the bins in the text, in characters, shape (bins + 1,).
        values: Bits per character of each bin; 0 where nothing is scored, shape (bins,).
        mean: Bits per character of the whole text.
    """

    edges: Integers
    values: Values
    mean: float

    def parts(self) -> dict[str, str]:
        """Return the fields of the template; heights are fractions of the chart, from the top."""
        highest = int(self.values.argmax())
        top = _round_up(float(self.values.max()))
        heights = 1 - self.values / top
        begins, characters = self.edges[:-1], int(self.edges[-1])
        size = round(characters / len(begins))
        return {
            "bins": str(len(begins)),
            "bin_size": "1 character" if size == 1 else f"{size:,} characters",
            "area": f"M0 1{''.join(f'V{height:.3f}h1' for height in heights)}V1Z",
            "mean": f"{self.mean:.2f}",
            "mean_height": f"{1 - self.mean / top:.3f}",
            "top": f"{top:g}",
            "middle": f"{top / 2:g}",
            "characters": f"{characters:,}",
            "description": f"The mean is {self.mean:.2f}. The maximum is {self.values.max():.2f}, "
            f"at character {begins[highest] + 1:,} of {characters:,}.",
        }


def _chart(scores: TokenScores) -> _Chart:
    """Return a chart in which the bits of a token are spread evenly over its characters."""
    bits = scores.nats / math.log(2)
    counted, characters = _counted(scores), len(scores.text)
    bounds = np.column_stack([scores.start, scores.stop]).ravel()
    edges = np.linspace(0, characters, min(MOST_BINS, characters) + 1).round().astype(np.int64)

    def in_bins(amounts: NDArray[Any]) -> Values:
        after = np.cumsum(amounts, dtype=np.float64)
        cumulative = np.column_stack([after - amounts, after]).ravel()
        result: Values = np.diff(np.interp(edges[1:], bounds, cumulative), prepend=0.0)
        return result

    values = np.maximum(in_bins(bits), 0) / np.maximum(in_bins(counted), 1)
    return _Chart(edges=edges, values=values, mean=float(bits.sum() / counted.sum()))


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 0.1)))
    return power * next(factor for factor in (1, 2, 4, 6, 8, 10) if factor * power >= value)


def _counted(scores: TokenScores) -> Integers:
    """Return the characters of each token, shape (N,); the end of an example counts as one."""
    is_end = np.array([piece is None for piece in scores.pieces])[scores.ids]
    return np.where(is_end, 1, scores.stop - scores.start)


def legend(steps: Sequence[int], *, by_character: bool, has_gaps: bool) -> str:
    """Return a list item for each colour with its range of bits."""
    names = [f"{low}–{high}" for low, high in pairwise(steps)]
    items = [
        f'<li class="heat-{level}">{name}</li>'
        for level, name in enumerate([*names, f"{steps[-1]} and more"])
    ]
    unit = "character" if by_character else "token"
    gap = '<li class="gap">not scored</li>' if has_gaps else ""
    return "".join([f"<li>Bits per {unit}:</li>", *items, gap])


def _blocks(text: str, scores: TokenScores) -> Iterator[str]:
    """Yield `text` in blocks, cut at a line end, else at white space, never within a token."""
    opened = np.bincount(scores.start, minlength=len(text) + 1)
    closed = np.bincount(scores.stop, minlength=len(text) + 1)
    is_between = np.cumsum(opened - closed) - opened == 0
    ranks = [1 + character.isspace() + (character == "\n") for character in text]
    quality = np.where(is_between, np.array([1, *ranks]), 0)  # of a cut before each character
    begin = 0
    while len(text) - begin > LONGEST_BLOCK:
        window = quality[begin + SHORTEST_BLOCK : begin + LONGEST_BLOCK]
        cut = begin + LONGEST_BLOCK - 1 - int(window[::-1].argmax())
        if not quality[cut]:  # a token longer than the window
            cut += int((quality[cut:] > 0).argmax())
        yield text[begin:cut]
        begin = cut
    yield text[begin:]


def _data(scores: TokenScores, text: str, steps: Sequence[int], chart: _Chart) -> dict[str, Any]:
    """Return the data of the page's script; positions are in UTF-16 code units."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    position = np.append(0, np.cumsum(1 + (codes > 0xFFFF)))  # of each character
    begin, end = position[scores.start], position[scores.stop]
    is_used = np.zeros(len(scores.pieces), np.bool_)
    is_used[scores.ids] = is_used[scores.top_tokens] = True
    compact_id = is_used.cumsum() - 1  # the page holds used tokens only
    pieces = [scores.pieces[token] for token in np.flatnonzero(is_used).tolist()]
    bits = scores.nats / math.log(2)
    line_start = np.append(0, np.flatnonzero(codes == ord("\n")) + 1)
    lines, first = np.unique(
        np.searchsorted(line_start, scores.start, side="right") - 1, return_index=True
    )
    columns = {
        "gaps": begin - np.append(0, end[:-1]),
        "lengths": end - begin,
        "bits": _thousandths(bits),
        "entropies": _thousandths(scores.entropy / math.log(2)),
        "ranks": scores.rank,
        "tokens": compact_id[scores.ids],
        "topTokens": compact_id[scores.top_tokens],
        "probabilities": _thousandths(np.exp(-scores.top_nats)),
        "lineNumbers": lines + 1,
        "lineStarts": position[line_start[lines]],
        "lineUnits": first,
        "lineCharacters": np.add.reduceat(_counted(scores), first),
    }
    return {
        "steps": steps,
        "strong": steps[3],
        # The end of an example counts only if it was predicted.
        "tokens": len(scores.pieces) - (None in scores.pieces and None not in pieces),
        "pieces": pieces,
        "topTokens": scores.top_tokens.shape[1],
        "bins": chart.values.round(3).tolist(),
        "binStarts": position[chart.edges[:-1]].tolist(),
        "columns": {name: _packed(values) for name, values in columns.items()},
    }


def _thousandths(values: NDArray[np.floating[Any]]) -> Integers:
    """Return values in thousandths, at most 2^32 − 1."""
    whole: Integers = np.clip(values * 1000.0, 0, 2**32 - 1).round().astype(np.int64)
    return whole


def _packed(values: NDArray[Any]) -> dict[str, str]:
    """Return compressed integers in JavaScript's smallest typed array that holds them."""
    dtype = np.min_scalar_type(int(values.max(initial=0)))
    content = zlib.compress(values.astype(dtype.newbyteorder("<")).tobytes())
    return {"type": f"Uint{8 * dtype.itemsize}Array", "content": b64encode(content).decode()}
