"""The commands: one file each, which parses, calls the library and shows the result.

Exit status: 0 done, 1 a CharlmError (one line on stderr, with the cure), 2 bad usage,
130 Ctrl-C, 143 SIGTERM. A closed pipe ends a command quietly, with 0.
"""

from typing import Annotated

import typer

from charlm.cli.eval import eval_command
from charlm.cli.generate import generate_command
from charlm.cli.info import info_command
from charlm.cli.train import train_command
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
    """Run a command; a CharlmError becomes a line on stderr and an exit status."""
    try:
        app()
    except CharlmError as error:
        from charlm.display import show_error  # rich, which a good run does not need

        show_error(error)
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None
    except OSError as error:  # of typer's own writing: --help > /dev/full
        from charlm.cli.output import point_stdout_at_nothing
        from charlm.display import show_error

        point_stdout_at_nothing()
        show_error(CharlmError(str(error)))
        raise SystemExit(1) from None
