"""`charlm info --plot`: pictures of a run's metrics and of a model's memory."""

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from charlm.cli.output import check_picture
from charlm.display import show_line
from charlm.errors import CharlmError
from charlm.files.atomic import write_atomically

FORMATS = (".svg", ".png", ".pdf")
SPLITS = ("train", "validation")  # of the lines of metrics


def plot_metrics(metrics: Path, picture: Path, *, run: Path | None) -> None:
    """Draw the losses and scores of the runs in a file of `train --metrics`.

    Args:
        metrics: The file of metrics.
        picture: The file to write.
        run: The model whose run is drawn; None draws all runs.

    Raises:
        CharlmError: If a file cannot be read or written, or has no such run.
    """
    from charlm.display.plots import curves

    runs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for number, line in enumerate(_lines(metrics), 1):
        name, split, point = _point(line, f"{metrics}: line {number}")
        if run is None or Path(name) == run:
            runs.setdefault(name, {split: [] for split in SPLITS})[split].append(point)
    if not runs:
        raise CharlmError(
            f"{metrics} holds no metrics" + (f" of {run}" if run else ""),
            hint="charlm train --metrics FILE writes them; without MODEL all runs are drawn",
        )
    _save(picture, curves(runs, _format(picture)))


def plot_memory(info: dict[str, Any], picture: Path) -> None:
    """Draw the figures of `charlm info --memory`.

    Raises:
        CharlmError: If the picture cannot be written.
    """
    from charlm.display.plots import memory_curves

    _save(picture, memory_curves(info, _format(picture)))


def check_plot(picture: Path) -> None:
    """Raise CharlmError if a picture cannot be drawn, before anything is computed for it."""
    if picture.suffix.lower() not in FORMATS:
        raise CharlmError(
            f"{picture} is no name of a picture", hint=f"let it end in {', '.join(FORMATS)}"
        )
    check_picture(picture, "--plot")
    if find_spec("matplotlib") is None:
        raise CharlmError(
            "--plot needs matplotlib, which is not installed", hint='pip install "charlm[plot]"'
        )


def _format(picture: Path) -> str:
    """Return the format that the name of a picture stands for, such as svg."""
    return picture.suffix.lower()[1:]


def _lines(metrics: Path) -> list[str]:
    try:
        content = metrics.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise CharlmError(f"{metrics} cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise CharlmError(f"{metrics} is not UTF-8, so no file of train --metrics") from None
    return content.split("\n") if content else []


def _point(line: str, place: str) -> tuple[str, str, tuple[float, float]]:
    """Return the run, the split, and the step and score of a line of metrics."""
    try:
        entry = json.loads(line)
        point = float(entry["step"]), float(entry["bits_per_character"])
        if entry["split"] in SPLITS and all(map(math.isfinite, point)):
            return str(entry["run"]), entry["split"], point
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise CharlmError(f"{place} is no line of train --metrics")


def _save(picture: Path, data: bytes) -> None:
    write_atomically(picture, data)
    show_line(f"saved {picture}")
