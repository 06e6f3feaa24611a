"""What several commands share: how options are declared, shown in the help, read and checked."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from charlm.config import DEFAULT_MODEL_PATH
from charlm.config.checks import LONGEST_TIME
from charlm.errors import ConfigError

MODEL_VARIABLE = "CHARLM_MODEL"
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
ESCAPES_HELP = "Escapes are \\n, \\r, \\t and \\\\."
LONGEST_CHOICES = 18  # characters of choices that help shows in the column of types
DEFAULT_MODEL = f"${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}"  # as help shows it


ModelArgument = Annotated[
    Path | None, typer.Argument(metavar="MODEL", help="The model.", show_default=DEFAULT_MODEL)
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", "-m", metavar="FILE", help="Model file.", show_default=DEFAULT_MODEL),
]


def option_group(name: str | None) -> Callable[..., Any]:
    """Return a function that declares an option of a panel, given its help and its flags."""
    return lambda help, *flags, **settings: typer.Option(
        *flags, help=help, rich_help_panel=name, case_sensitive=False, **settings
    )


class Command(TyperCommand):
    """A command whose help shows types in few words."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _shorten_types(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


class CommandGroup(TyperGroup):
    """A group of commands whose help shows types in few words."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _shorten_types(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


def _shorten_types(parameters: Iterable[Any], context: Any) -> None:
    """Show no types of flags (<bool>) and arguments (<list[str]>), and long choices as text."""
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None
            name = f"{parameter.metavar}..." if parameter.nargs == -1 else parameter.metavar
            parameter.get_usage_pieces = lambda ctx, required=parameter.required, name=name: [
                name if required else f"[{name}]"
            ]
        elif parameter.is_flag:
            parameter.metavar = ""
        elif len(kinds := parameter.display_type(context).strip("<>")) > LONGEST_CHOICES:
            parameter.metavar = "KIND"
            parameter.help = f"{parameter.help} One of {kinds.replace('|', ', ')}."


def model_path(option: Path | None) -> Path:
    """Return the model of --model, else of $CHARLM_MODEL, else the default one."""
    return option or Path(os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL_PATH)


def named_model(argument: Path | None, option: Path | None) -> Path:
    """Return the model that a command names as its argument or with --model, else the default.

    Raises:
        ConfigError: If it names two.
    """
    if argument is not None and option is not None:
        raise ConfigError("MODEL and --model exclude one another")
    return model_path(argument or option)


def command_line_options(context: typer.Context) -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the flag and the value of each option on the command line."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            value = context.params[name]
            is_no = value is False and parameter.secondary_opts
            yield name, max(parameter.secondary_opts if is_no else parameter.opts, key=len), value


def json_options(context: typer.Context) -> dict[str, Any]:
    """Return the options of the command line as JSON, without --output and --metrics."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, _, value in command_line_options(context)
        if name not in ("output", "metrics") and isinstance(value, bool | int | float | str | Path)
    }


def parse_duration(text: str) -> float:
    """Return a duration in seconds: 90, 90s, 1.5m, 2h or 1h30m.

    Raises:
        typer.BadParameter: If `text` is no duration.
    """
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", text.strip())
    if match is None or not any(match.groups()):
        raise typer.BadParameter(f"{text!r} is no duration; write 60s, 5m or 1h30m")
    hours, minutes, seconds = (float(digits or 0) for digits in match.groups())
    duration = 3600 * hours + 60 * minutes + seconds
    if duration > LONGEST_TIME:
        raise typer.BadParameter(f"a duration is at most {LONGEST_TIME:g} seconds")
    return duration


def parse_columns(text: str) -> tuple[int, ...]:
    """Return the numbers of columns, from 1, with commas between them: 2,4.

    Raises:
        typer.BadParameter: If `text` is something else.
    """
    if not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})+", text):
        raise typer.BadParameter(f"{text!r} are no columns; write their numbers: 2,4")
    return tuple(map(int, text.split(",")))


def unescaped(text: str) -> str:
    r"""Return `text` with its escapes replaced: \n, \r, \t and \\; other backslashes stay."""
    return re.sub(r"\\([nrt\\])", lambda match: ESCAPES[match[1]], text)


def character_set(text: str) -> str:
    r"""Return the characters of a set: a-z is a range, \- a hyphen; escapes as in `unescaped`.

    Raises:
        ConfigError: If a range ends before it begins.
    """
    characters: list[str] = []
    character = r"\\[nrt\\-]|."
    for first, last in re.findall(f"({character})(?:-({character}))?", text, re.DOTALL):
        low, high = (unescaped(unit)[-1] for unit in (first, last or first))
        if high < low:
            raise ConfigError(f"the range {low}-{high} ends before it begins")
        characters += map(chr, range(ord(low), ord(high) + 1))
    return "".join(character for character in characters if not "\ud800" <= character <= "\udfff")


def refuse(option: str, others: dict[str, bool]) -> None:
    """Raise ConfigError if one of `others` was given together with `option`."""
    for other, is_given in others.items():
        if is_given:
            raise ConfigError(f"{option} and {other} exclude one another")
