"""The tokens or words of texts with their scores: tab-separated tables, or JSON."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from charlm.cli.output import write, write_json
from charlm.config import SingleDirection
from charlm.formatting import in_field, token_name
from charlm.inference.model import Model
from charlm.inference.token_scores import TokenScores

COLUMNS = ("line", "column", "token", "surprisal", "entropy", "rank", "best")
ROWS_AT_ONCE = 4096

Row = tuple[int, int, str, float, float, int, str]


def show_tokens(
    model: Model,
    texts: Iterable[tuple[str, str]],
    *,
    direction: SingleDirection | None,
    by_word: bool,
    with_names: bool,
    is_json: bool,
) -> None:
    """Show the surprisal of every token, or word, of texts.

    Args:
        model: The model.
        texts: Text and name of each.
        direction: In which texts are read.
        by_word: Whether the tokens of a word are joined into one row.
        with_names: Whether each row of the table begins with the name of its text.
        is_json: Whether rows are written as JSON.
    """
    if not is_json:
        write("\t".join(["file"] * with_names + list(COLUMNS)) + "\n")
    for text, name in texts:
        scores = model.score_tokens(text, direction=direction, name=name)
        rows = _rows(scores.by_word() if by_word else scores, by_word=by_word)
        if is_json:
            for row in rows:
                write_json({"file": name, **dict(zip(COLUMNS, row, strict=True))})
            continue
        prefix = [in_field(name)] if with_names else []
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            write("".join("\t".join([*prefix, *_fields(row)]) + "\n" for row in batch))


def _rows(scores: TokenScores, *, by_word: bool) -> Iterator[Row]:
    """Yield the rows of the table, with surprisal and entropy in bits."""
    text = scores.text
    line_ends = np.flatnonzero(np.array([character == "\n" for character in text], np.bool_))
    for number in range(len(scores.ids)):
        start, stop = int(scores.start[number]), int(scores.stop[number])
        token = scores.pieces[scores.ids[number]]
        if by_word and token is not None:
            token = text[start:stop].strip() or text[start:stop]
            start += text[start:stop].index(token)
        elif isinstance(token, str):
            token = text[start:stop]  # not the mark that may stand for it
        line = int(np.searchsorted(line_ends, start))
        column = start - (int(line_ends[line - 1]) + 1 if line else 0)
        yield (
            line + 1,
            column + 1,
            token_name(token),
            float(scores.nats[number]) / math.log(2),
            float(scores.entropy[number]) / math.log(2),
            int(scores.rank[number]),
            token_name(scores.pieces[scores.top_tokens[number, 0]]),
        )


def _fields(row: Row) -> Iterator[str]:
    """Yield the fields of a row, with enough digits to add up to the score of the text."""
    for value in row:
        yield in_field(value) if isinstance(value, str) else f"{value:.10g}"
