"""The tokens or words of texts with their scores: tab-separated tables, or JSON."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from charlm.cli.output import print_note, write, write_json
from charlm.config import SingleDirection
from charlm.config.patterns import UserPattern
from charlm.errors import ConfigError, CorpusError
from charlm.formatting import count, in_field, token_name
from charlm.inference.model import Model
from charlm.inference.token_scores import TokenScores

COLUMNS = ("line", "column", "token", "surprisal", "entropy", "rank", "best")
WORD_COLUMNS = (
    *("line", "column", "word", "surprisal", "token_entropies", "rank", "best"),
    *("tokens", "bytes"),
)
ROWS_AT_ONCE = 4096

Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What a table shows.

    Attributes:
        by_word: Whether the tokens of a word are joined into one row.
        words: What a word is; None is the text between white space.
        by_line: Whether each line is read alone.
        text_column: Name of the column that holds the texts, one in each line; None is the line.
        id_columns: Names of the columns that begin each row.
        context: What is read before each text and not scored.
        with_names: Whether each row of the table begins with the name of its file.
        is_json: Whether rows are written as JSON.
    """

    by_word: bool
    words: UserPattern | None
    by_line: bool
    text_column: str | None
    id_columns: tuple[str, ...]
    context: str
    with_names: bool
    is_json: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of a row."""
        names = WORD_COLUMNS if self.by_word else COLUMNS
        return (*self.id_columns, *names)


class _Part(NamedTuple):
    """A text that is scored alone: its line in the file, from 1, its ids, and the text."""

    line: int
    ids: tuple[str, ...]
    text: str


def show_tokens(
    model: Model,
    texts: Iterable[tuple[str, str]],
    options: TableOptions,
    *,
    direction: SingleDirection | None,
) -> None:
    """Show the surprisal of every token, or word, of texts.

    Args:
        model: The model.
        texts: Text and name of each.
        options: What the table shows.
        direction: In which texts are read.
    """
    header = "\t".join(["file"] * options.with_names + list(options.columns)) + "\n"
    for text, name in texts:
        if not options.by_line and model.config.task == "text":
            _note_lines(text, name)
        rows = _rows_of_text(model, text, name, options, direction)
        if options.is_json:
            for row in rows:
                write_json({"file": name, **dict(zip(options.columns, row, strict=True))})
            continue
        prefix = [in_field(name)] if options.with_names else []
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            header, above = "", header  # so that an error before has no header
            write(above + "".join("\t".join([*prefix, *_fields(row)]) + "\n" for row in batch))
    if header and not options.is_json:
        write(header)


def _note_lines(text: str, name: str) -> None:
    """Print a note if a text has several lines, which are read one after another."""
    lines = len(text.splitlines())
    if lines > 1:
        print_note(
            f"the {count(lines, 'line')} of {name} are read one after another, as one text; "
            "--per-line reads each alone"
        )


def _rows_of_text(
    model: Model,
    text: str,
    name: str,
    options: TableOptions,
    direction: SingleDirection | None,
) -> Iterator[Row]:
    """Yield the rows of a text, or of each line of it."""
    for part in _parts(text, name, options):
        scores = model.score_tokens(
            part.text, context=options.context, direction=direction, name=name
        )
        if options.by_word:
            scores = scores.by_word(options.words)
        for row in _rows(scores, first_line=part.line, by_word=options.by_word):
            yield (*part.ids, *row)


def _parts(text: str, name: str, options: TableOptions) -> Iterator[_Part]:
    """Yield what is scored alone: the text, its lines, or a column of its lines."""
    if not options.by_line:
        yield _Part(1, (), text)
        return
    lines = text.split("\n")
    line_end = "" if options.context else "\n"  # as for --per-line
    ends = [line_end] * (len(lines) - 1) + [""]
    if options.text_column is None:
        yield from (
            _Part(number, (), line + end)
            for number, (line, end) in enumerate(zip(lines, ends, strict=True), start=1)
            if line.strip()
        )
        return
    header = lines[0].rstrip("\r").split("\t")
    text_index = _index(options.text_column, header, name)
    id_indices = [_index(column, header, name) for column in options.id_columns]
    has_quoted = False
    for number, line in enumerate(lines[1:], start=2):
        fields = line.rstrip("\r").split("\t")
        if not line.strip():
            continue
        if len(fields) < len(header):
            raise CorpusError(
                f"{name}, line {number:,}, has {count(len(fields), 'column')}, "
                f"and the header has {len(header)}"
            )
        if not fields[text_index].strip():
            print_note(f"{name}, line {number:,}, has an empty text, which is left out")
            continue
        if not has_quoted and re.fullmatch('".+"', fields[text_index]):
            has_quoted = True
            print_note(
                f"{name}, line {number:,}, has a text between quotation marks, which are read as "
                "part of it; if a program added them, save the table without"
            )
        yield _Part(number, tuple(fields[index] for index in id_indices), fields[text_index])


def _index(column: str, header: list[str], name: str) -> int:
    """Return where a column of a name stands.

    Raises:
        ConfigError: If there is none.
    """
    if column not in header:
        hint = f"its columns are {', '.join(header)}"
        if len(header) == 1:
            hint = f"columns are separated by tabs, and its first line has none: {header[0]}"
        raise ConfigError(f"{name} has no column {column!r}", hint=hint)
    return header.index(column)


def _rows(scores: TokenScores, *, first_line: int, by_word: bool) -> Iterator[Row]:
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
        row: Row = (
            line + first_line,
            column + 1,
            token_name(token),
            float(scores.nats[number]) / math.log(2),
            float(scores.entropy[number]) / math.log(2),
            int(scores.rank[number]),
            token_name(scores.pieces[scores.top_tokens[number, 0]]),
        )
        if by_word:
            row += (int(scores.tokens[number]), int(scores.bytes[number]))
        yield row


def _fields(row: Row) -> Iterator[str]:
    """Yield the fields of a row, with enough digits to add up to the score of the text."""
    for value in row:
        yield in_field(value) if isinstance(value, str) else f"{value:.10g}"
