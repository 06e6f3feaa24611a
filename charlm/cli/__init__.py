"""The commands: one file each, which parses, calls the library and shows the result.

Exit status: 0 done, 1 a CharlmError (one line on stderr, with the cure), 2 bad usage,
130 Ctrl-C, 143 SIGTERM. A closed pipe ends a command quietly, with 0.
"""

from typing import Annotated, Any, NoReturn

import typer

from charlm.cli.eval.command import eval_command
from charlm.cli.generate.command import generate_command
from charlm.cli.info import info_command
from charlm.cli.train.command import train_command
from charlm.cli.train.processes import is_told_here
from charlm.errors import CharlmError, ConfigError

app = typer.Typer(
    name="charlm",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", no_args_is_help=True)(train_command)
app.command("generate")(generate_command)
app.command("eval")(eval_command)
app.command("info")(info_command)

# What typer raises for bad usage. It has no public name in every release; its subclass has.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
NO_ROOM_FOR_LIBRARY = "failed to map segment from shared object"  # as the system's linker says it
MEMORY_HINT = "raise ulimit -v, or give less at once: a shorter text, a smaller model, fewer texts"


def _show_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # 20 ms, which --help does not need

        typer.echo(f"charlm {importlib.metadata.version('charlm')}")
        raise typer.Exit


@app.callback()
def charlm(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Train a small recurrent language model on your own text; let it speak and judge text.

    Example: charlm train book.txt && charlm generate --seed "This is"
    """


def main() -> None:
    """Run a command; what a user can mend becomes a line on stderr and an exit status."""
    try:
        raise SystemExit(app(standalone_mode=False))
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and NO_ROOM_FOR_LIBRARY not in str(error):
            raise
    except KeyboardInterrupt:  # when all was done but leaving
        raise SystemExit(130) from None
    except CharlmError as error:
        _end(error)
    except UsageError as error:  # whose message may hold anything that was typed
        _end(_usage_error(error))
    except OSError as error:  # of typer's own writing: --help > /dev/full
        from charlm.cli.output import point_stdout_at_nothing

        point_stdout_at_nothing()
        _end(CharlmError(str(error)))
    # Only here, where the error no longer holds on to all that was in the way.
    _end(CharlmError("there is not enough memory", hint=MEMORY_HINT), is_told=True)


def _usage_error(error: Any) -> ConfigError:
    """Return what typer says of bad usage, in the manner of all other errors."""
    message = error.format_message()
    if not message:  # no arguments at all, for which the help has been shown
        raise SystemExit(error.exit_code)
    command = error.ctx.command_path if error.ctx else "charlm"
    return ConfigError(
        message[:1].lower() + message[1:].removesuffix("."),
        hint=f"{command} -h tells what there is",
    )


def _end(error: CharlmError, *, is_told: bool = False) -> NoReturn:
    """Show what is wrong, if no other process does, and exit."""
    if is_told or is_told_here(error):
        from charlm.display import show_error  # rich, which a good run does not need

        show_error(error)
    raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None
