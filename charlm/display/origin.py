"""The origin of a model: its texts, what the plan chose, and its validation score."""

from collections.abc import Iterator
from typing import Any

from charlm.config import CLASS_TASKS, Direction, Task
from charlm.formatting import count

HELD_OUT = {
    "end": ", the end of the text",
    "spread": ", spread over the text",
    "another text": " of another text",
}


def origin_lines(
    provenance: dict[str, Any], direction: Direction, task: Task
) -> Iterator[tuple[str, str]]:
    """Yield the names and values of what provenance holds; any part of it may be missing."""
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
        is_mean = ", mean of both directions" * (direction == "both")
        held_out = HELD_OUT.get(validation.get("from"), "")
        share = validation.get("errors", 0) / max(1, validation.get("tokens", 0))
        wrong = f"{100 * share:.1f} % of predictions wrong, " * ("errors" in validation)
        unit = task.removesuffix("s") if task in CLASS_TASKS else "character"
        yield (
            "validation",
            f"{wrong}{validation['bits_per_character']:.4f} bits per {unit} "
            f"over {validation['characters']:,} {unit}s{held_out}{is_mean}",
        )
        if "counts" in provenance:
            gain = provenance["counts"]["gain_in_bits_per_character"]
            yield "with counts", f"{validation['bits_per_character'] - gain:.4f} bits per character"
