"""Lines with their scores: all lines, those within limits, or those with the highest scores."""

import heapq
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import typer

from charlm.cli.output import (
    counted_on_terminal,
    finite,
    is_terminal,
    print_note,
    write,
    write_json,
)
from charlm.config import ScoreUnit, SingleDirection
from charlm.corpus.folders import STDIN
from charlm.corpus.line_batches import LineBatch, read_line_batches
from charlm.errors import ConfigError
from charlm.formatting import harmless
from charlm.inference.model import Model
from charlm.inference.scoring import Score, index_of_best

if TYPE_CHECKING:
    from charlm.cli.eval.heatmap import Heatmap


@dataclass(frozen=True, kw_only=True)
class LineOptions:
    """Which lines are shown, and how.

    Attributes:
        unit: The unit of scores and limits.
        min_score: The lowest score that passes, or None.
        max_score: The highest score that passes, or None.
        top: Number of lines to show, those with the highest scores; None shows all.
        shows_scores: Whether scores are written before the lines.
        is_choice: Whether all lines are ranked by their probabilities among each other.
        is_heatmap: Whether lines are shown with the surprisal of each character.
        context: What is read before each line and not scored.
        is_json: Whether lines are written as JSON.
    """

    unit: ScoreUnit
    min_score: float | None
    max_score: float | None
    top: int | None
    shows_scores: bool
    is_choice: bool
    is_heatmap: bool
    context: str
    is_json: bool

    @property
    def is_filter(self) -> bool:
        """Whether --min-score, --max-score or --top may leave out lines."""
        return any(limit is not None for limit in (self.min_score, self.max_score, self.top))

    def passes(self, score: float) -> bool:
        """Return whether a line with this score is within the limits."""
        return (self.min_score is None or score >= self.min_score) and (
            self.max_score is None or score <= self.max_score
        )


class ScoredLine(NamedTuple):
    """A line and its scores.

    Attributes:
        name: The name of its file.
        number: Its number in the file, from 1.
        text: The line without its end.
        scores: One score by each model.
        values: The scores in the unit of the options.
    """

    name: str
    number: int
    text: str
    scores: Sequence[Score]
    values: Sequence[float]


def show_lines(
    models: dict[str, Model],
    names: Sequence[str],
    options: LineOptions,
    *,
    carry: bool,
    direction: SingleDirection | None,
) -> None:
    """Show the lines of files batch by batch; exit 1 if a filter passes none.

    Args:
        models: By label.
        names: The files.
        options: Which lines are shown, and how.
        carry: Whether the recurrent state is carried from line to line.
        direction: In which lines are read.
    """
    if options.unit == "percentile":
        _check_percentiles(models, direction)
    any_passed = False
    heatmap = _heatmap(models, options, direction) if options.is_heatmap else None
    # A heap, by score; equal percentiles are ordered by bits, and equal lines by their order.
    highest: list[tuple[float, float, int, ScoredLine]] = []
    order = itertools.count(0, -1)
    batches = counted_on_terminal(
        _score_files(models, names, options, carry=carry, direction=direction), "lines", len
    )
    if options.is_choice:
        _write_choices([line for batch in batches for line in batch], is_json=options.is_json)
        return
    for batch in batches:
        passed = [line for line in batch if options.passes(line.values[0])]
        any_passed = any_passed or bool(passed)
        if options.top is None:
            _write_lines(passed, list(models), options, heatmap)
            continue
        for line in passed:
            entry = (line.values[0], line.scores[0].bits_per_character, next(order), line)
            if len(highest) < options.top:
                heapq.heappush(highest, entry)
            else:
                heapq.heappushpop(highest, entry)
    if options.top is not None:
        passed = [line for *_, line in sorted(highest, reverse=True)]
        _write_lines(passed, list(models), options, heatmap)
    if heatmap is not None and any_passed:
        heatmap.explain()
    if options.is_filter and not any_passed:
        raise typer.Exit(1)


def _heatmap(
    models: dict[str, Model], options: LineOptions, direction: SingleDirection | None
) -> "Heatmap":
    """Return the heat map that shows the lines of one model."""
    from charlm.cli.eval.heatmap import Heatmap  # rich, which other lines do not need

    [model] = models.values()
    return Heatmap(model, direction=direction, context=options.context)


def _check_percentiles(models: dict[str, Model], direction: SingleDirection | None) -> None:
    """Raise ConfigError if lines are read in another direction than the held-out lines."""
    for model in models.values():
        own_direction = model.config.directions[0]
        if direction not in (None, own_direction):
            raise ConfigError(
                f"the percentiles of this model are for lines read {own_direction}",
                hint="leave out --direction",
            )


