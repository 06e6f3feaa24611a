"""`charlm info`: what a model is and where it comes from."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm.cli.options import JsonOption, ModelOption, model_path
from charlm.cli.output import write, write_json
from charlm.errors import CheckpointError, ConfigError
from charlm.parameters import parameters
from charlm.wording import count, sparkline, visible

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint

ModelArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="The model.",
        show_default="$CHARLM_MODEL, else model.safetensors",
    ),
]


MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Show how far back the model remembers in this text, or in stdin for -: the score by "
        "the length of the context, the gradient by its distance. Loads PyTorch.",
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
    from charlm.checkpoint import Checkpoint  # NumPy, which --help does not need

    path = model_path(path or model)
    checkpoint = Checkpoint.load(path)
    facts = _facts(checkpoint, path) if memory is None else _memory(checkpoint, memory)
    if json:
        write_json(facts)
    else:
        lines = _lines(facts) if memory is None else _memory_lines(facts)
        write("".join(f"{line}\n" for line in lines))


def _memory(checkpoint: "Checkpoint", name: str) -> dict[str, Any]:
    """Return what --memory shows: a number for each length of context and each distance."""
    from charlm.corpus.reading import open_documents
    from charlm.inference.memory import nats_by_context
    from charlm.inference.runtime import Runtime

    if checkpoint.config.form != "text":
        raise ConfigError(
            f"--memory is for models of running text, not of {checkpoint.config.form}"
        )
    with open_documents([name]) as documents:
        text = "".join(chunk for document in documents for chunk in document.read_text())
    runtime = Runtime(checkpoint.config, checkpoint.arrays)
    nats = nats_by_context(runtime, checkpoint.tokenizer, text)
    from charlm.training.memory import gradient_by_distance

    gradients = gradient_by_distance(checkpoint, text)
    return {
        "context": [{"tokens": tokens, "nats_per_token": value} for tokens, value in nats.items()],
        "gradient": [
            {"layer": layer, "distance": distance, "norm": norm}
            for layer, norms in enumerate(gradients)
            for distance, norm in norms.items()
        ],
    }


def _memory_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield a row of figures and a row of bars for the score and for each layer's gradient."""
    lengths = [each["tokens"] for each in facts["context"]]
    bits = [each["nats_per_token"] / math.log(2) for each in facts["context"]]
    yield "tokens             " + "".join(f"{length:>8}" for length in lengths)
    yield "context, bits/token" + "".join(f"{value:8.3f}" for value in bits)
    yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(bits))
    for layer in sorted({each["layer"] for each in facts["gradient"]}):
        norms = [each["norm"] for each in facts["gradient"] if each["layer"] == layer]
        yield f"gradient, layer {layer:<3}" + "".join(f"{norm:8.1e}" for norm in norms)
        # Bars of the logarithm, for a gradient falls by powers.
        logs = [math.log(max(norm, 1e-12)) for norm in norms]
        yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(logs))


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
        "provenance": dict(checkpoint.provenance),
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"model       {visible(facts['model'])}, {facts['bytes']:,} bytes"
    yield (
        f"network     {_cell(facts)}, {count(facts['num_layers'], 'layer')} "
        f"of {count(facts['hidden_size'], 'unit')}, embedding of {facts['embedding_size']:,}"
        f"{', which is the output matrix, too' if facts['tie_weights'] else ''}"
    )
    if facts["form"] != "text":
        yield f"form        {facts['form']}"
    if facts["document_separator"] is not None:
        yield f"documents   set apart by {visible(facts['document_separator'])!r}"
    yield f"tokenizer   {facts['tokenizer']['kind']}: {facts['vocabulary']}"
    try:
        origin = list(_origin(facts["provenance"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointError(f"{facts['model']} has a provenance of an unknown form") from None
    for name, value in origin:
        yield f"{name:11} {visible(value)}"
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


def _cell(facts: dict[str, Any]) -> str:
    """Return the network's kind as textbooks name it."""
    name = "simple RNN" if facts["cell"] == "rnn" else facts["cell"].upper()
    nonlinearity = f" with {facts['nonlinearity']}" if facts["cell"] == "rnn" else ""
    return f"{'residual ' if facts['residual'] else ''}{name}{nonlinearity}"


def _origin(provenance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what provenance tells; it may tell less."""
    for document in provenance.get("corpus", []):
        yield (
            "corpus",
            f"{document['name']}, {document['characters']:,} characters, "
            f"{document['bytes']:,} bytes, sha256 {document['sha256']}",
        )
    if "steps" in provenance:
        yield (
            "trained",
            f"{count(provenance['steps'], 'step')}, {provenance['epochs']:.3g} epochs, "
            f"{provenance['seconds']:.1f} s, by charlm {provenance['charlm_version']}",
        )
    if "validation" in provenance:
        validation = provenance["validation"]
        yield (
            "validation",
            f"{validation['bits_per_character']:.4f} bits per character "
            f"over {validation['characters']:,} characters",
        )
