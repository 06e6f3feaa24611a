"""`python -m charlm` is the command, and can be interrupted while it loads."""

import signal
import subprocess
import sys

import pytest

import charlm.cli
from charlm.__main__ import main


def test_python_m_charlm_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "charlm", "--help"], capture_output=True, check=True, timeout=60
    )

    assert b"train" in result.stdout


def test_a_fault_of_our_own_is_an_error_and_not_a_no(monkeypatch, capsys):
    """Python would exit with 1."""

    def fail(**options):
        raise RuntimeError("a fault")

    monkeypatch.setattr(charlm.cli, "app", fail)
    with pytest.raises(SystemExit) as exit:
        charlm.cli.main()

    assert exit.value.code == 2
    assert "RuntimeError: a fault" in capsys.readouterr().err


def test_an_interrupt_ends_the_process_only_while_the_command_loads(monkeypatch):
    """Afterwards Python's handler is back, which `charlm.cli` relies on."""
    handlers = []
    monkeypatch.setattr(charlm.cli, "main", lambda: handlers.append(signal.getsignal(2)))
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, signal.SIG_IGN):
            signal.signal(signal.SIGINT, handler)
            main()
    finally:
        signal.signal(signal.SIGINT, before)

    assert handlers == [signal.default_int_handler, signal.SIG_IGN]
