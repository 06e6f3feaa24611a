"""The commands on a terminal, which here is a pseudo-terminal."""

import os
import re
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")

SMALL = ["--hidden-size", "16", "--batch-size", "8"]


@pytest.fixture
def terminal(charlm_path, tmp_path):
    pexpect = pytest.importorskip("pexpect")

    # COLUMNS and LINES would be the size of the window, whatever it is.
    inherited = {name: os.environ[name] for name in os.environ.keys() - {"COLUMNS", "LINES"}}

    def spawn(*arguments, program=charlm_path, **env):
        return pexpect.spawn(
            program,
            [str(argument) for argument in arguments],
            cwd=tmp_path,
            env={**inherited, "TERM": "xterm", **env},
            dimensions=(24, 90),
            encoding="utf-8",
            timeout=60,
        )

    spawn.shell = lambda command: spawn("-c", command, program="/bin/sh")
    return spawn


def ended(child):
    """Return all that is left to read, and the exit status."""
    import pexpect

    child.expect(pexpect.EOF)
    child.close()
    return child.before, child.exitstatus


def test_training_is_animated_and_leaves_the_cursor_visible(terminal, verse_path):
    child = terminal("train", verse_path, *SMALL, "--max-time", "3s")
    child.expect("learning from")
    child.expect(r"\d % +\d+ s left")
    child.expect("bits per character")
    child.expect("it writes")
    rest, status = ended(child)

    assert status == 0
    assert "try: charlm generate" in rest
    assert rest.rindex("\x1b[?25h") > rest.find("\x1b[?25l")


@pytest.mark.parametrize(
    ("command", "counted"),
    [
        ("generate -m {} --count 2000 -n 5", "texts"),
        ("eval -m {} --per-line lines.txt", "lines"),
    ],
)
def test_many_texts_are_counted_while_they_go_to_a_file(
    terminal, charlm_path, verse_model_path, tmp_path, command, counted
):
    (tmp_path / "lines.txt").write_text("the cat sat on the mat\n" * 3000)
    child = terminal.shell(f"{charlm_path} {command.format(verse_model_path)} > out.txt")
    child.expect(rf"\d+ {counted}")
    _, status = ended(child)

    assert status == 0
    assert len((tmp_path / "out.txt").read_text().splitlines()) >= 2000


def test_a_narrower_window_leaves_no_block_of_training_behind(terminal, verse_path, monkeypatch):
    """The terminal wraps the block again, so that more rows are erased than were drawn."""
    pexpect = pytest.importorskip("pexpect")
    monkeypatch.delenv("XTERM_VERSION", raising=False)
    monkeypatch.delenv("STY", raising=False)
    child = terminal("train", verse_path, *SMALL, "--max-steps", 1_000_000)
    wrapped = 0
    for _ in range(10):  # a window may become narrower while the block is being drawn
        child.setwinsize(24, 90)
        child.expect("it writes.*it writes")
        child.setwinsize(24, 40)
        erased = r"((?:\x1b\[2K\x1b\[1A)+)\r"  # beyond the rows that were drawn, before these
        if child.expect([erased, pexpect.TIMEOUT], timeout=10) == 0:
            wrapped = child.match[1].count("\x1b[1A")
            break
    child.sendintr()
    ended(child)

    assert wrapped >= 2  # the bar and the line of training take two rows each, the sample more


def test_ctrl_c_keeps_the_best_model_and_the_cursor(terminal, verse_path, tmp_path):
    child = terminal("train", verse_path, *SMALL, "--max-steps", 1_000_000)
    child.expect("characters/s")
    child.sendintr()
    rest, status = ended(child)

    assert status == 130
    assert "stopped as asked" in rest
    assert "\x1b[?25h" in rest
    assert (tmp_path / "model.safetensors").exists()


def test_what_to_try_next_can_be_copied_from_a_narrow_window(terminal, verse_path):
    arguments = ("train", verse_path, *SMALL, "--max-steps", 5, "-o", "a-name.safetensors")
    child = terminal(*arguments)
    child.setwinsize(24, 40)
    rest, _ = ended(child)

    assert "charlm generate --length 300 --model a-name.safetensors" in rest


def test_a_dumb_terminal_gets_plain_lines(terminal, verse_path):
    rest, status = ended(terminal("train", verse_path, *SMALL, "--max-steps", 20, TERM="dumb"))

    assert status == 0
    assert "\x1b" not in rest


def test_without_colour_there_is_none(terminal, verse_path):
    rest, _ = ended(terminal("train", "nowhere.txt", NO_COLOR="1"))

    assert "error: " in re.sub(r"\x1b\[[01]?m", "", rest)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", rest)


def test_text_goes_where_stdout_goes_while_stderr_is_a_terminal(
    terminal, verse_model_path, tmp_path, charlm_path
):
    import pexpect

    line = f"'{charlm_path}' generate -m '{verse_model_path}' -n 50 > out.txt"
    child = pexpect.spawn("sh", ["-c", line], cwd=tmp_path, encoding="utf-8", timeout=60)
    rest, status = ended(child)

    assert (rest, status) == ("", 0)
    assert len((tmp_path / "out.txt").read_text(encoding="utf-8")) == 50


