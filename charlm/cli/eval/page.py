"""A text as a page for a browser: where it surprises a model, and what was expected instead."""

import json
import math
import re
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.files.atomic import write_atomically
from charlm.formatting import harmless, without_surrogates
from charlm.inference.token_scores import TokenScores

# From so many bits on, each step has a colour of its own.
CHARACTER_STEPS = (0, 1, 3, 6, 10)
TOKEN_STEPS = (0, 2, 6, 12, 20)
MOST_BINS = 300  # of the chart
SHORTEST_BLOCK, LONGEST_BLOCK = 600, 1600  # characters that a browser lays out at once

_MARKER = re.compile(r"\{\{(\w+)\}\}")

Places = NDArray[np.int64]
Values = NDArray[np.float64]


def write_page(path: Path, scores: TokenScores, *, title: str, facts: Mapping[str, str]) -> None:
    """Write a page that shows how surprising each part of a text is, whole or not at all.

    The page is one file: it asks for nothing from elsewhere.

    Args:
        path: Where to.
        scores: Of at least one token. Each is a part of the text that can be pointed at.
        title: What is scored, in words.
        facts: What stands below the title, by name.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    text = _shown(scores.text)
    lengths = scores.stop - scores.start
    of_characters = float(np.median(lengths)) <= 1
    steps = CHARACTER_STEPS if of_characters else TOKEN_STEPS
    chart = _chart(scores)
    template = resources.files("charlm.cli.eval").joinpath("page.html").read_text("utf-8")
    parts = {
        "style_hash": _hash_of("style", template),
        "script_hash": _hash_of("script", template),
        "title": escape(_shown(title)),
        "facts": "".join(
            f"<div><dt>{escape(_shown(name))}</dt><dd>{escape(_shown(value))}</dd></div>"
            for name, value in facts.items()
        ),
        "legend": _legend(
            steps, of_characters=of_characters, has_gaps=bool(lengths.sum() < len(text))
        ),
        "strong": str(steps[3]),
        "blocks": "".join(
            f'<div class="block">{escape(block)}</div>' for block in _blocks(text, scores)
        ),
        "data": _data(scores, text, steps, chart),
        **chart.parts(),
    }
    page = _MARKER.sub(lambda marker: parts[marker[1]], template)
    write_atomically(path, page.encode())


@dataclass(frozen=True, kw_only=True)
class _Chart:
    """Bits per character along a text.

    Attributes:
        edges: Where each bin begins, and where the last ends, in characters, shape (bins + 1,).
        values: Of each bin, in bits per character; 0 where nothing is scored, shape (bins,).
        mean: Of the whole text, in bits per character.
    """

    edges: Places
    values: Values
    mean: float

    def parts(self) -> dict[str, str]:
        """Return what the template wants of it; heights are shares of the chart's, from above."""
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
            "description": f"The mean is {self.mean:.2f}. It is highest, {self.values.max():.2f}, "
            f"from character {begins[highest] + 1:,} of {characters:,} on.",
        }


def _chart(scores: TokenScores) -> _Chart:
    """Return a chart in which what a token tells is spread evenly over its characters."""
    bits = scores.nats / math.log(2)
    counted, characters = _counted(scores), len(scores.text)
    places = np.column_stack([scores.start, scores.stop]).ravel()
    edges = np.linspace(0, characters, min(MOST_BINS, characters) + 1).round().astype(np.int64)

    def in_bins(amounts: NDArray[Any]) -> Values:
        after = np.cumsum(amounts, dtype=np.float64)
        passed = np.column_stack([after - amounts, after]).ravel()
        result: Values = np.diff(np.interp(edges[1:], places, passed), prepend=0.0)
        return result

    values = np.maximum(in_bins(bits), 0) / np.maximum(in_bins(counted), 1)
    return _Chart(edges=edges, values=values, mean=float(bits.sum() / counted.sum()))


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 0.1)))
    return power * next(each for each in (1, 2, 4, 6, 8, 10) if each * power >= value)


