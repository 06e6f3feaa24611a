"""How a command ends: exit status, and one line for an error."""

import sys

import pytest

from charlm import cli
from charlm.errors import CharlmError, ConfigError


@pytest.fixture
def main_with(monkeypatch, capsys):
    """Run `main` with a command that raises an error; return exit status and stderr."""

    def run(error):
        def app(**_):
            raise error

        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr(sys, "argv", ["charlm", "info"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (CharlmError("wrong", hint="mend it"), 2, "error: wrong\n\nhint: mend it\n"),
        (ConfigError("wrong"), 2, "error: wrong\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_has_its_status_and_one_line(main_with, error, status, printed):
    assert main_with(error) == (status, printed)


@pytest.mark.parametrize("error", [MemoryError(), ImportError(f"lib: {cli.LIBRARY_LACKS_MEMORY}")])
def test_too_little_memory_is_one_line(main_with, error):
    status, printed = main_with(error)

    assert status == 2
    assert printed.startswith("error: there is not enough memory\n\nhint: raise ulimit -v")


def test_another_import_error_is_a_bug(main_with):
    status, printed = main_with(ImportError("no module"))

    assert status == 2
    assert printed.endswith("ImportError: no module\n")


def test_a_full_stdout_is_one_line(main_with, monkeypatch):
    discarded = []
    monkeypatch.setattr("charlm.cli.output.discard_stdout", lambda: discarded.append(True))
    status, printed = main_with(OSError(28, "No space left on device"))

    assert (status, discarded) == (2, [True])
    assert printed == "error: No space left on device\n"
