"""`charlm eval`: let a model judge."""

import math
from typing import Annotated

import typer

from charlm.cli.options import JsonOption, ModelOption, model_path
from charlm.cli.output import write, write_json
from charlm.errors import CorpusError

TextArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE...]",
        help="Texts to score, UTF-8; - or nothing is stdin. Each is read from nothing, and "
        "their scores are added.",
        show_default=False,
    ),
]


def eval_command(
    texts: TextArgument = None,
    model: ModelOption = None,
    json: JsonOption = False,
) -> None:
    """Score texts: how much information they are under the model.

    Example: charlm eval -m model.safetensors unseen.txt --json
    """
    from charlm.corpus.reading import open_documents  # NumPy, which --help does not need
    from charlm.inference.model import load
    from charlm.inference.scoring import Score

    score = Score()
    with open_documents(texts or ["-"]) as documents:
        judge = load(model_path(model))
        for document in documents:
            score += judge.score("".join(document.read_text()), name=document.name)
    if score.characters == 0:
        raise CorpusError("there is no text to score: it has 0 characters")
    figures: dict[str, float | None] = {
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
    }
    if json:
        write_json(figures)
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        write(f"{name:{width}}  {shown}\n")
