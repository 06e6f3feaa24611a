"""A block of lines replaces itself, also in a window that has become narrower."""

import re

import pytest
from rich.console import Console
from rich.text import Text

from charlm.display.live_block import LiveBlock


class Terminal:
    """A terminal of few features, which wraps the lines of a narrower window again."""

    encoding = "utf-8"

    def __init__(self):
        self.rows, self.row, self.column = [""], 0, 0

    def isatty(self):
        return True

    def flush(self):
        pass

    def write(self, text):
        for code, count, command, character in re.findall(
            r"(\x1b\[\??([0-9;]*)([A-Za-z]))|([^\x1b])", text
        ):
            if command == "A":
                self.row = max(0, self.row - int(count))
            elif command == "K":
                self.rows[self.row] = ""
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self.row, self.column = self.row + 1, 0
                self.rows += [""] * (self.row == len(self.rows))
            elif not code:
                row = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
                self.column += 1

    def narrow(self, width):
        """Wrap each row; the cursor stays behind the last character of its row."""
        wrapped = [
            [row[start : start + width] for start in range(0, len(row), width)] or [""]
            for row in self.rows
        ]
        self.row = sum(map(len, wrapped[: self.row + 1])) - 1
        self.rows = [part for parts in wrapped for part in parts]
        self.column = len(self.rows[self.row])


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("XTERM_VERSION", raising=False)
    monkeypatch.delenv("STY", raising=False)
    return Terminal()


@pytest.fixture
def console(terminal):
    console = Console(file=terminal, force_terminal=True, color_system=None, width=100, height=30)
    console.print("before")
    return console


def picture(*lengths):
    """Return lines of letters, a b c …, of these lengths."""
    lines = [chr(ord("a") + number) * length for number, length in enumerate(lengths)]
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")


@pytest.mark.parametrize("width", [100, 61, 60, 59, 40, 7])
def test_a_narrower_window_leaves_no_rows_of_the_block(terminal, console, width):
    block = LiveBlock(console)
    block.draw(picture(60, 0, 100, 5), at_once=True)
    console.width = width
    terminal.narrow(width)
    for _ in range(2):
        block.draw(picture(3, 4), at_once=True)

    assert terminal.rows[:3] == ["before", "aaa", "bbbb"]
    assert set(terminal.rows[3:]) <= {""}

    block.stop()
    console.print("after")
    assert terminal.rows[:4] == ["before", "aaa", "bbbb", "after"]


def test_a_line_is_printed_above_the_block_in_a_narrower_window(terminal, console):
    block = LiveBlock(console)
    block.draw(picture(90, 90), at_once=True)
    console.width = 30
    terminal.narrow(30)
    block.erase_wrapped_rows()
    console.print("note")

    assert terminal.rows[:4] == ["before", "note", "a" * 29 + "…", "b" * 29 + "…"]
    assert set(terminal.rows[4:]) <= {""}
    block.stop()


def test_a_terminal_that_cuts_lines_off_keeps_what_was_printed_before(
    terminal, console, monkeypatch
):
    monkeypatch.setenv("XTERM_VERSION", "XTerm(390)")
    block = LiveBlock(console)
    block.draw(picture(90, 90), at_once=True)
    console.width = 30
    block.draw(picture(3, 4), at_once=True)

    assert terminal.rows == ["before", "aaa", "bbbb"]
    block.stop()


def test_there_are_four_frames_a_second_at_most(terminal, console, monkeypatch):
    clock = iter([0.0, 0.1, 0.24, 0.25])
    monkeypatch.setattr("charlm.display.live_block.time.monotonic", lambda: next(clock))
    block = LiveBlock(console)
    for length in (1, 2, 3):
        block.draw(picture(length))
    assert terminal.rows == ["before", "a"]

    block.draw(picture(4))
    assert terminal.rows == ["before", "aaaa"]
    block.stop()