def _score_files(
    models: dict[str, Model],
    names: Sequence[str],
    options: LineOptions,
    *,
    carry: bool,
    direction: SingleDirection | None,
) -> Iterator[list[ScoredLine]]:
    """Yield the scored lines of files, in the batches in which they are read."""
    for name in names:
        lines = _noting_wrong_bytes(read_line_batches(name, is_strict=False))
        batches, *batches_by_model = itertools.tee(lines, 1 + len(models))
        scores_by_model = [
            model.score_batches(
                (batch.lines for batch in model_batches),
                carry=carry,
                context=options.context,
                direction=direction,
                name="stdin" if name == STDIN else name,
            )
            for model, model_batches in zip(models.values(), batches_by_model, strict=True)
        ]
        for batch, *scores in zip(batches, *scores_by_model, strict=True):
            values = [
                [model.in_unit(score, options.unit) for score in model_scores]
                for model, model_scores in zip(models.values(), scores, strict=True)
            ]
            yield _scored_lines(batch, scores, values)


def _noting_wrong_bytes(batches: Iterator[LineBatch]) -> Iterator[LineBatch]:
    """Yield the batches of a file; print a note at the first line that is not UTF-8."""
    is_noted = False
    for batch in batches:
        if batch.wrong is not None and not is_noted:
            is_noted = True
            print_note(
                f"{batch.name}, line {batch.wrong:,}, is not UTF-8; "
                "wrong bytes in it and in later lines are read as U+FFFD"
            )
        yield batch


def _scored_lines(
    batch: LineBatch, scores: Sequence[Sequence[Score]], values: Sequence[Sequence[float]]
) -> list[ScoredLine]:
    """Return the lines of a batch that have scores; scores and values are one list a model."""
    rows = zip(batch.lines, zip(*scores, strict=True), zip(*values, strict=True), strict=False)
    return [
        ScoredLine(batch.name, number, line.removesuffix("\n"), line_scores, line_values)
        for number, (line, line_scores, line_values) in enumerate(rows, start=batch.number)
    ]


def _write_lines(
    lines: Sequence[ScoredLine],
    labels: Sequence[str],
    options: LineOptions,
    heatmap: "Heatmap | None",
) -> None:
    """Write lines as JSON, as a heat map, or with their scores and the best model before them."""
    if heatmap is not None:
        for line in lines:
            heatmap.show(line.text, line.name)
        return
    if options.is_json:
        for line in lines:
            write_json(_line_to_json(line, labels, options.unit))
        return
    rows = []
    for line in lines:
        columns = [f"{value:.4f}" for value in line.values] if options.shows_scores else []
        if len(labels) > 1:
            best, margin = index_of_best(line.scores), _margin(line.scores)
            columns.append("" if best is None else labels[best])
            columns.append("" if margin is None else f"{margin:.4f}")
        rows.append("\t".join([*columns, line.text]) + "\n")
    text = "".join(rows)
    write(harmless(text) if is_terminal(sys.stdout) else text)


def _write_choices(lines: Sequence[ScoredLine], *, is_json: bool) -> None:
    """Write lines with their probabilities among each other and bits, the likeliest first."""
    nats = np.array([line.scores[0].nats for line in lines if line.text])
    shares = np.exp(nats.min(initial=np.inf) - nats)
    shares /= shares.sum()
    choices = zip(shares.tolist(), [line for line in lines if line.text], strict=True)
    for share, line in sorted(choices, key=lambda choice: -choice[0]):
        if is_json:
            write_json({**_line_to_json(line, ["model"], "bits"), "probability": share})
        else:
            text = f"{share:.6f}\t{line.scores[0].bits:.4f}\t{line.text}\n"
            write(harmless(text) if is_terminal(sys.stdout) else text)


def _margin(scores: Sequence[Score]) -> float | None:
    """Return how far the second best model is, in bits per character; None for a blank line."""
    if index_of_best(scores) is None:
        return None
    best, second, *_ = sorted(score.bits_per_character for score in scores)
    return second - best


def _line_to_json(line: ScoredLine, labels: Sequence[str], unit: ScoreUnit) -> dict[str, Any]:
    """Return a line as a JSON object: all figures of one model, or one score of each model."""
    fields: dict[str, Any] = {"file": line.name, "line": line.number, "text": line.text}
    if len(labels) > 1:
        scores = dict(zip(labels, map(finite, line.values), strict=True))
        best = index_of_best(line.scores)
        return {
            **fields,
            "unit": unit,
            "scores": scores,
            "best": None if best is None else labels[best],
            "margin": _margin(line.scores),
        }
    [score] = line.scores
    fields |= {
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
        "bits": score.bits,
        "bits_per_character": score.bits_per_character,
        "perplexity": finite(score.perplexity),
    }
    if unit == "percentile":
        fields["percentile"] = line.values[0]
    return fields
