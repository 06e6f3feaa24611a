"""`charlm export`: one HTML page in which a model writes, scores and shows its states."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm.cli.options import ModelArgument, ModelOption, named_model
from charlm.cli.output import check_page, print_note
from charlm.config import PageConfig, WeightType
from charlm.errors import CorpusError
from charlm.formatting import quantity

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.inference.model import Model
    from charlm.pages.model import PageModel

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The HTML page to write.")
]
WeightsOption = Annotated[
    WeightType,
    typer.Option(
        "--weights",
        help="How the weights are stored: in a byte each, with a scale for each row; in two "
        "bytes; or in four, which is exact.",
    ),
]
TextOption = Annotated[
    Path | None,
    typer.Option(
        "--text",
        metavar="FILE",
        help="Measure on this text, or on stdin for -, what rounded weights and left-out counts "
        "cost. By default on a text that the model writes.",
        show_default=False,
    ),
]
TitleOption = Annotated[
    str | None,
    typer.Option("--title", metavar="TEXT", help="Heading.", show_default="name of the model"),
]
MaxSizeOption = Annotated[
    float | None,
    typer.Option(
        "--max-size",
        metavar="MB",
        help="Leave out the least useful counts until the page has at most this size.",
        show_default="2, or 1.1 times the size without counts; no limit with float32",
    ),
]


def export_command(
    output: OutputOption,
    path: ModelArgument = None,
    model: ModelOption = None,
    weights: WeightsOption = PageConfig.weights,
    text: TextOption = None,
    title: TitleOption = None,
    max_size: MaxSizeOption = None,
) -> None:
    """Write a web page in which the model writes, scores and shows its states.

    The page is one file. It needs no network and no installation.

    Example: charlm export model.safetensors -o page.html
    """
    config = PageConfig(weights=weights, max_size=max_size)
    model_file = named_model(path, model)
    check_page(output, "--output", [model_file, *([] if text is None else [text])])

    from charlm.checkpoint import Checkpoint  # NumPy, which --help does not need
    from charlm.corpus.text_kinds import differences
    from charlm.display import show_line
    from charlm.pages.model import PageModel

    texts, name = ([], "") if text is None else _read(text)
    checkpoint = Checkpoint.load(model_file)
    checkpoint.config.require_direction("forward", "a page")
    checkpoint = checkpoint.for_direction("forward")
    page = PageModel.of(checkpoint, config)
    for difference in differences("".join(texts), checkpoint.tokenizer, checkpoint.config.task):
        print_note(f"{name} {difference}")
    cost = _cost(checkpoint, page, config, texts, name)
    page.write(output, title=title or model_file.stem, cost=cost)
    size = output.stat().st_size
    show_line(f"saved {output} ({quantity(size, 'B')}): {cost}")
    if max_size is not None and size > max_size * 1e6:
        print_note(
            f"the page is larger than {max_size:g} MB, because only counts can be left out; "
            "weights of 8 bits make it smaller, and so does training with a smaller --hidden-size"
        )
    if checkpoint.config.mask is not None:
        print_note("the page does not mask lines, so it reads what this model masks as it stands")


def _read(path: Path) -> tuple[list[str], str]:
    """Return the texts of a file, a directory or stdin, and their names for a message."""
    from charlm.corpus.reading import open_documents

    with open_documents([str(path)]) as documents:
        texts = ["".join(document.read_text()) for document in documents]
        return texts, ", ".join(document.name for document in documents)


def _cost(
    checkpoint: "Checkpoint", page: "PageModel", config: PageConfig, texts: Sequence[str], name: str
) -> str:
    """Return what the page lacks of the model, and what that costs, in words.

    Without texts the model writes some: so the difference of two scores estimates how far apart
    the two distributions are (Kullback & Leibler 1951). A model of pairs, labels or tags cannot.
    """
    from charlm.inference.model import Model
    from charlm.pages.model import written_texts

    whole = sum(table.entry_count for table in checkpoint.ngrams.values())
    lacks_counts = page.entry_count < whole
    names = {
        "int8": "weights of 8 bits",
        "float16": "weights of 16 bits",
        "float32": "exact weights",
    }
    parts = names[config.weights]
    if whole:
        kept = f"{page.entry_count:,} of {whole:,}" if lacks_counts else "all"
        parts += f" and {kept} counts"
    is_exact = config.weights == "float32" and not lacks_counts
    if not texts and not is_exact:
        texts, name = written_texts(checkpoint, 0), "text that the model wrote"
    if not texts:
        return parts
    after = _bits(Model(page.checkpoint), texts, name)
    unit = (
        checkpoint.config.task.removesuffix("s") if checkpoint.config.is_of_classes else "character"
    )
    if is_exact:
        return f"{parts}: {after:.3f} bits per {unit}, on {name}"
    before = _bits(Model(checkpoint), texts, name)
    difference = round(after - before, 4)
    word = "less" if difference < 0 else "more"
    return (
        f"{parts}: {after:.3f} bits per {unit}, {abs(difference):.4f} {word} than the exact model, "
        f"on {name}"
    )


def _bits(model: "Model", texts: Iterable[str], name: str) -> float:
    """Return the score of texts in bits per character, or per label or tag.

    Raises:
        CorpusError: If there is nothing to score.
    """
    if model.config.is_of_classes:
        from charlm.inference.class_scores import ClassScore
        from charlm.inference.classification import evaluate

        class_score = ClassScore(model.classes)
        for text in texts:
            for _ in evaluate(model, text, class_score, name=name):
                pass
        nats = class_score.nats_per_class
        if nats is None:
            raise CorpusError(f"{name} has no {model.config.task} of the model")
        return nats / math.log(2)
    from charlm.inference.scoring import Score

    score = sum((model.score(text, name=name) for text in texts), Score())
    if not score.characters:
        raise CorpusError(f"{name} holds nothing to score")
    return score.bits_per_character
