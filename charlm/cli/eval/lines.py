"""Lines and their scores: all of them, some of them, or the strangest."""

import heapq
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import typer

from charlm.cli.output import finite, is_terminal, write, write_json
from charlm.config import ScoreUnit, SingleDirection
from charlm.corpus.line_batches import LineBatch, read_line_batches
from charlm.corpus.reading import STDIN
from charlm.formatting import harmless
from charlm.inference.model import Model
from charlm.inference.scoring import Score, best_of


@dataclass(frozen=True, kw_only=True)
class LineChoice:
    """Which lines are shown, and how.

    Attributes:
        unit: Of the scores.
        least: The lowest score that passes, or None.
        most: The highest score that passes, or None.
        top: How many of the strangest pass, or None for all.
        is_scored: Whether scores are written before the lines.
        is_json: Whether lines are told as JSON.
    """

    unit: ScoreUnit
    least: float | None
    most: float | None
    top: int | None
    is_scored: bool
    is_json: bool

    @property
    def is_filter(self) -> bool:
        """Whether some lines may not pass."""
        return any(each is not None for each in (self.least, self.most, self.top))

    def passes(self, score: float) -> bool:
        """Return whether a line with this score passes."""
        return (self.least is None or score >= self.least) and (
            self.most is None or score <= self.most
        )


class JudgedLine(NamedTuple):
    """A line and its scores.

    Attributes:
        name: Of its file.
        number: In its file, from 1.
        text: Without its end.
        scores: One by each model.
        values: The same in the unit that was asked for.
    """

    name: str
    number: int
    text: str
    scores: Sequence[Score]
    values: Sequence[float]


def show_lines(
    judges: dict[str, Model],
    names: Sequence[str],
    choice: LineChoice,
    *,
    carry: bool,
    direction: SingleDirection | None,
) -> None:
    """Show the lines of files, each lot as soon as it is scored; exit 1 if a filter passes none."""
    has_passed = False
    # A heap. Percentiles may be equal where bits are not.
    strangest: list[tuple[float, float, int, JudgedLine]] = []
    order = itertools.count(0, -1)  # of two that are as strange, the first stays
    for batch in _judged(judges, names, choice.unit, carry=carry, direction=direction):
        passed = [line for line in batch if choice.passes(line.values[0])]
        has_passed = has_passed or bool(passed)
        if choice.top is None:
            _show(passed, list(judges), choice)
            continue
        for line in passed:
            entry = (line.values[0], line.scores[0].bits_per_character, next(order), line)
            if len(strangest) < choice.top:
                heapq.heappush(strangest, entry)
            else:
                heapq.heappushpop(strangest, entry)
    if choice.top is not None:
        _show([line for *_, line in sorted(strangest, reverse=True)], list(judges), choice)
    if choice.is_filter and not has_passed:
        raise typer.Exit(1)


def _judged(
    judges: dict[str, Model],
    names: Sequence[str],
    unit: ScoreUnit,
    *,
    carry: bool,
    direction: SingleDirection | None,
) -> Iterator[list[JudgedLine]]:
    """Yield the lines of files with their scores, as many at a time as were there."""
    for name in names:
        read = _noting_wrong_bytes(read_line_batches(name, is_strict=False))
        batches, *for_each = itertools.tee(read, 1 + len(judges))
        scored = [
            model.score_batches(
                (batch.lines for batch in own),
                carry=carry,
                direction=direction,
                name="stdin" if name == STDIN else name,
            )
            for model, own in zip(judges.values(), for_each, strict=True)
        ]
        for batch, *found in zip(batches, *scored, strict=True):
            values = [
                [model.in_unit(score, unit) for score in scores]
                for model, scores in zip(judges.values(), found, strict=True)
            ]
            yield _lines(batch, found, values)


def _noting_wrong_bytes(batches: Iterator[LineBatch]) -> Iterator[LineBatch]:
    """Yield the lots of a file, and say once if a line is not UTF-8."""
    is_said = False
    for batch in batches:
        if batch.wrong is not None and not is_said:
            from charlm.display import show_note

            is_said = True
            show_note(
                f"{batch.name}, line {batch.wrong:,}, is not UTF-8; "
                "its wrong bytes, and those of later lines, are read as U+FFFD"
            )
        yield batch


def _lines(
    batch: LineBatch, scores: Sequence[Sequence[Score]], values: Sequence[Sequence[float]]
) -> list[JudgedLine]:
    """Return the lines of a lot that were scored, given what each model says of them."""
    rows = zip(batch.lines, zip(*scores, strict=True), zip(*values, strict=True), strict=False)
    return [
        JudgedLine(batch.name, number, line.removesuffix("\n"), of_line, in_unit)
        for number, (line, of_line, in_unit) in enumerate(rows, start=batch.number)
    ]


def _show(lines: Sequence[JudgedLine], labels: Sequence[str], choice: LineChoice) -> None:
    if choice.is_json:
        for line in lines:
            write_json(_facts(line, labels, choice.unit))
        return
    shown = []
    for line in lines:
        columns = [f"{each:.4f}" for each in line.values] if choice.is_scored else []
        if len(labels) > 1:
            columns.append(labels[best_of(line.scores)])
        shown.append("\t".join([*columns, line.text]) + "\n")
    text = "".join(shown)
    write(harmless(text) if is_terminal(sys.stdout) else text)


def _facts(line: JudgedLine, labels: Sequence[str], unit: ScoreUnit) -> dict[str, Any]:
    """Return what is known of a line: of one model all figures, of several their scores."""
    facts: dict[str, Any] = {"file": line.name, "line": line.number, "text": line.text}
    if len(labels) > 1:
        scores = dict(zip(labels, map(finite, line.values), strict=True))
        return {**facts, "unit": unit, "scores": scores, "best": labels[best_of(line.scores)]}
    [score] = line.scores
    facts |= {
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
        "bits": score.bits,
        "bits_per_character": score.bits_per_character,
        "perplexity": finite(score.perplexity),
    }
    if unit == "percentile":
        facts["percentile"] = line.values[0]
    return facts
