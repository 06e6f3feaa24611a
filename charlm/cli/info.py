"""`charlm info`: the size, tokenizer, origin and score of a model, and its use of context."""

import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm.cli.options import DEFAULT_MODEL, model_path, refuse
from charlm.cli.output import is_terminal, write, write_json
from charlm.config.checks import require_whole
from charlm.display.origin import origin_lines
from charlm.errors import CheckpointError, ConfigError
from charlm.formatting import count, folded, in_field, sparkline, token_name, visible
from charlm.parameters import parameters

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint


VOCABULARIES = ("characters", "words", "base", "symbols", "features")  # keys of a tokenizer's JSON

ModelArgument = Annotated[
    Path | None, typer.Argument(metavar="MODEL", help="The model.", show_default=DEFAULT_MODEL)
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", "-m", metavar="FILE", help="Model file.", show_default=DEFAULT_MODEL),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Measure on this text, or on stdin for -, how much context a model of running text "
        "uses: its score for each length of context, and its gradient by distance. Needs PyTorch.",
    ),
]
NgramsOption = Annotated[
    int | None,
    typer.Option(
        "--ngrams",
        metavar="N",
        help="List the fragments of N tokens and the one after them that the counts hold, in "
        "reading order. The number is how often a fragment occurs; for fragments shorter than the "
        "longest, how many different tokens stand before it.",
    ),
]
VocabularyOption = Annotated[
    bool,
    typer.Option(
        "--vocabulary",
        help="List the tokens with their numbers, one a line. With --json add them to the object.",
    ),
]


