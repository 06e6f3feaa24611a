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


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "--html", "{}", "verse.txt"),
        ("info", "--plot", "{}.svg", "--metrics", "runs.jsonl"),
        ("train", "verse.txt", "--metrics", "{}"),
    ],
)
def test_a_name_that_is_too_long_is_named(charlm, verse_model_path, tmp_path, command):
    (tmp_path / "verse.txt").write_text("The tide went out.\n" * 50)
    (tmp_path / "runs.jsonl").write_text(
        '{"run": "a", "split": "train", "step": 1, "bits_per_character": 2}\n'
    )
    name = "long" * 100
    model = ("-m", verse_model_path) if command[0] == "eval" else ()
    result = charlm(*(part.format(name) for part in command), *model)
    [line] = result.stderr.decode().split("\n\n")[0].splitlines()

    assert result.returncode == 2
    assert line.startswith(f"error: {name}")
    assert line.endswith(": File name too long")
