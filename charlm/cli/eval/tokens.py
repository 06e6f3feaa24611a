"""Texts token by token or word by word: tables of tabs, or JSON."""

import itertools
import math
from collections.abc import Iterable, Iterator

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
    judge: Model,
    texts: Iterable[tuple[str, str]],
    *,
    direction: SingleDirection | None,
    is_of_words: bool,
    is_of_several: bool,
    is_json: bool,
) -> None:
    """Show the surprisal of every token, or word, of texts that have names.

    Args:
        judge: The model.
        texts: Text and name of each.
        direction: In which they are read.
        is_of_words: Whether the tokens of a word are shown together.
        is_of_several: Whether the name of its text stands before each row.
        is_json: Whether rows are told as JSON.
    """
    if not is_json:
        write("\t".join(["file"] * is_of_several + list(COLUMNS)) + "\n")
    for text, name in texts:
        scores = judge.score_tokens(text, direction=direction, name=name)
        rows = _rows(scores.by_word() if is_of_words else scores, is_of_words=is_of_words)
        if is_json:
            for row in rows:
                write_json({"file": name, **dict(zip(COLUMNS, row, strict=True))})
            continue
        first = [in_field(name)] if is_of_several else []
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            write("".join("\t".join([*first, *_fields(row)]) + "\n" for row in some))


def _rows(scores: TokenScores, *, is_of_words: bool) -> Iterator[Row]:
    """Yield the rows of the table, surprisal and entropy in bits."""
    text = scores.text
    ends = np.flatnonzero(np.array([character == "\n" for character in text], np.bool_))
    for number in range(len(scores.ids)):
        start, stop = int(scores.start[number]), int(scores.stop[number])
        token = scores.pieces[scores.ids[number]]
        if is_of_words and token is not None:
            token = text[start:stop].strip() or text[start:stop]
            start += text[start:stop].index(token)
        line = int(np.searchsorted(ends, start))
        column = start - (int(ends[line - 1]) + 1 if line else 0)
        yield (
            line + 1,
            column + 1,
            token_name(token),
            float(scores.nats[number]) / math.log(2),
            float(scores.entropy[number]) / math.log(2),
            int(scores.rank[number]),
            token_name(scores.pieces[scores.choices[number, 0]]),
        )


def _fields(row: Row) -> Iterator[str]:
    """Yield the row's fields, with so many digits that sums are those of the whole."""
    for each in row:
        yield in_field(each) if isinstance(each, str) else f"{each:.10g}"