def info_command(
    path: ModelArgument = None,
    model: ModelOption = None,
    memory: MemoryOption = None,
    ngrams: NgramsOption = None,
    vocabulary: VocabularyOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the size, tokenizer, origin and score of a model.

    Example: charlm info model.safetensors
    """
    if path is not None and model is not None:
        raise ConfigError("MODEL and --model exclude one another")
    from charlm.checkpoint import Checkpoint  # NumPy, which --help does not need

    path = model_path(path or model)
    checkpoint = Checkpoint.load(path)
    if vocabulary:
        refuse("--vocabulary", {"--memory": memory is not None, "--ngrams": ngrams is not None})
    if ngrams is not None:
        require_whole("ngrams", ngrams, 1)
        refuse("--ngrams", {"--memory": memory is not None})
        _write_ngrams(checkpoint, ngrams, is_json=json)
        return
    tokens = list(map(token_name, checkpoint.tokenizer.pieces)) if vocabulary else []
    if vocabulary and not json:
        write("".join(f"{number}\t{in_field(token)}\n" for number, token in enumerate(tokens)))
        return
    info = _model_info(checkpoint, path) if memory is None else _memory_info(checkpoint, memory)
    if json:
        write_json(info | ({"tokens": tokens} if vocabulary else {}))
    else:
        network = checkpoint.config.network
        lines = _model_lines(info, network) if memory is None else _memory_lines(info)
        if memory is None and is_terminal(sys.stdout):
            lines = _folded(lines, shutil.get_terminal_size().columns)
        write("".join(f"{line}\n" for line in lines))


def _write_ngrams(checkpoint: "Checkpoint", length: int, *, is_json: bool) -> None:
    """Write the fragments of the training text that the counts hold, the most frequent first."""
    order = max((table.order for table in checkpoint.ngrams.values()), default=0)
    if length > order:
        raise ConfigError(f"the model holds no counts of {length} tokens, but of up to {order}")
    pieces = (*checkpoint.tokenizer.pieces, None)
    for table in checkpoint.ngrams.values():
        rows = sorted(table.fragments(length), key=lambda row: -row[1])
        for tokens, number in rows:
            names = [token_name(pieces[token]) for token in tokens]
            if is_json:
                write_json({"count": number, "tokens": names})
            else:
                write(f"{number}\t{visible(''.join(names))}\n")


def _model_info(checkpoint: "Checkpoint", path: Path) -> dict[str, Any]:
    """Return the description of a model as a JSON object."""
    from charlm.ngram import to_arrays

    tokenizer = checkpoint.tokenizer
    listed = parameters(checkpoint.config, tokenizer.vocab_size)
    return {
        "model": str(path),
        "bytes": path.stat().st_size,
        **checkpoint.config.to_json(),
        "tokenizer": {"vocab_size": tokenizer.vocab_size, **_without_tokens(tokenizer.to_json())},
        "vocabulary": tokenizer.vocabulary,
        "parameters": [
            {"name": p.name, "shape": list(p.shape), "formula": p.formula, "size": p.size}
            for p in listed
        ],
        "parameter_count": sum(p.size for p in listed),
        "weights_sha256": checkpoint.weights_sha256,
        "fingerprints": [
            {
                **fingerprint.to_json(),
                "bytes": len(fingerprint.bits),
                "always_found": fingerprint.always_found,
                "false_positives": fingerprint.false_positives,
            }
            for fingerprint in checkpoint.fingerprints
        ],
        "line_scores": _line_scores(checkpoint),
        "counts": {
            direction: {
                "order": table.order,
                "contexts": sum(len(known.keys) for known in table.contexts),
                "entries": sum(len(known.tokens) for known in table.contexts),
                "bytes": sum(array.nbytes for array in to_arrays(table).values()),
                "weights": table.weights.tolist(),
            }
            for direction, table in checkpoint.ngrams.items()
        },
        "provenance": dict(checkpoint.provenance),
    }


def _without_tokens(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a tokenizer without its vocabulary, which may be long."""
    return {name: value for name, value in tokenizer.items() if name not in VOCABULARIES}


def _line_scores(checkpoint: "Checkpoint") -> dict[str, float] | None:
    """Return the range and median of the scores of held-out lines, if the model holds them."""
    scores = checkpoint.line_scores.tolist()
    if not scores:
        return None
    return {"least": scores[0], "median": scores[len(scores) // 2], "most": scores[-1]}


def _folded(lines: Iterator[str], width: int) -> Iterator[str]:
    """Yield the lines of `_model_lines`, folded between words for a terminal."""
    is_table = False
    for line in lines:
        is_table = is_table or not line
        yield (
            folded(line, width, indent=2, gap="  ") if is_table else folded(line, width, indent=12)
        )


def _model_lines(info: dict[str, Any], network: str) -> Iterator[str]:
    """Yield the lines that describe a model, and the table of its parameters."""
    yield f"model       {visible(info['model'])}, {info['bytes']:,} bytes"
    yield (
        f"network     {network}, embedding of {info['embedding_size']:,}"
        f"{', which is also the output matrix' if info['tie_weights'] else ''}"
    )
    if info["task"] != "text":
        columns = ", ".join(map(str, info["columns"] or ()))
        yield f"task        {info['task']}{f', columns {columns}' if columns else ''}"
    if info["document_separator"] is not None:
        yield f"documents   separated by {visible(info['document_separator'])!r}"
    if info["mask"] is not None:
        yield f"mask        {visible(info['mask'])}"
    yield f"tokenizer   {info['tokenizer']['kind']}: {info['vocabulary']}"
    try:
        origin = list(origin_lines(info["provenance"], info["direction"], info["task"]))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise CheckpointError(f"{info['model']} has an unknown kind of provenance") from None
    for name, value in origin:
        yield f"{name:11} {visible(value)}"
    yield from map(_fingerprint_line, info["fingerprints"])
    if info["line_scores"] is not None:
        least, median, most = info["line_scores"].values()
        yield (
            f"lines       held-out lines score {least:.3f} to {most:.3f} bits per character, "
            f"median {median:.3f}"
        )
    for direction, counts in info["counts"].items():
        of_direction = f" of {direction}" if len(info["counts"]) > 1 else ""
        yield (
            f"counts      {count(counts['contexts'], 'context')} of up to "
            f"{count(counts['order'], 'token')}{of_direction}, "
            f"{counts['entries']:,} tokens after them, {counts['bytes']:,} bytes"
        )
    yield f"weights     sha256 {info['weights_sha256']}"
    yield ""
    sizes = (
        f"V = {info['tokenizer']['vocab_size']}, "
        f"E = {info['embedding_size']}, H = {info['hidden_size']}"
        + (f", K = {info['num_classes']}" if info["num_classes"] else "")
    )
    rows = [("parameter", "shape", "size", f"formula, {sizes}")]
    for parameter in info["parameters"]:
        shape = " × ".join(map(str, parameter["shape"]))
        rows.append((parameter["name"], shape, f"{parameter['size']:,}", parameter["formula"]))
    rows.append(("total", "", f"{info['parameter_count']:,}", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, shape, size, formula in rows:
        yield f"{name:{widths[0]}}  {shape:{widths[1]}}  {size:>{widths[2]}}  {formula}".rstrip()


def _fingerprint_line(info: dict[str, Any]) -> str:
    """Return what a fingerprint recognises, and its rate of errors."""
    entries = f"{info['entries']:,} {info['kind']}"
    if info["kind"] == "passages":
        entries += f", so it recognises any {info['always_found']} characters in a row"
    return (
        f"fingerprint {entries}; false positives {info['false_positives']:.1g}; "
        f"{info['bytes']:,} bytes"
    )


def _memory_info(checkpoint: "Checkpoint", name: str) -> dict[str, Any]:
    """Return the figures of --memory: by length of context, and by distance of the gradient."""
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
    layers = [
        (direction, layer, norms)
        for direction, norms_by_layer in zip(directions, gradients, strict=True)
        for layer, norms in enumerate(norms_by_layer)
    ]
    return {
        "context": [
            {"direction": direction, "tokens": tokens, "nats_per_token": value}
            for direction, values in zip(directions, nats, strict=True)
            for tokens, value in values.items()
        ],
        "gradient": [
            {"direction": direction, "layer": layer, "distance": distance, "norm": norm}
            for direction, layer, norms in layers
            for distance, norm in norms.items()
        ],
        "memory_length": [
            {"direction": direction, "layer": layer, "tokens": memory_length(norms)}
            for direction, layer, norms in layers
        ],
    }


def _memory_lines(info: dict[str, Any]) -> Iterator[str]:
    """Yield figures and bars of each network: the score, and the gradient of each layer."""
    directions = list(dict.fromkeys(entry["direction"] for entry in info["context"]))
    for direction in directions:
        context = [entry for entry in info["context"] if entry["direction"] == direction]
        gradient = [entry for entry in info["gradient"] if entry["direction"] == direction]
        if len(directions) > 1:
            yield f"{direction}:"
        bits = [entry["nats_per_token"] / math.log(2) for entry in context]
        yield "tokens             " + "".join(f"{entry['tokens']:>8}" for entry in context)
        yield "context, bits/token" + "".join(f"{value:8.3f}" for value in bits)
        yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(bits))
        for layer in sorted({entry["layer"] for entry in gradient}):
            norms = [entry["norm"] for entry in gradient if entry["layer"] == layer]
            yield f"gradient, layer {layer:<3}" + "".join(f"{norm:8.1e}" for norm in norms)
            # Bars show the logarithm, because a gradient falls exponentially.
            logs = [math.log(max(norm, 1e-12)) for norm in norms]
            yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(logs))
    for entry in info["memory_length"]:
        where = f"layer {entry['layer']}" + f", {entry['direction']}" * (len(directions) > 1)
        if entry["tokens"] is None:
            yield f"{where}: at no distance the gradient falls to 1 % of its start"
        else:
            yield f"{where}: after {entry['tokens']:.0f} tokens the gradient is 1 % of its start"
