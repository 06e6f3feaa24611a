"""What several commands share: option types and how their values are found."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from charlm.config import DEFAULT_MODEL_PATH

MODEL_VARIABLE = "CHARLM_MODEL"

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        help=f"The model. [default: ${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}]",
        show_default=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


def model_path(given: Path | None) -> Path:
    """Return the model that was named, else $CHARLM_MODEL, else the one here."""
    return given or Path(os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL_PATH)


def parse_duration(text: str) -> float:
    """Return the seconds that "90", "90s", "1.5m" or "2h" stand for.

    Raises:
        typer.BadParameter: If `text` is nothing of the kind.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 60s, 5m or 1h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]
