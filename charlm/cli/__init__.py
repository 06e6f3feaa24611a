"""The command line: each command parses its options, calls the library and prints the result.

train/      train a model
generate/   generate text
eval/       score text
info/       describe a model
export      write a model as a web page
options     options that commands share
output      stdout
signals     Ctrl-C and the other signals that stop a run

Exit status, as of grep: 0 done, 1 the answer is no, 2 an error, 130 Ctrl-C, 143 SIGTERM. A closed
pipe ends a command quietly, with 0. Errors are one line on stderr, with a hint below.
"""

import os
import re
import sys
import time
from typing import Annotated, Any, NoReturn

import typer

from charlm.cli.eval.command import eval_command
from charlm.cli.export import export_command
from charlm.cli.generate.command import generate_command
from charlm.cli.info.command import info_command
from charlm.cli.options import Command, CommandGroup
from charlm.cli.train.command import train_command
from charlm.cli.train.torchrun import reports_errors
from charlm.errors import CharlmError, ConfigError

app = typer.Typer(
    name="charlm",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = ("train", "generate", "eval", "info", "export")
STATUS = "Exit status: 0 done, {}2 an error, 130 Ctrl-C, 143 SIGTERM."
NO_TEXT = "1 some texts could not be generated, "
NO_PASS = "1 no line passes or the score is above --fail-above, "
app.command("train", cls=Command, epilog=STATUS.format(""))(train_command)
app.command("generate", cls=Command, epilog=STATUS.format(NO_TEXT))(generate_command)
app.command("eval", cls=Command, epilog=STATUS.format(NO_PASS))(eval_command)
app.command("info", cls=Command, epilog=STATUS.format(""))(info_command)
app.command("export", cls=Command, epilog=STATUS.format(""))(export_command)

# typer raises it for bad usage. Not every release has a public name for it; its subclass has one.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
LIBRARY_LACKS_MEMORY = "failed to map segment from shared object"  # the linker's message
MEMORY_HINT = "raise ulimit -v, or use less at once: a shorter text, a smaller model, fewer texts"


def _print_version(is_requested: bool) -> None:
    if is_requested:
        import importlib.metadata  # takes 20 ms, which --help does not need

        typer.echo(f"charlm {importlib.metadata.version('charlm')}")
        raise typer.Exit


@app.callback()
def charlm(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Train a small recurrent language model on your own text; generate and score text with it.

    Example: charlm train book.txt && charlm generate --seed "This is"
    """


def main() -> None:
    """Run a command; print what a user can fix as one line on stderr, and set the exit status."""
    _drop_false_variables()
    try:
        raise SystemExit(app(standalone_mode=False))
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and LIBRARY_LACKS_MEMORY not in str(error):
            _crash()
    except KeyboardInterrupt:  # outside a run
        raise SystemExit(130) from None
    except CharlmError as error:
        _exit(error)
    except UsageError as error:
        _exit(_usage_error(error))
    except OSError as error:  # a file that cannot be looked at; or --help > /dev/full
        from charlm.cli.output import discard_stdout

        discard_stdout()
        place = f"{error.filename} cannot be used: " if error.filename else ""
        _exit(CharlmError(f"{place}{error.strerror or error}"))
    except Exception:  # a fault of charlm's own: nothing is hidden, only the status is another
        _crash()
    # Here, not above: while it is handled, the error keeps alive everything that fills the memory.
    _exit(CharlmError("there is not enough memory", hint=MEMORY_HINT), always=True)


def _crash() -> NoReturn:
    """Print the traceback of a fault of charlm's own. Its status must not be 1, a no."""
    sys.excepthook(*sys.exc_info())
    raise SystemExit(2) from None


def _drop_false_variables() -> None:
    """Forget variables of the environment that rich and typer would fail to read."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        if not re.fullmatch(r"[0-9]{1,6}", os.environ.get(name, "0")):
            del os.environ[name]
    if "COMP_WORDS" not in os.environ and os.environ.get("_CHARLM_COMPLETE") == "complete_bash":
        del os.environ["_CHARLM_COMPLETE"]


def _usage_error(error: Any) -> ConfigError:
    """Return typer's error in the style of all others."""
    # typer's words for a value that it cannot read are a programmer's.
    message = re.sub(
        r"Value error, |, unable to parse string as an? \w+", "", error.format_message()
    )
    message = message.replace("Input should be a valid", "the value must be a")
    message = message.replace("a integer", "a whole number")
    if not message:  # no command: typer has printed the help
        raise SystemExit(error.exit_code)
    command = error.ctx.command_path if error.ctx else "charlm"
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:  # some errors have no context
        command = f"charlm {sys.argv[1]}"
    hint = f"{command} -h shows all options"
    if "unexpected extra argument" in message and command == "charlm generate":
        hint = "name the model with -m FILE, and the text to continue with --seed TEXT"
    elif "missing argument" in message.lower() and command == "charlm train":
        hint = f"name a text, as in charlm train book.txt; {hint}"
    elif command == "charlm":
        hint = f"the commands are {', '.join(COMMANDS)}; charlm -h describes them"
    return ConfigError(message[:1].lower() + message[1:].removesuffix("."), hint=hint)


def _exit(error: CharlmError, *, always: bool = False) -> NoReturn:
    """Print an error, unless another process does, and exit."""
    if always or reports_errors(error):
        from charlm.display import show_error  # imports rich, which a good run does not need

        show_error(error)
    else:
        time.sleep(1)  # or torchrun might end the process that prints it, before it has
    raise SystemExit(2) from None
