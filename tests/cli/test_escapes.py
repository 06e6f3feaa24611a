"""No message passes on control characters, whatever was typed and whatever a file is called."""

import json
import os
import re
import subprocess
import sys

import pytest

ESCAPE = "\x1b]0;title\x07\x1b[31mred\u009b2J\u202e"
COLOURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]")  # those of charlm itself
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")

MISTAKES = [
    [ESCAPE],
    ["train", "--bad" + ESCAPE],
    ["train", "--lines=" + ESCAPE],
    ["train", "corpus", "--max-steps", ESCAPE],
    ["train", "corpus", "--tokenizer", ESCAPE],
    ["train", "corpus", "--max-time", ESCAPE],
    ["train", ESCAPE],
    ["train", "odd" + ESCAPE],
    ["train", "corpus", "-o", f"nowhere{ESCAPE}/model"],
    ["train", "corpus", "--metrics", f"nowhere{ESCAPE}/metrics"],
    ["train", "corpus", "--embeddings", ESCAPE],
    ["train", "corpus", "--from", ESCAPE],
    ["generate", "-m", "odd" + ESCAPE],
    ["generate", "--match", "(" + ESCAPE],
    ["generate", "--allow-chars", f"z-a{ESCAPE}"],
    ["generate", "-m", "model", "--seed-file", ESCAPE],
    ["generate", "-m", "model", "--seed-file", "odd" + ESCAPE],
    ["eval", "-m", "model", ESCAPE],
    ["eval", "-m", "model", "odd" + ESCAPE],
    ["eval", "-m", "model", "--per-line", ESCAPE],
    ["eval", "-m", "model", "corpus", "--html", f"nowhere{ESCAPE}/page"],
    ["info", "model", "more" + ESCAPE],
    ["info"],  # $CHARLM_MODEL
]


@pytest.fixture
def odd_files(tmp_path, verse_checkpoint):
    """Make a file that is neither UTF-8 nor a model, with control characters in its name."""
    verse_checkpoint.save(tmp_path / "model")
    (tmp_path / "corpus").write_text("the cat sat on the mat\n" * 20)
    (tmp_path / ("odd" + ESCAPE)).write_bytes(b"the cat\x1b[31m\n" * 20 + b"\xff\x1b[31m\n")


@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda arguments: ascii(" ".join(arguments)))
def test_a_mistake_is_one_line_without_escapes(charlm, odd_files, arguments):
    result = charlm(*arguments, env={"CHARLM_MODEL": ESCAPE})
    printed = result.stderr.decode()

    assert result.returncode in (1, 2)
    assert not CONTROLS.search(printed), ascii(printed)
    assert re.search(r"^error: .*(\n\nhint: .*)?\n\Z", printed, re.MULTILINE), printed


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_a_terminal_gets_no_escape_of_a_mistake(charlm_path, odd_files, tmp_path):
    pexpect = pytest.importorskip("pexpect")
    for arguments in MISTAKES[:2] + MISTAKES[3:8] + MISTAKES[-1:]:
        child = pexpect.spawn(
            charlm_path,
            arguments,
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm", "CHARLM_MODEL": ESCAPE},
            encoding="utf-8",
            timeout=60,
        )
        child.expect(pexpect.EOF)
        child.close()
        printed = COLOURS.sub("", child.before).replace("\r\n", "\n")

        assert "error: " in printed
        assert not CONTROLS.search(printed), ascii(printed)


