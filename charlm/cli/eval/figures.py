"""The figures of whole texts: one line a figure and one column a model, or JSON."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from charlm.cli.eval.answers import answer_figures
from charlm.cli.eval.compressors import compressed_sizes
from charlm.cli.eval.tables import Figures, cell, write_figures, write_table
from charlm.cli.output import check_page, finite, print_note, write_json
from charlm.config import Device, ScoreUnit, SingleDirection
from charlm.corpus.reading import Document
from charlm.corpus.text_kinds import differences
from charlm.display import show_line
from charlm.errors import ConfigError, CorpusError
from charlm.formatting import quantity, visible
from charlm.inference.bidirectional import PseudoScore
from charlm.inference.model import Model
from charlm.inference.scoring import Score, index_of_best

NOTHING_TO_SCORE = "there is no text to score: it has 0 characters"
PAGE_TOP_TOKENS = 4  # likeliest tokens that a page shows for each position
NOTED_SHARE = 0.1  # of a text in the training text, from which on a note is printed


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """What is computed or written besides the score.

    Attributes:
        device: Where PyTorch scores; None scores with NumPy.
        is_dynamic: Whether dynamic evaluation is added; this takes exactly one model.
        has_dynamic_counts: Whether it is added with a network that does not learn.
        with_compressors: Whether the sizes of the compressed text are added.
        training_documents: Text after which the scored text is compressed once more, or none.
        page: The file of the HTML page, or None.
        inputs: The files that are read; the page must not replace them.
        fail_above: The highest score that exits with 0, or None.
        unit: The unit of `fail_above`.
        is_json: Whether figures are written as JSON.
        separator: What stands between the symbols of a target of pairs; None makes each character
            one.
    """

    device: Device | None
    is_dynamic: bool
    has_dynamic_counts: bool
    with_compressors: bool
    training_documents: Sequence[Document]
    page: Path | None
    inputs: Sequence[Path]
    fail_above: float | None
    unit: ScoreUnit
    is_json: bool
    separator: str | None


def show_figures(
    models: dict[str, Model],
    documents: Sequence[Document],
    options: FigureOptions,
    *,
    direction: SingleDirection | None,
) -> None:
    """Show the scores of all documents together; exit 1 if a score is above `fail_above`.

    Args:
        models: By label. Several models exclude all options but `device` and `is_json`.
        documents: The texts.
        options: What is shown besides the score.
        direction: In which texts are read.
    """
    if options.page is not None:
        if len(documents) > 1:
            raise ConfigError(f"a page shows one text; these are {len(documents)}")
        check_page(options.page, "--html", options.inputs)
    if options.device is not None or options.is_dynamic:
        _load_pytorch()
    scorers = {label: _scorer(model, direction, options.device) for label, model in models.items()}
    [first_model, *_] = models.values()
    dynamic_nats_of = None
    if options.is_dynamic:
        dynamic_nats_of = _dynamic_scorer(first_model, direction, options.device or "cpu")
    elif options.has_dynamic_counts:
        dynamic_nats_of = _dynamic_counts_scorer(first_model, direction)
    totals = dict.fromkeys(models, Score())
    dynamic_total = Score()
    for document in documents:
        text = "".join(document.read_text())
        for difference in differences(text, first_model.tokenizer, first_model.config.task):
            print_note(f"{document.name} {difference}")
        for label, model in models.items():
            score = scorers[label](text, document.name)
            totals[label] += score
            _note_training_text(model, text, document.name, label if len(models) > 1 else "")
        if dynamic_nats_of is not None:
            dynamic_total += replace(score, nats=dynamic_nats_of(text, document.name))
    if all(score.tokens == 0 for score in totals.values()):
        raise CorpusError(NOTHING_TO_SCORE)
    if len(models) > 1:
        _write_comparison(totals, is_json=options.is_json)
        return
    [(label, total)] = totals.items()
    if options.page is not None:
        _write_page(options.page, label, first_model, documents[0], total, direction)
    figures = _figures(total)
    if first_model.config.task == "pairs":
        figures |= answer_figures(first_model, documents, options.separator)
    if dynamic_nats_of is not None:
        figures |= _dynamic_figures(total, dynamic_total)
    if options.with_compressors:
        figures |= _compressor_figures(documents, options.training_documents)
    write_figures(figures, is_json=options.is_json)
    if options.fail_above is not None:
        value = first_model.in_unit(total, options.unit)
        if not value <= options.fail_above:
            print_note(f"{options.unit} {value:.4f} is above {options.fail_above:g}")
            raise typer.Exit(1)


def show_pseudo_figures(model: Model, documents: Sequence[Document], *, is_json: bool) -> None:
    """Show the pseudo-likelihood of all documents together."""
    total = PseudoScore()
    for document in documents:
        text = "".join(document.read_text())
        total += model.pseudo_score(text)
        _note_training_text(model, text, document.name, "")
    if total.tokens == 0:
        raise CorpusError(NOTHING_TO_SCORE)
    figures: Figures = {
        "pseudo_nats": total.nats,
        "tokens": total.tokens,
        "pseudo_nats_per_token": total.nats_per_token,
        "pseudo_perplexity": finite(total.perplexity),
    }
    write_figures(figures, is_json=is_json)


def _figures(score: Score) -> Figures:
    """Return the sums of a score and what is derived from them."""
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


def _dynamic_figures(static: Score, dynamic: Score) -> Figures:
    """Return the figures of dynamic evaluation; print a note if it makes the score worse."""
    if dynamic.nats > static.nats:
        print_note("dynamic evaluation makes the score worse: dynamic_nats is above nats")
    return {
        "dynamic_nats": dynamic.nats,
        "dynamic_nats_per_token": dynamic.nats_per_token,
        "dynamic_bits_per_character": dynamic.bits_per_character,
    }


def _compressor_figures(documents: Sequence[Document], training: Sequence[Document]) -> Figures:
    """Return the compressed sizes of all documents together, in bits per character."""
    characters = sum(len(chunk) for document in documents for chunk in document.read_text())

    def bytes_of(documents: Sequence[Document]) -> Iterable[bytes]:
        return (chunk.encode() for document in documents for chunk in document.read_text())

    sizes = compressed_sizes(
        lambda: bytes_of(documents), (lambda: bytes_of(training)) if training else None
    )
    return {f"{name}_bits_per_character": 8 * size / characters for name, size in sizes.items()}


def _load_pytorch() -> None:
    """Load PyTorch and prepare the processor.

    Raises:
        TrainingError: If there is not enough memory for it.
    """
    from charlm.training import check_room_for_pytorch

    check_room_for_pytorch()
    from charlm.training.hardware import prepare

    prepare(None)  # as in training: denormal numbers are a hundred times slower


def _scorer(
    model: Model, direction: SingleDirection | None, device: Device | None
) -> Callable[[str, str], Score]:
    """Return a function of a text and its name that scores with PyTorch on a device, or NumPy.

    Raises:
        ConfigError: If the model lacks the direction.
        TrainingError: If the device is not available.
    """
    if device is None:
        return lambda text, name: model.score(text, direction=direction, name=name)
    from charlm.training.hardware import choose_device
    from charlm.training.scoring import Scorer

    scorer = Scorer(model.single_direction(direction), choose_device(device))
    return lambda text, name: scorer.score(text, name=name)


def _dynamic_scorer(
    model: Model, direction: SingleDirection | None, device: Device
) -> Callable[[str, str], float]:
    """Return a function of a text and its name that scores by dynamic evaluation, in nats.

    Raises:
        ConfigError: If the model lacks the direction or the learning rates.
        TrainingError: If the device is not available.
    """
    from charlm.training.dynamic_evaluation import check_dynamic, dynamic_nats
    from charlm.training.hardware import choose_device

    checkpoint, torch_device = model.single_direction(direction), choose_device(device)
    check_dynamic(checkpoint)
    return lambda text, name: dynamic_nats(checkpoint, text, device=torch_device, name=name)


def _dynamic_counts_scorer(
    model: Model, direction: SingleDirection | None
) -> Callable[[str, str], float]:
    """Return a function of a text and its name that scores it while counts learn it, in nats.

    Raises:
        ConfigError: If the model lacks the direction.
    """
    from charlm.inference.adaptive import adaptive_score

    checkpoint = model.single_direction(direction)
    return lambda text, name: adaptive_score(checkpoint, text, name=name).nats


def _note_training_text(model: Model, text: str, name: str, label: str) -> None:
    """Print a note if much of a text is in the training text, so that its score is no test."""
    if model.config.mask is not None:
        return  # lines that differ in what is masked are the same line
    share = model.share_in_training_text(text)
    if share < NOTED_SHARE:
        return
    labelled = f"the model {label}" if label else "the model"
    print_note(
        f"about {100 * share:.0f} % of {name} is in the text that {labelled} was trained on; "
        "only held-out text is a test"
    )


def _write_page(
    path: Path,
    label: str,
    model: Model,
    document: Document,
    score: Score,
    direction: SingleDirection | None,
) -> None:
    """Write a page about a document and its score."""
    from charlm.pages.surprisal import write_page

    scores = model.score_tokens(
        "".join(document.read_text()),
        top_tokens=PAGE_TOP_TOKENS,
        direction=direction,
        name=document.name,
    )
    figures = {
        "model": label,
        "bits per character": f"{score.bits_per_character:.3f}",
        "characters": f"{score.characters:,}",
        "perplexity per token": f"{score.perplexity:.4g}",
    }
    write_page(path, scores.by_character(), title=Path(document.name).name, figures=figures)
    show_line(f"saved {path} ({quantity(path.stat().st_size, 'B')})")


def _write_comparison(scores: dict[str, Score], *, is_json: bool) -> None:
    """Write the figures of several models and the label of the best one."""
    figures = {label: _figures(score) for label, score in scores.items()}
    best = list(scores)[index_of_best(list(scores.values())) or 0]
    if is_json:
        write_json({"models": figures, "best": best})
        return
    write_table(
        {
            "model": list(map(visible, figures)),
            **{
                name: [cell(model_figures[name]) for model_figures in figures.values()]
                for name in _figures(Score())
            },
            "best": [visible(best)],
        }
    )
