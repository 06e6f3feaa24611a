"""Numbers are short; texts hold nothing that a terminal acts on."""

import ast
import json
import re

import pytest

from charlm.formatting import (
    count,
    duration,
    escaped,
    folded,
    harmless,
    in_field,
    quantity,
    sparkline,
    to_json,
    token_name,
    visible,
    without_surrogates,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (321, "321"),
        (999.6, "1 k"),
        (1115394, "1.12 M"),
        (28_100, "28.1 k"),
        (640_000, "640 k"),
        (7e12, "7000 G"),
    ],
)
def test_quantities(value, words):
    assert quantity(value) == words


def test_a_quantity_may_have_a_unit():
    assert quantity(5_460_420, "B") == "5.46 MB"
    assert quantity(12, "B") == "12 B"


def test_counts_agree_with_their_nouns():
    assert [count(1, "step"), count(1200, "step")] == ["1 step", "1,200 steps"]


def test_the_highest_bar_is_the_largest_value():
    assert sparkline([4, 3, 2, 1]) == "█▆▃▁"
    assert sparkline([2.0, 2.0]) == "▁▁"


def test_a_visible_text_is_printable_and_on_one_line():
    assert visible("a\x1b[31mb\r\nc\td\u202e\x9b") == "a\ufffd[31mb↵c→d\ufffd\ufffd"
    assert visible("客栈 é 👍 [bold]") == "客栈 é 👍 [bold]"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("cat", "cat"),
        (" a\tb\n", r"\x20a\tb\n"),
        ("\\n", r"\\n"),
        ("\x00\x1b\u2028\xa0\ud800", r"\x00\x1b\u2028\xa0\ud800"),
        ("é客😀", "é客😀"),
        ('"a"', r'\x22a"'),
    ],
)
def test_a_field_holds_no_white_space_and_comes_back(text, field):
    assert in_field(text) == field
    escapes = r"\\\\|\\[tnr]|\\x..|\\u...."
    assert re.sub(escapes, lambda found: ast.literal_eval(f"'{found[0]}'"), field) == text


def test_json_holds_nothing_that_a_terminal_acts_on():
    value = {"text": "a\x1b[2J\x9b2J\x7f\u202eb\n\t客"}

    assert to_json(value) == r'{"text": "a\u001b[2J\u009b2J\u007f\u202eb\n\t客"}'
    assert json.loads(to_json(value)) == value


def test_a_harmless_text_has_symbols_for_what_a_terminal_acts_on():
    text = "a\x1b[31mb\n\tc\x7f\u202e\x9b"

    assert harmless(text) == "a␛[31mb\n\tc␡\ufffd\ufffd"
    assert len(harmless(text)) == len(text)


def test_lone_surrogates_are_replaced():
    assert without_surrogates("a\ud800b") == "a\ufffdb"


def test_a_text_is_escaped_as_json():
    assert escaped("né") == '"né"'
    assert escaped('é"\n') == r'"\u00e9\"\n"'


def test_tokens_have_names():
    assert [token_name(token) for token in ("cat", 0x41, None)] == ["cat", "<0x41>", "<end>"]


HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("line", "width", "expected"),
    [
        ("name one two", 12, "name one two"),
        ("name one two", 11, "name one\n     two"),
        ("name one twoandmore", 12, "name one\n     twoandmore"),
        (f"name one {HASH}", 69, f"name one\n     {HASH}"),
        (f"name {HASH} one", 20, "name 0123456789abcd…\n     one"),
        ("name one", 5, "name one"),
    ],
)
def test_a_line_is_folded_between_words(line, width, expected):
    assert folded(line, width, indent=5) == expected


def test_a_row_is_folded_between_columns():
    row = "weight_ih  192 × 48    9,216  4H × H"

    assert folded(row, 24, indent=2, gap="  ") == "weight_ih  192 × 48\n  9,216  4H × H"
    assert folded(row, len(row), indent=2, gap="  ") == row
