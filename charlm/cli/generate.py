"""`charlm generate`: let a model speak."""

import contextlib
import secrets
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from charlm.cli.options import ModelOption, model_path
from charlm.cli.output import write
from charlm.config import DEFAULT_LENGTH, SamplingConfig
from charlm.errors import CharlmError, ConfigError

MOST_SHOWN = 20  # characters

SeedOption = Annotated[
    str,
    typer.Option(
        "--seed",
        "--prompt",
        metavar="TEXT",
        help="The text to continue, echoed first; - reads it from stdin, less one final newline.",
    ),
]
SeedFileOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Take every line of this file, or of stdin for -, as a seed text, one after another; "
        "an empty one starts from nothing.",
        show_default=False,
    ),
]
EndingOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The text to lead up to, echoed last, an empty one being the end of a text; together "
        "with a seed text, write what goes between. Needs a model trained with --direction "
        "backward or both, and comes in one piece.",
        show_default=False,
    ),
]
LengthOption = Annotated[
    int,
    typer.Option(
        "--length",
        "-n",
        help="Characters to generate, seed and ending not included: exactly so many, but lines and "
        "answers may end before.",
    ),
]
TemperatureOption = Annotated[
    float,
    typer.Option(
        "--temperature",
        "--temp",
        help="Divide logits by this before sampling; 0 always takes the likeliest token.",
    ),
]
TopKOption = Annotated[
    int, typer.Option(help="Sample among so many of the likeliest tokens; 0 is off.")
]
TopPOption = Annotated[
    float,
    typer.Option(
        help="Sample among the fewest likeliest tokens that reach this probability; 1 is off."
    ),
]
CountOption = Annotated[
    int,
    typer.Option(
        help="Texts to generate for each seed text: lines one a line, others set apart by an "
        "empty line."
    ),
]
RngSeedOption = Annotated[
    int | None,
    typer.Option(
        "--rng-seed",
        help="Seed of the random generator: the same one gives the same text.",
        show_default="a new one each time",
    ),
]


def generate_command(
    model: ModelOption = None,
    seed: SeedOption = "",
    seed_file: SeedFileOption = None,
    ending: EndingOption = None,
    length: LengthOption = DEFAULT_LENGTH,
    temperature: TemperatureOption = SamplingConfig.temperature,
    top_k: TopKOption = SamplingConfig.top_k,
    top_p: TopPOption = SamplingConfig.top_p,
    count: CountOption = 1,
    rng_seed: RngSeedOption = None,
) -> None:
    """Write text that continues a seed text, as it is made.

    A model of lines writes lines; a model of pairs answers the seed text.

    Example: charlm generate --seed "This is" -n 300 --temperature 0.7
    """
    for name, value, least in (("length", length, 0), ("count", count, 1)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
    if rng_seed is not None and rng_seed < 0:
        raise ConfigError(f"rng-seed must be at least 0, got {rng_seed}")
    if seed and seed_file is not None:
        raise ConfigError("--seed and --seed-file exclude one another")
    if ending is not None:
        _check_unicode(ending, "the ending")
    SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p)  # before the model loads
    seeds = [_seed_text(seed)] if seed_file is None else _seed_lines(seed_file)
    from charlm.inference.model import load  # NumPy, which --help does not need

    speaker = load(model_path(model))
    form = speaker.config.form
    rng_seed = secrets.randbits(63) if rng_seed is None else rng_seed
    is_one = count == 1 and seed_file is None
    unlisted: set[str] = set()
    for item, text in enumerate(text for text in seeds for _ in range(count)):
        pieces = speaker.stream(
            text,
            ending=ending,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            rng_seed=(rng_seed, item),
        )
        _warn_of_unlisted(speaker.tokenizer.unlisted(text + (ending or "")), unlisted)
        if form == "text" and item > 0:
            write("\n")  # an empty line between texts
        last = "" if form == "pairs" else text
        write(last)
        for piece in chain(pieces, [ending or ""]):
            write(piece)
            last = piece or last
        # A single text ends where it ends, but the shell's prompt must not stand in it.
        if form != "text" or not is_one or (sys.stdout.isatty() and not last.endswith("\n")):
            write("\n")


def _seed_text(given: str) -> str:
    """Return the seed text, which must be valid Unicode to be echoed as it is."""
    if given == "-":
        if sys.stdin.isatty():
            raise ConfigError("--seed - reads stdin, which is a terminal")
        text = _decoded(sys.stdin.buffer.read(), "the seed text on stdin")
        return _without_line_end(text)
    _check_unicode(given, "the seed text")
    if given.isdecimal():
        typer.echo(
            "note: --seed is the text to continue; the random generator's is --rng-seed", err=True
        )
    return given


def _check_unicode(given: str, name: str) -> None:
    """Raise CharlmError for a text that cannot be echoed as it is."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise CharlmError(f"{name} is not UTF-8") from None


def _seed_lines(name: str) -> Iterator[str]:
    """Yield the lines of a file or of stdin, without their ends, each as soon as it is there."""
    if name == "-" and sys.stdin.isatty():
        raise ConfigError("--seed-file - reads stdin, which is a terminal")
    try:
        with contextlib.ExitStack() as stack:
            file = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
            for number, line in enumerate(file, start=1):
                yield _without_line_end(_decoded(line, f"{name}, line {number:,},"))
    except OSError as error:
        raise CharlmError(f"{name} cannot be read: {error.strerror}") from None


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CharlmError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start:,}"
        ) from None


def _warn_of_unlisted(characters: str, known: set[str]) -> None:
    """Say in one line, and once in a run, which characters the model's vocabulary lacks."""
    if characters and not known:
        shown = " ".join(
            character if character.isprintable() else f"U+{ord(character):04X}"
            for character in characters[:MOST_SHOWN]
        )
        more = " and more" if len(characters) > MOST_SHOWN else ""
        typer.echo(
            f"note: not in the model's vocabulary, so spelled out in bytes: {shown}{more}", err=True
        )
    known.update(characters)