def test_generated_text_ends_with_a_newline_on_a_terminal(terminal, verse_model_path):
    rest, _ = ended(
        terminal("generate", "-m", verse_model_path, "--seed", "the", "-n", 4, "--temp", 0)
    )

    assert rest.startswith("the ")
    assert rest.endswith("\r\n")


def test_ctrl_c_while_generating_prints_no_traceback(terminal, verse_model_path):
    child = terminal("generate", "-m", verse_model_path, "-n", 10**9)
    child.expect("the")
    child.sendintr()
    rest, status = ended(child)

    assert status == 130
    assert "Traceback" not in rest


@pytest.mark.parametrize("arguments", [("train", "-"), ("eval",), ("generate", "--seed", "-")])
def test_no_command_waits_for_a_text_from_a_terminal(terminal, arguments):
    rest, status = ended(terminal(*arguments))

    assert status == 2
    assert "terminal" in rest


def test_a_terminal_gets_pictures_of_control_characters(terminal, charlm, verse_model_path):
    arguments = ("generate", "-m", verse_model_path, "--seed", "a\x1b[31mb\u202ec", "-n", 3)
    seen, status = ended(terminal(*arguments))
    passed = charlm(*arguments).stdout.decode()

    assert status == 0
    assert "a\u241b[31mb\ufffdc" in seen
    assert "\x1b" not in seen.replace("\x1b[1mnote: \x1b[0m", "")
    assert passed.startswith("a\x1b[31mb\u202ec")


def test_surprising_characters_are_coloured(terminal, verse_model_path):
    arguments = ("generate", "-m", verse_model_path, "--show-probabilities", "--temperature", 3)
    coloured, _ = ended(terminal(*arguments, "-n", 300, "--rng-seed", 1, COLORTERM="truecolor"))
    plain, _ = ended(terminal(*arguments, "-n", 300, "--rng-seed", 1, NO_COLOR="1"))

    assert "48;2;193;18;31m" in coloured  # of 10 bits and more
    assert "bits a character, from:" in coloured
    note, _, plain = plain.partition("\r\n")
    plain = re.sub(r"\x1b\[[01]?m", "", plain)
    assert "needs a terminal with colours" in note
    text = re.sub(r"\x1b\[[0-9;]*m", "", coloured).partition("\r\nbits a")[0]
    assert text.strip() == plain.strip()


def test_a_conversation_goes_on_until_ctrl_d(terminal, verse_model_path):
    child = terminal(
        "generate", "-m", verse_model_path, "--interactive", "--temperature", 0, "--lines", 1
    )
    child.expect("> ")
    child.sendline("where did the dog")
    child.expect("where did the dog go[?] the dog went home.")
    child.expect("> ")
    child.sendline("the cat went")
    child.expect("the cat went to the caf")
    child.expect("> ")
    child.sendintr()
    child.expect("> ")
    child.sendeof()
    _, status = ended(child)

    assert status == 0


def test_a_text_without_end_in_a_conversation_ends_with_ctrl_c(terminal, verse_model_path):
    child = terminal("generate", "-m", verse_model_path, "-i", "-n", -1)
    child.expect("> ")
    child.sendline("the")
    child.expect("the [a-z ]{10}")
    child.sendintr()
    child.expect("> ")
    child.sendeof()

    assert ended(child)[1] == 0


@pytest.mark.parametrize(
    "mode",
    [
        ["--per-line"], ["--per-line", "--json"], ["--top", "1"], ["--per-token"], ["--per-word"],
        ["--per-token", "--json"], ["--heatmap"], ["-m", "odd\x1b]0;name.safetensors"],
        ["-m", "odd\x1b]0;name.safetensors", "--per-line"],
    ],
)  # fmt: skip
def test_scoring_lets_no_escape_reach_a_terminal(terminal, verse_checkpoint, tmp_path, mode):
    for name in ("model.safetensors", "odd\x1b]0;name.safetensors"):
        verse_checkpoint.save(tmp_path / name)
    (tmp_path / "text").write_text("the cat\x1b]0;title\x07 sat\u009b2J on\n", encoding="utf-8")
    shown, status = ended(
        terminal("eval", "text", "-m", "model.safetensors", *mode, COLORTERM="truecolor")
    )

    assert status == 0
    rest = re.sub(r"\x1b\[[0-9;]*m", "", shown)  # colours
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", rest), ascii(rest)
    assert len(rest) > 20


def test_info_breaks_no_word_in_a_narrow_window(terminal, charlm, verse_model_path):
    wide = charlm("info", "-m", verse_model_path.name, cwd=verse_model_path.parent)
    shown, status = ended(terminal("info", "-m", verse_model_path, COLUMNS="40"))
    # The first line has the path, a word that is too long.
    lines = shown.replace("\r\n", "\n").splitlines()
    words = set(wide.stdout.decode().split())

    assert status == 0
    assert max(map(len, lines[1:])) <= 40
    assert {word for line in lines[1:] for word in line.split() if "…" not in word} <= words
    assert "sha256\n" + 12 * " " in "\n".join(lines)
