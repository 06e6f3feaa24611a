"""`charlm info`: what a model is and where it comes from."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm.cli.options import JsonOption, ModelOption, model_path
from charlm.cli.output import write, write_json
from charlm.config import Direction
from charlm.errors import CheckpointError, ConfigError
from charlm.formatting import count, sparkline, visible
from charlm.parameters import parameters

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint

ModelArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL",
        help="The model.",
        show_default="$CHARLM_MODEL, else model.safetensors",
    ),
]


MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Show how far back a model of running text remembers in this one, or in stdin for -: "
        "the score by the length of the context, the gradient by its distance. Loads PyTorch.",
        show_default=False,
    ),
]


def info_command(
    path: ModelArgument = None,
    model: ModelOption = None,
    memory: MemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Show a model's size, tokenizer, origin and score.

    Example: charlm info model.safetensors
    """
    if path is not None and model is not None:
        raise ConfigError("MODEL and --model exclude one another")
    from charlm.checkpoint import Checkpoint  # NumPy, which --help does not need

    path = model_path(path or model)
    checkpoint = Checkpoint.load(path)
    facts = _facts(checkpoint, path) if memory is None else memory_facts(checkpoint, memory)
    if json:
        write_json(facts)
    else:
        lines = _lines(facts) if memory is None else memory_lines(facts)
        write("".join(f"{line}\n" for line in lines))


def _facts(checkpoint: "Checkpoint", path: Path) -> dict[str, Any]:
    tokenizer = checkpoint.tokenizer
    listed = parameters(checkpoint.config, tokenizer.vocab_size)
    return {
        "model": str(path),
        "bytes": path.stat().st_size,
        **checkpoint.config.to_json(),
        "tokenizer": {"vocab_size": tokenizer.vocab_size, **tokenizer.to_json()},
        "vocabulary": tokenizer.vocabulary,
        "parameters": [
            {"name": p.name, "shape": list(p.shape), "formula": p.formula, "size": p.size}
            for p in listed
        ],
        "parameter_count": sum(p.size for p in listed),
        "weights_sha256": checkpoint.weights_sha256,
        "fingerprints": [
            {
                **each.to_json(),
                "bytes": len(each.bits),
                "always_found": each.always_found,
                "false_positives": each.false_positives,
            }
            for each in checkpoint.fingerprints
        ],
        "line_scores": _line_scores(checkpoint),
        "provenance": dict(checkpoint.provenance),
    }


