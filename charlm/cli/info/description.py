"""What `charlm info` shows of a model: as a JSON object, and as lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm.display.origin import origin_lines
from charlm.errors import CheckpointError
from charlm.formatting import count, folded, visible
from charlm.parameters import parameters

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint

VOCABULARIES = ("characters", "words", "base", "symbols", "features")  # keys of a tokenizer's JSON


def model_info(checkpoint: "Checkpoint", path: Path) -> dict[str, Any]:
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
                "entries": table.entry_count,
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


def folded_lines(lines: Iterator[str], width: int) -> Iterator[str]:
    """Yield the lines of `model_lines`, folded between words for a terminal."""
    is_table = False
    for line in lines:
        is_table = is_table or not line
        yield (
            folded(line, width, indent=2, gap="  ") if is_table else folded(line, width, indent=12)
        )


def model_lines(info: dict[str, Any], network: str) -> Iterator[str]:
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
