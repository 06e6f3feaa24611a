"""Pictures drawn by matplotlib: the curves of a training run, and the memory of a model."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f5fa8", "#c2571a", "#2c7a4b", "#7b4ba8", "#8a6d1f", "#a50f1f")
INCHES = (7.0, 4.0)


def curves(
    runs: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], file_format: str
) -> bytes:
    """Return a picture of the loss and the validation score of each run by its steps.

    Args:
        runs: For each run, by its name, the steps and bits per character of "train" and
            "validation".
        file_format: "svg", "png" or "pdf".
    """
    figure, (axes,) = _figure(1)
    for number, (run, points) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        name = f"{run}, " if len(runs) > 1 else ""
        steps, bits = _columns(points["train"])
        axes.plot(steps, bits, color=colour, alpha=0.6, linewidth=1, label=f"{name}training")
        steps, bits = _columns(points["validation"])
        axes.plot(steps, bits, "o--", color=colour, markersize=4, label=f"{name}validation")
    axes.set_xlabel("step")
    axes.set_ylabel("bits per character")
    axes.set_title(next(iter(runs)) if len(runs) == 1 else "")
    axes.legend(frameon=False)
    return _picture(figure, file_format)


def memory_curves(info: Mapping[str, Any], file_format: str) -> bytes:
    """Return a picture of the figures of `charlm info --memory`.

    On the left the score of a token by the length of its context, on the right the norm of the
    gradient by its distance, on a logarithmic scale.
    """
    figure, (left, right) = _figure(2)
    directions = list(dict.fromkeys(entry["direction"] for entry in info["context"]))
    for number, direction in enumerate(directions):
        context = [entry for entry in info["context"] if entry["direction"] == direction]
        tokens, nats = _columns([(e["tokens"], e["nats_per_token"]) for e in context])
        label = direction if len(directions) > 1 else None
        bits = [value / math.log(2) for value in nats]
        left.plot(tokens, bits, "o-", color=COLOURS[number], markersize=4, label=label)
    layers = dict.fromkeys((entry["direction"], entry["layer"]) for entry in info["gradient"])
    for number, (direction, layer) in enumerate(layers):
        norms = [
            (entry["distance"], entry["norm"])
            for entry in info["gradient"]
            if (entry["direction"], entry["layer"]) == (direction, layer) and entry["norm"] > 0
        ]
        distances, values = _columns(norms)
        label = f"layer {layer}" + (f", {direction}" if len(directions) > 1 else "")
        colour = COLOURS[number % len(COLOURS)]
        right.plot(distances, values, "o-", color=colour, markersize=4, label=label)
    for axes, name, unit in (
        (left, "tokens of context", "bits per token"),
        (right, "distance in tokens", "norm of the gradient"),
    ):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(name)
        axes.set_ylabel(unit)
    right.set_yscale("log")
    right.legend(frameon=False)
    if len(directions) > 1:
        left.legend(frameon=False)
    return _picture(figure, file_format)


def _figure(number: int) -> tuple["Figure", Sequence["Axes"]]:
    """Return a figure with panels side by side."""
    from matplotlib.figure import Figure  # takes half a second, and draws without a screen

    width, height = INCHES
    figure = Figure(figsize=(width if number == 1 else 1.4 * width, height), layout="constrained")
    panels = figure.subplots(1, number, squeeze=False)[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure, list(panels)


def _picture(figure: "Figure", file_format: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    # The same figures make the same file.
    metadata = {"Date": None} if file_format == "svg" else {}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "charlm"}):
        figure.savefig(file, format=file_format, dpi=150, metadata=metadata)
    return file.getvalue()


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
