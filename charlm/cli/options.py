"""What several commands share: option types and how their values are found."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from charlm.config import DEFAULT_MODEL_PATH
from charlm.errors import ConfigError

MODEL_VARIABLE = "CHARLM_MODEL"

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        help="The model.",
        show_default=f"${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


def model_path(given: Path | None) -> Path:
    """Return the model that was named, else $CHARLM_MODEL, else the one here."""
    return given or Path(os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL_PATH)


def given(context: typer.Context) -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the flag and the value of each option that stands on the command line."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            value = context.params[name]
            is_no = value is False and parameter.secondary_opts
            yield name, max(parameter.secondary_opts if is_no else parameter.opts, key=len), value


def json_options(context: typer.Context) -> dict[str, Any]:
    """Return the options of the command line that say what a run is, as JSON has them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, _, value in given(context)
        if name not in ("output", "metrics") and isinstance(value, bool | int | float | str | Path)
    }


def parse_duration(text: str) -> float:
    """Return the seconds that "90", "90s", "1.5m", "2h" or "1h30m" stand for.

    Raises:
        typer.BadParameter: If `text` is nothing of the kind.
    """
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", text.strip())
    if match is None or not any(match.groups()):
        raise typer.BadParameter(f"{text!r} is no duration; write 60s, 5m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def unescaped(text: str) -> str:
    r"""Return a text in which \n, \r and \t became what they stand for."""
    return text.replace(r"\n", "\n").replace(r"\r", "\r").replace(r"\t", "\t")


def character_set(text: str) -> str:
    r"""Return the characters of a set: a-z is a range, \n, \r, \t as in `unescaped`, \- a hyphen.

    Raises:
        ConfigError: If a range ends before it begins.
    """
    found: list[str] = []
    for first, last in re.findall(r"(\\.|.)(?:-(\\.|.))?", text, re.DOTALL):
        low, high = (unescaped(unit)[-1] for unit in (first, last or first))
        if high < low:
            raise ConfigError(f"the range {low}-{high} ends before it begins")
        found += map(chr, range(ord(low), ord(high) + 1))
    return "".join(character for character in found if not "\ud800" <= character <= "\udfff")


def refuse(option: str, others: dict[str, bool]) -> None:
    """Raise ConfigError if one of the others was given, too."""
    for other, is_given in others.items():
        if is_given:
            raise ConfigError(f"{option} and {other} exclude one another")
