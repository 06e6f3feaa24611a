"""`charlm eval`: let a model judge."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from charlm.cli.options import JsonOption, ModelOption, model_path
from charlm.cli.output import write, write_json
from charlm.config import Direction, OneWay
from charlm.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.inference.model import Model

NOTHING_TO_SCORE = "there is no text to score: it has 0 characters"

TextArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE...]",
        help="Texts to score, UTF-8; - or nothing is stdin. Each is read from nothing, and "
        "their scores are added.",
        show_default=False,
    ),
]


DirectionOption = Annotated[
    Direction | None,
    typer.Option(
        help="Read texts from the beginning or from the end, or score each token from both sides: "
        "a pseudo-likelihood, which compares with nothing but its like.",
        show_default="the model's; of both, forward",
    ),
]


DynamicOption = Annotated[
    bool,
    typer.Option(
        "--dynamic",
        help="Score each text also by a model that goes on learning from it, each piece scored "
        "before it is learnt from: dynamic_nats. Loads PyTorch and takes its time.",
    ),
]


def eval_command(
    texts: TextArgument = None,
    model: ModelOption = None,
    direction: DirectionOption = None,
    dynamic: DynamicOption = False,
    json: JsonOption = False,
) -> None:
    """Score texts: how much information they are under the model.

    Example: charlm eval -m model.safetensors unseen.txt --json
    """
    from charlm.checkpoint import Checkpoint
    from charlm.corpus.reading import open_documents  # NumPy, which --help does not need
    from charlm.inference.model import Model

    if dynamic and direction == "both":
        raise ConfigError("--dynamic reads in one direction", hint="leave out --direction both")
    with open_documents(texts or ["-"]) as documents:
        checkpoint = Checkpoint.load(model_path(model))
        judge = Model(checkpoint)
        read = (("".join(document.read_text()), document.name) for document in documents)
        if direction == "both":
            figures = _pseudo_figures(judge, (text for text, _ in read))
        else:
            dynamic_nats_of = _adapted(checkpoint, judge, direction) if dynamic else None
            figures = _figures(judge, read, direction, dynamic_nats_of)
    if json:
        write_json(figures)
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        write(f"{name:{width}}  {shown}\n")


def _figures(
    judge: "Model",
    texts: Iterable[tuple[str, str]],
    direction: OneWay | None,
    dynamic_nats_of: Callable[[str, str], float] | None,
) -> dict[str, float | None]:
    """Return the figures of texts with names, read in one direction.

    Where `dynamic_nats_of` a text and its name is given, those of dynamic evaluation follow.
    """
    from charlm.inference.scoring import Score

    score, dynamic = Score(), Score()
    for text, name in texts:
        static = judge.score(text, direction=direction, name=name)
        score += static
        if dynamic_nats_of is not None:
            dynamic += replace(static, nats=dynamic_nats_of(text, name))
    if score.characters == 0:
        raise CorpusError(NOTHING_TO_SCORE)
    figures = {
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "perplexity": _finite(score.perplexity),
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
    }
    if dynamic_nats_of is not None:
        figures |= {
            "dynamic_nats": dynamic.nats,
            "dynamic_nats_per_token": dynamic.nats_per_token,
            "dynamic_bits_per_character": dynamic.bits_per_character,
        }
    return figures


def _adapted(
    checkpoint: "Checkpoint", judge: "Model", direction: OneWay | None
) -> Callable[[str, str], float]:
    """Return what scores a text with a name by a model that learns from it.

    Raises:
        ConfigError: If the model cannot be read in that direction, or not learn.
    """
    from charlm.training.adaptation import check_dynamic, dynamic_nats
    from charlm.training.hardware import prepare

    judge.runtime(direction)  # which says if there is none of that direction
    one_way = checkpoint.one_way(direction or checkpoint.config.directions[0])
    check_dynamic(one_way)
    prepare(None)  # as for training: denormal numbers cost a hundred times as much
    return lambda text, name: dynamic_nats(one_way, text, name=name)


def _pseudo_figures(judge: "Model", texts: Iterable[str]) -> dict[str, float | None]:
    """Return the figures of texts whose tokens are scored from both sides."""
    from charlm.inference.bidirectional import PseudoScore

    score = PseudoScore()
    for text in texts:
        score += judge.pseudo_score(text)
    if score.tokens == 0:
        raise CorpusError(NOTHING_TO_SCORE)
    return {
        "pseudo_nats": score.nats,
        "tokens": score.tokens,
        "pseudo_nats_per_token": score.nats_per_token,
        "pseudo_perplexity": _finite(score.perplexity),
    }


def _finite(value: float) -> float | None:
    """Return what JSON can hold."""
    return value if math.isfinite(value) else None