def _line_scores(checkpoint: "Checkpoint") -> dict[str, float] | None:
    """Return how held-out lines score, if the model knows it."""
    found = checkpoint.line_scores.tolist()
    if not found:
        return None
    return {"least": found[0], "median": found[len(found) // 2], "most": found[-1]}


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"model       {visible(facts['model'])}, {facts['bytes']:,} bytes"
    yield (
        f"network     {_cell(facts)}, {count(facts['num_layers'], 'layer')} "
        f"of {count(facts['hidden_size'], 'unit')}, embedding of {facts['embedding_size']:,}"
        f"{', which is the output matrix, too' if facts['tie_weights'] else ''}"
    )
    if facts["task"] != "text":
        yield f"form        {facts['task']}"
    if facts["document_separator"] is not None:
        yield f"documents   set apart by {visible(facts['document_separator'])!r}"
    yield f"tokenizer   {facts['tokenizer']['kind']}: {facts['vocabulary']}"
    try:
        origin = list(_origin(facts["provenance"], facts["direction"]))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise CheckpointError(f"{facts['model']} has a provenance of an unknown form") from None
    for name, value in origin:
        yield f"{name:11} {visible(value)}"
    yield from map(_fingerprint, facts["fingerprints"])
    if facts["line_scores"] is not None:
        least, median, most = facts["line_scores"].values()
        yield (
            f"lines       held-out ones score {least:.3f} to {most:.3f} bits per character, "
            f"{median:.3f} in the median"
        )
    yield f"weights     sha256 {facts['weights_sha256']}"
    yield ""
    sizes = (
        f"V = {facts['tokenizer']['vocab_size']}, "
        f"E = {facts['embedding_size']}, H = {facts['hidden_size']}"
    )
    rows = [("parameter", "shape", "size", f"formula, {sizes}")]
    for parameter in facts["parameters"]:
        shape = " × ".join(map(str, parameter["shape"]))
        rows.append((parameter["name"], shape, f"{parameter['size']:,}", parameter["formula"]))
    rows.append(("total", "", f"{facts['parameter_count']:,}", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, shape, size, formula in rows:
        yield f"{name:{widths[0]}}  {shape:{widths[1]}}  {size:>{widths[2]}}  {formula}".rstrip()


def _fingerprint(facts: dict[str, Any]) -> str:
    """Return what a model knows of its training text, and how surely."""
    known = f"{facts['entries']:,} {facts['kind']}"
    if facts["kind"] == "passages":
        known += f", so that {facts['always_found']} characters in a row are always known"
    others = f", and {facts['false_positives']:.1g} of all others"
    return f"fingerprint {known}{others}; {facts['bytes']:,} bytes"


def _cell(facts: dict[str, Any]) -> str:
    """Return the network's kind as textbooks name it."""
    name = "simple RNN" if facts["cell"] == "rnn" else facts["cell"].upper()
    nonlinearity = f" with {facts['nonlinearity']}" if facts["cell"] == "rnn" else ""
    directions = {
        "forward": "",
        "backward": " that reads backward",
        "both": " for each direction",
    }
    return (
        f"{'residual ' if facts['residual'] else ''}{name}{nonlinearity}"
        f"{directions[facts['direction']]}"
    )


def _origin(provenance: dict[str, Any], direction: Direction) -> Iterator[tuple[str, str]]:
    """Yield what provenance tells; it may tell less."""
    for document in provenance.get("corpus", []):
        yield (
            "corpus",
            f"{document['name']}, {document['characters']:,} characters, "
            f"{document['bytes']:,} bytes, sha256 {document['sha256']}",
        )
    if "from" in provenance:
        names = ", ".join(str(document["name"]) for document in provenance["from"]["corpus"])
        yield "from", f"a model of {names}, weights sha256 {provenance['from']['weights_sha256']}"
    if provenance.get("chosen"):
        yield "chosen", "; ".join(map(str, provenance["chosen"]))
    if "steps" in provenance:
        yield (
            "trained",
            f"{count(provenance['steps'], 'step')}, {provenance['epochs']:.3g} epochs, "
            f"{provenance['seconds']:.1f} s, by charlm {provenance['charlm_version']}",
        )
    if "validation" in provenance:
        validation = provenance["validation"]
        of_both = ", in the mean of both directions" * (direction == "both")
        yield (
            "validation",
            f"{validation['bits_per_character']:.4f} bits per character "
            f"over {validation['characters']:,} characters{of_both}",
        )


if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint


def memory_facts(checkpoint: "Checkpoint", name: str) -> dict[str, Any]:
    """Return what --memory shows: a number for each length of context and each distance."""
    from charlm.corpus.reading import open_documents
    from charlm.inference.context_length import nats_by_context
    from charlm.inference.runtime import Runtime

    if checkpoint.config.task != "text":
        raise ConfigError(
            f"--memory is for models of running text, not of {checkpoint.config.task}"
        )
    with open_documents([name]) as documents:
        text = "".join(chunk for document in documents for chunk in document.read_text())
    networks = [checkpoint.for_direction(direction) for direction in checkpoint.config.directions]
    tokenizer = checkpoint.tokenizer
    nats = [
        nats_by_context(Runtime(network.config, network.arrays), tokenizer, text)
        for network in networks
    ]
    from charlm.training.gradient_distance import gradient_by_distance, memory_length

    gradients = [gradient_by_distance(network, text) for network in networks]
    directions = checkpoint.config.directions
    return {
        "context": [
            {"direction": direction, "tokens": tokens, "nats_per_token": value}
            for direction, values in zip(directions, nats, strict=True)
            for tokens, value in values.items()
        ],
        "gradient": [
            {"direction": direction, "layer": layer, "distance": distance, "norm": norm}
            for direction, layers in zip(directions, gradients, strict=True)
            for layer, norms in enumerate(layers)
            for distance, norm in norms.items()
        ],
        "memory_length": [
            {"direction": direction, "layer": layer, "tokens": memory_length(norms)}
            for direction, layers in zip(directions, gradients, strict=True)
            for layer, norms in enumerate(layers)
        ],
    }


def memory_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield figures and bars of each network: the score, and the gradient of each layer."""
    directions = list(dict.fromkeys(each["direction"] for each in facts["context"]))
    for direction in directions:
        context = [each for each in facts["context"] if each["direction"] == direction]
        gradient = [each for each in facts["gradient"] if each["direction"] == direction]
        if len(directions) > 1:
            yield f"{direction}:"
        bits = [each["nats_per_token"] / math.log(2) for each in context]
        yield "tokens             " + "".join(f"{each['tokens']:>8}" for each in context)
        yield "context, bits/token" + "".join(f"{value:8.3f}" for value in bits)
        yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(bits))
        for layer in sorted({each["layer"] for each in gradient}):
            norms = [each["norm"] for each in gradient if each["layer"] == layer]
            yield f"gradient, layer {layer:<3}" + "".join(f"{norm:8.1e}" for norm in norms)
            # Bars of the logarithm, for a gradient falls by powers.
            logs = [math.log(max(norm, 1e-12)) for norm in norms]
            yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(logs))
    for each in facts["memory_length"]:
        where = f"layer {each['layer']}" + f", {each['direction']}" * (len(directions) > 1)
        when = "at no distance" if each["tokens"] is None else f"after {each['tokens']:.0f} tokens"
        yield f"{where}: {when} the gradient is a hundredth of what it is after one"
