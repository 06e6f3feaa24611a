"""What commands share: values of options, and how help shows flags."""

import functools
import inspect
import os
import sys
import typing

import pytest
import typer
from typer.testing import CliRunner

from charlm.cli.eval.command import eval_command
from charlm.cli.generate.command import generate_command
from charlm.cli.options import character_set, parse_duration, unescaped
from charlm.cli.train.command import train_command
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("60s", 60), ("1.5m", 90), ("2h", 7200), ("1h30m", 5400), ("1m5s", 65)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 parsecs", "s", "1m1h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(typer.BadParameter, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("abc", "abc"),
        ("a-dx", "abcdx"),
        ("a-c0-2", "abc012"),
        ("-a", "-a"),
        ("a-", "a-"),
        (r"a\-c", "a-c"),
        (r"\n\t\\", "\n\t\\"),
        ("\\", "\\"),
        ("à-ã 客", "àáâã 客"),
        ("", ""),
    ],
)
def test_sets_of_characters_are_those_of_tr(text, characters):
    assert character_set(text) == characters


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigError, match="the range z-a ends before it begins"):
        character_set("xz-a")


@pytest.mark.parametrize("columns", [40, 200])
def test_help_shows_no_type_of_a_flag(charlm, columns):
    for command in ([], ["train"], ["generate"], ["eval"], ["info"]):
        shown = charlm(*command, "--help", env={"COLUMNS": str(columns)}).stdout.decode()

        assert "--" in shown
        assert not any(word in shown for word in ("bool", "BOOL", "list[", "TEXT...")), shown


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_help_shows_no_type_of_a_flag_on_a_terminal(charlm_path):
    pexpect = pytest.importorskip("pexpect")
    shown = pexpect.run(f"{charlm_path} train --help", env={**os.environ, "TERM": "xterm"})

    assert b"overwrite" in shown
    assert b"bool" not in shown


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        (r"a\nb", "a\nb"),
        (r"a\tb\r", "a\tb\r"),
        (r"\\newpage", r"\newpage"),
        (r"\\\n", "\\\n"),
        (r"\section \d", r"\section \d"),
        ("plain", "plain"),
        ("end\\", "end\\"),
    ],
)
def test_one_rule_for_backslashes_in_every_option(typed, taken):
    assert unescaped(typed) == taken


@pytest.mark.parametrize(
    ("typed", "characters"),
    [(r"a-c", "abc"), (r"\-\n", "-\n"), (r"\\", "\\"), (r"\d", r"\d"), (r"a\-c", "a-c")],
)
def test_a_set_of_characters_has_the_same_escapes(typed, characters):
    assert sorted(character_set(typed)) == sorted(characters)


COMMANDS = {"train": train_command, "generate": generate_command, "eval": eval_command}


def choice_options():
    """Yield the command, the name and a choice of each option that has choices."""
    for command, function in COMMANDS.items():
        for name, parameter in inspect.signature(function).parameters.items():
            for annotation in typing.get_args(parameter.annotation)[:1]:
                kinds = [annotation, *typing.get_args(annotation)]
                for kind in kinds:
                    if typing.get_origin(kind) is typing.Literal:
                        yield command, name, typing.get_args(kind)[-1]


@pytest.mark.parametrize(("command", "name", "choice"), list(choice_options()))
def test_a_choice_may_be_in_capitals(command, name, choice):
    app = typer.Typer()
    taken = {}

    @functools.wraps(COMMANDS[command])
    def command_alone(**options):
        taken.update(options)

    app.command()(command_alone)
    flag = f"--{name.replace('_', '-')}"
    corpus = ["corpus"] if command == "train" else []
    CliRunner().invoke(app, [flag, choice.upper(), *corpus], catch_exceptions=False)

    assert taken[name] == choice


def test_all_options_with_choices_are_tried():
    assert {name for _, name, _ in choice_options()} >= {
        "cell", "tokenizer", "nonlinearity", "direction", "initialisation", "optimizer",
        "validation_from", "precision", "device", "score",
    }  # fmt: skip
