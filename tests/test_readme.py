"""The README is true: its commands exist, its Python runs, its first block is two lines."""

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

import charlm.cli
from charlm.errors import CharlmError, ConfigError

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def command_lines():
    """Yield the words of every charlm command in the shell blocks."""
    for language, block in BLOCKS:
        for line in block.splitlines() if language in ("sh", "console") else ():
            if language == "sh" or line.startswith("$ "):
                for command in re.split(r"&&|\|", line.removeprefix("$ ").partition("  #")[0]):
                    words = shlex.split(command)
                    if words and words[0].endswith("charlm"):
                        yield tuple(words[1:])


def test_the_first_block_is_two_commands():
    language, block = BLOCKS[0]
    job, tests = block.splitlines()

    assert language == "sh"
    assert "train corpora/" in job and job.endswith('generate --seed "This is"')
    assert tests.endswith("pytest")


def test_the_readme_shows_commands():
    assert {words[0] for words in command_lines()} == {"train", "generate", "eval", "info"}


@pytest.mark.parametrize("words", sorted(set(command_lines())), ids=shlex.join)
def test_every_command_of_the_readme_is_accepted(words, tmp_path, monkeypatch):
    """Its options and values are: if a command fails, it is because a file is not here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARLM_MODEL", raising=False)
    monkeypatch.setattr(sys, "argv", ["charlm", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    try:
        charlm.cli.app([*words], standalone_mode=False)
    except CharlmError as error:
        assert not isinstance(error, ConfigError), error


def test_the_python_of_the_readme_runs(verse_checkpoint, tmp_path, monkeypatch, capsys):
    code = "".join(block for language, block in BLOCKS if language == "python")
    verse_checkpoint.save(tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})

    assert len(capsys.readouterr().out) > 400
    assert charlm.load("model.safetensors")


def test_files_that_the_readme_names_exist():
    links = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "//" not in target]
    [file_map] = [block for _, block in BLOCKS if block.startswith("charlm/errors.py")]
    listed = [line.split()[0] for line in file_map.splitlines()]

    assert len(listed) > 10
    assert all((ROOT / path).exists() for path in [*links, *listed])