def _counted(scores: TokenScores) -> Places:
    """Return the characters of each token; the end of an item counts as one, shape (N,)."""
    is_end = np.array([piece is None for piece in scores.pieces])[scores.ids]
    return np.where(is_end, 1, scores.stop - scores.start)


def _shown(text: str) -> str:
    """Return `text` as a page can hold it, with as many characters as before."""
    return without_surrogates(harmless(text))


def _hash_of(tag: str, template: str) -> str:
    """Return what a Content-Security-Policy calls the template's own style or script."""
    content = template.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


def _legend(steps: Sequence[int], *, of_characters: bool, has_gaps: bool) -> str:
    """Return an item for each colour, with the bits that it stands for."""
    names = [f"{low}–{high}" for low, high in pairwise(steps)]
    items = [
        f'<li class="heat-{level}">{name}</li>'
        for level, name in enumerate([*names, f"{steps[-1]} and more"])
    ]
    unit = "character" if of_characters else "token"
    gap = '<li class="gap">not scored</li>' if has_gaps else ""
    return "".join([f"<li>Bits per {unit}:</li>", *items, gap])


def _blocks(text: str, scores: TokenScores) -> Iterator[str]:
    """Yield `text` in blocks, cut where a line ends, else at white space, and in no token."""
    opened = np.bincount(scores.start, minlength=len(text) + 1)
    closed = np.bincount(scores.stop, minlength=len(text) + 1)
    is_between = np.cumsum(opened - closed) - opened == 0
    marks = np.array([1, *(1 + each.isspace() + (each == "\n") for each in text)])
    worth = np.where(is_between, marks, 0)
    begin = 0
    while len(text) - begin > LONGEST_BLOCK:
        window = worth[begin + SHORTEST_BLOCK : begin + LONGEST_BLOCK]
        cut = begin + LONGEST_BLOCK - 1 - int(window[::-1].argmax())
        if not worth[cut]:  # a token longer than the window
            cut += int((worth[cut:] > 0).argmax())
        yield text[begin:cut]
        begin = cut
    yield text[begin:]


def _data(scores: TokenScores, text: str, steps: Sequence[int], chart: _Chart) -> str:
    """Return as JSON what the page's script reads; places are in the UTF-16 of JavaScript."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    place = np.append(0, np.cumsum(1 + (codes > 0xFFFF)))
    begin, end = place[scores.start], place[scores.stop]
    is_used = np.zeros(len(scores.pieces), np.bool_)
    is_used[scores.ids] = is_used[scores.choices] = True
    compact = is_used.cumsum() - 1  # an id among those that are used
    pieces = [scores.pieces[each] for each in np.flatnonzero(is_used).tolist()]
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
        "tokens": compact[scores.ids],
        "choices": compact[scores.choices],
        "probabilities": _thousandths(np.exp(-scores.choice_nats)),
        "lineNumbers": lines + 1,
        "lineStarts": place[line_start[lines]],
        "lineUnits": first,
        "lineCharacters": np.add.reduceat(_counted(scores), first),
    }
    data = {
        "steps": steps,
        "strong": steps[3],
        # Where no end was predicted, it was no choice.
        "tokens": len(scores.pieces) - (None in scores.pieces and None not in pieces),
        "pieces": pieces,
        "choices": scores.choices.shape[1],
        "bins": chart.values.round(3).tolist(),
        "binStarts": place[chart.edges[:-1]].tolist(),
        "columns": {name: _packed(values) for name, values in columns.items()},
    }
    return json.dumps(data).replace("<", "\\u003c")  # nothing in it ends the script


def _thousandths(values: NDArray[np.floating[Any]]) -> Places:
    """Return values in thousandths, as far as four bytes go."""
    whole: Places = np.clip(values * 1000.0, 0, 2**32 - 1).round().astype(np.int64)
    return whole


def _packed(values: NDArray[Any]) -> dict[str, str]:
    """Return whole numbers in the smallest type of JavaScript that holds them, compressed."""
    kind = np.min_scalar_type(int(values.max(initial=0)))
    content = zlib.compress(values.astype(kind.newbyteorder("<")).tobytes())
    return {"type": f"Uint{8 * kind.itemsize}Array", "content": b64encode(content).decode()}