def test_bad_usage_looks_like_any_other_error(charlm):
    result = charlm("train", "text", "--tokenizer", "runes")

    assert result.returncode == 2
    assert re.fullmatch(
        r"error: invalid value for '--tokenizer': .*'runes' is not one of .*'unigram'\n\n"
        r"hint: charlm train -h shows all options\n",
        result.stderr.decode(),
    )


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (
            ["score"],
            "no such command 'score'",
            "the commands are train, generate, eval, info, export; ",
        ),
        (["eval", "--html"], "option '--html' requires an argument", "charlm eval -h shows"),
        (["generate", "-n", "x"], "invalid value for .* must be a whole number", "charlm generate"),
        (["generate", "m.safetensors"], "got unexpected .*", "name the model with -m FILE"),
        (["eval", "the cat sat."], "the cat sat. does not exist", "if this is the text itself"),
        (["train", "nowhere.txt", "-o", "a"], "nowhere.txt does not exist", None),
    ],
)
def test_a_mistake_of_a_beginner_gets_its_cure(charlm, tmp_path, arguments, error, hint):
    (tmp_path / "a").write_text("not a model, but the missing text is named first")
    result = charlm(*arguments, env={"CHARLM_MODEL": "m"})
    printed = result.stderr.decode()

    assert result.returncode in (1, 2)
    assert re.match(f"error: {error}\n", printed), printed
    assert hint is None or f"\n\nhint: {hint}" in printed


@pytest.mark.parametrize(
    "variables",
    [
        {"COLUMNS": "²"},
        {"TERMINAL_WIDTH": "abc"},
        {"LINES": "-1"},
        {"_CHARLM_COMPLETE": "complete_bash"},
    ],
)
def test_a_false_variable_of_the_environment_is_ignored(charlm, variables):
    result = charlm("train", "nowhere", env=variables)

    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"error: nowhere does not exist\n"


def test_colours_may_be_forced_but_no_animation(charlm, verse_path):
    result = charlm(
        "train", verse_path, "--max-steps", 30, "--hidden-size", 8,
        env={"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
    )  # fmt: skip

    assert result.returncode == 0
    assert b"\x1b[?25l" not in result.stderr  # the cursor stays
    assert b"step 30: validation" in result.stderr


# Only this device of Linux fails every write.
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_note_that_cannot_be_written_costs_no_text(charlm_path, verse_model_path):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [charlm_path, "generate", "-m", verse_model_path, "--seed", "☃", "-n", "5"],
            stdout=subprocess.PIPE,
            stderr=full,
        )

    assert result.returncode == 0
    assert len(result.stdout.decode()) == 6


def test_a_duration_without_bound_is_refused(charlm, verse_path):
    result = charlm("train", verse_path, "--save-every", "9" * 400)

    assert result.returncode == 2
    assert b"a duration is at most" in result.stderr


def test_without_arguments_there_is_help(charlm):
    result = charlm()

    assert (result.returncode, result.stderr) == (2, b"")
    assert b"Train a small recurrent language model" in result.stdout


def test_training_prints_names_without_escapes(charlm, tmp_path):
    name, model, metrics = (kind + ESCAPE for kind in ("text", "model", "metrics"))
    (tmp_path / name).write_text("\ufeffthe cat\x1b[31m sat on the mat\n" * 50, encoding="utf-8")
    result = charlm(
        "train", name, "-o", model, "--metrics", metrics, "--max-steps", 3, "--hidden-size", 8,
        "--document-separator", ESCAPE,
    )  # fmt: skip

    assert result.returncode == 0
    assert not CONTROLS.search(result.stderr.decode()), ascii(result.stderr)
    assert "read 1." in result.stderr.decode()
    assert (tmp_path / metrics).read_bytes().isascii()
    for line in (tmp_path / metrics).read_text().splitlines():
        assert json.loads(line)["split"]
    for command in (["info", model], ["info", model, "--json"], ["eval", name, "-m", model]):
        shown = charlm(*command)
        assert shown.returncode == 0
        assert not CONTROLS.search((shown.stdout + shown.stderr).decode()), ascii(shown.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "corpus", "--per-line", "--json"],
        ["eval", "corpus", "--per-token", "--json"],
        ["eval", "corpus", "--json"],
        ["generate", "--seed", ESCAPE, "--jsonl", "-n", "5"],
        ["generate", "--seed", ESCAPE, "--top-tokens", "5"],
    ],
    ids=" ".join,
)
def test_json_and_tables_hold_no_escape(charlm, odd_files, tmp_path, arguments):
    (tmp_path / "corpus").write_text(f"the cat{ESCAPE} sat\n", encoding="utf-8")
    result = charlm(*arguments, "-m", "model")

    assert result.returncode == 0
    assert not CONTROLS.search((result.stdout + result.stderr).decode()), ascii(result.stdout)
