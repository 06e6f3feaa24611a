"""Data on stdout."""

import json
import math
import sys

import pytest

from charlm.cli.output import finite, is_terminal, write, write_json
from charlm.errors import CharlmError


def test_a_closed_stream_is_no_terminal():
    assert not is_terminal(None)


def test_text_is_written_as_utf_8_whatever_it_holds(capfdbinary):
    write("caf\u00e9\ud800\n")
    write_json({"text": "\x1b", "score": finite(math.inf)})

    lines = capfdbinary.readouterr().out.split(b"\n")
    assert lines[0] == "caf\u00e9\ufffd".encode()
    assert json.loads(lines[1]) == {"text": "\x1b", "score": None}


def test_a_closed_stdout_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(CharlmError, match="standard output is closed"):
        write("text")
