"""Whole texts and their scores: a figure a line, a column a model, or JSON."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import typer

from charlm.checkpoint import Checkpoint
from charlm.cli.eval.compressors import baselines
from charlm.cli.output import finite, write, write_json
from charlm.config import Device, ScoreUnit, SingleDirection
from charlm.corpus.reading import Document
from charlm.errors import ConfigError, CorpusError
from charlm.formatting import visible
from charlm.inference.bidirectional import PseudoScore
from charlm.inference.model import Model
from charlm.inference.scoring import Score, best_of

NOTHING_TO_SCORE = "there is no text to score: it has 0 characters"
PAGE_CHOICES = 4  # likeliest tokens that a page tells for each place
KNOWN_SHARE = 0.1  # of a text, from which on its score is no test

Figures = dict[str, float | None]
Scored = Callable[[str, str], Score]  # of a text with a name


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """What is told or done beside the score.

    Attributes:
        models: The files of the models.
        device: Where PyTorch scores; None lets NumPy score.
        is_dynamic: Whether the one model also goes on learning from what it has scored.
        compared: Whether the text is compressed, too.
        training_documents: After which it is compressed once more, or none.
        page: Where a page is written that shows what surprises, or None.
        inputs: The files that are read, which no page replaces.
        fail_above: The highest score that is no failure, or None.
        unit: Of that score.
        is_json: Whether figures are told as JSON.
    """

    models: Sequence[Path]
    device: Device | None
    is_dynamic: bool
    compared: bool
    training_documents: Sequence[Document]
    page: Path | None
    inputs: Sequence[Path]
    fail_above: float | None
    unit: ScoreUnit
    is_json: bool


def show_figures(
    judges: dict[str, Model],
    documents: Sequence[Document],
    options: FigureOptions,
    *,
    direction: SingleDirection | None,
) -> None:
    """Show the scores of all documents together; exit 1 if they are above what they may be."""
    if options.page is not None:
        _check_page(options.page, documents, options.inputs)
    if options.device is not None or options.is_dynamic:
        _load_pytorch()
    scored = {
        label: _scored(judge, path, direction, options.device)
        for (label, judge), path in zip(judges.items(), options.models, strict=True)
    }
    dynamic_nats_of = None
    if options.is_dynamic:
        [judge], [path] = judges.values(), options.models
        dynamic_nats_of = _adapted(judge, path, direction, options.device or "cpu")
    scores = dict.fromkeys(judges, Score())
    dynamic = Score()
    for document in documents:
        text = "".join(document.read_text())
        for label, judge in judges.items():
            static = scored[label](text, document.name)
            scores[label] += static
            _note_what_is_known(judge, text, document.name, label if len(judges) > 1 else "")
        if dynamic_nats_of is not None:
            dynamic += replace(static, nats=dynamic_nats_of(text, document.name))
    if all(score.tokens == 0 for score in scores.values()):
        raise CorpusError(NOTHING_TO_SCORE)
    if options.page is not None:
        [(label, judge)], [score], [document] = judges.items(), scores.values(), documents
        _write_page(options.page, label, judge, document, score, direction)
    figures = {label: _figures(score) for label, score in scores.items()}
    more: Figures = {}
    if options.is_dynamic:
        if dynamic.nats > sum(score.nats for score in scores.values()):
            _note("the model gets worse by learning from this text: dynamic_nats is above nats")
        more = {
            "dynamic_nats": dynamic.nats,
            "dynamic_nats_per_token": dynamic.nats_per_token,
            "dynamic_bits_per_character": dynamic.bits_per_character,
        }
    if options.compared:
        more |= _compressed(documents, options.training_documents)
    _write(figures, list(scores.values()), more, is_json=options.is_json)
    if options.fail_above is not None:
        [(judge, score)] = zip(judges.values(), scores.values(), strict=True)
        found = judge.in_unit(score, options.unit)
        if not found <= options.fail_above:
            _note(f"{options.unit} {found:.4f} is above {options.fail_above:g}")
            raise typer.Exit(1)


def show_pseudo_figures(judge: Model, documents: Sequence[Document], *, is_json: bool) -> None:
    """Show the scores of texts whose tokens are predicted from both sides."""
    score = PseudoScore()
    for document in documents:
        text = "".join(document.read_text())
        score += judge.pseudo_score(text)
        _note_what_is_known(judge, text, document.name, "")
    if score.tokens == 0:
        raise CorpusError(NOTHING_TO_SCORE)
    figures: Figures = {
        "pseudo_nats": score.nats,
        "tokens": score.tokens,
        "pseudo_nats_per_token": score.nats_per_token,
        "pseudo_perplexity": finite(score.perplexity),
    }
    _write({"": figures}, [], {}, is_json=is_json)


def _figures(score: Score) -> Figures:
    return {
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "perplexity": finite(score.perplexity),
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
    }


def _load_pytorch() -> None:
    """Load PyTorch and make it ready.

    Raises:
        TrainingError: If there is no room for it.
    """
    from charlm.training import check_room_for_pytorch

    check_room_for_pytorch()
    from charlm.training.hardware import prepare

    prepare(None)  # as for training: denormal numbers cost a hundred times as much


def _scored(
    judge: Model, path: Path, direction: SingleDirection | None, device: Device | None
) -> Scored:
    """Return what scores a text with a name, by PyTorch on a device or by NumPy.

    Raises:
        ConfigError: If the model cannot be read in that direction.
        TrainingError: If the device is not there.
    """
    if device is None:
        return lambda text, name: judge.score(text, direction=direction, name=name)
    from charlm.training.hardware import choose_device
    from charlm.training.scoring import Scorer

    scorer = Scorer(_one_way(judge, path, direction), choose_device(device))
    return lambda text, name: scorer.score(text, name=name)


def _adapted(
    judge: Model, path: Path, direction: SingleDirection | None, device: Device
) -> Callable[[str, str], float]:
    """Return what scores a text with a name by a model that learns from it.

    Raises:
        ConfigError: If the model cannot be read in that direction, or not learn.
        TrainingError: If the device is not there.
    """
    from charlm.training.dynamic_evaluation import check_dynamic, dynamic_nats
    from charlm.training.hardware import choose_device

    for_direction, chosen = _one_way(judge, path, direction), choose_device(device)
    check_dynamic(for_direction)
    return lambda text, name: dynamic_nats(for_direction, text, device=chosen, name=name)


def _one_way(judge: Model, path: Path, direction: SingleDirection | None) -> Checkpoint:
    """Return the network of a model's file that reads in a direction, as a model of its own.

    Raises:
        ConfigError: If there is none.
    """
    judge.runtime(direction)  # which says so
    checkpoint = Checkpoint.load(path)
    return checkpoint.for_direction(direction or checkpoint.config.directions[0])


def _note_what_is_known(judge: Model, text: str, name: str, label: str) -> None:
    """Say so if a text is no test, because a part of it is what the model was made from."""
    share = judge.share_in_training_text(text)
    if share < KNOWN_SHARE:
        return
    model = f"the model {label}" if label else "the model"
    _note(
        f"about {100 * share:.0f} % of {name} stands in the text that {model} was trained from; "
        "only the part that was held out then is a test"
    )


def _note(text: str) -> None:
    from charlm.display import show_note  # rich, which a good run does not need

    show_note(text)


def _check_page(path: Path, documents: Sequence[Document], inputs: Sequence[Path]) -> None:
    """Find out before the work that a page cannot be written."""
    from charlm.files.atomic import check_writable

    if len(documents) > 1:
        raise ConfigError(f"a page shows one text; these are {len(documents)}")
    if path.exists() and any(each.exists() and path.samefile(each) for each in inputs):
        raise ConfigError(f"{path} is read, too", hint="name another file with --html")
    check_writable(path)


def _write_page(
    path: Path,
    label: str,
    judge: Model,
    document: Document,
    score: Score,
    direction: SingleDirection | None,
) -> None:
    """Write a page about a document and its score."""
    from charlm.cli.eval.page import write_page

    tokens = judge.score_tokens(
        "".join(document.read_text()),
        choices=PAGE_CHOICES,
        direction=direction,
        name=document.name,
    )
    facts = {
        "model": label,
        "bits per character": f"{score.bits_per_character:.3f}",
        "characters": f"{score.characters:,}",
        "perplexity per token": f"{score.perplexity:.4g}",
    }
    write_page(path, tokens.by_character(), title=Path(document.name).name, facts=facts)


def _compressed(documents: Sequence[Document], training: Sequence[Document]) -> Figures:
    """Return what compressors make of all documents, in bits per character."""
    characters = sum(len(chunk) for document in documents for chunk in document.read_text())

    def text_of(documents: Sequence[Document]) -> Iterable[bytes]:
        return (chunk.encode() for document in documents for chunk in document.read_text())

    sizes = baselines(lambda: text_of(documents), (lambda: text_of(training)) if training else None)
    return {f"{name}_bits_per_character": 8 * size / characters for name, size in sizes.items()}


def _write(
    figures: dict[str, Figures], scores: Sequence[Score], more: Figures, *, is_json: bool
) -> None:
    """Write the figures of each model; of several beneath their labels, and which is the best."""
    [first, *others] = figures.values()
    if not others:
        facts: dict[str, Any] = {**first, **more}
        if is_json:
            write_json(facts)
            return
        rows = {name: [_shown(value)] for name, value in facts.items()}
    else:
        best = list(figures)[best_of(scores)]
        if is_json:
            write_json({"models": figures, "best": best, **more})
            return
        rows = {"model": list(map(visible, figures))}
        rows |= {name: [_shown(each[name]) for each in figures.values()] for name in first}
        rows |= {name: [_shown(value)] for name, value in more.items()}
        rows["best"] = [visible(best)]
    widths = [max(map(len, column)) for column in zip_longest(*rows.values(), fillvalue="")]
    name_width = max(map(len, rows))
    for name, row in rows.items():
        columns = "  ".join(each.ljust(width) for each, width in zip(row, widths, strict=False))
        write(f"{name:{name_width}}  {columns}".rstrip() + "\n")


def _shown(value: float | None) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
