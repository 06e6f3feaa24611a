"""Colours and bars for surprisal, at 0, 1, 3, 6 and 10 bits."""

import math

import pytest

from charlm.display.surprisal import SurprisalColours, surprisal_bars

BITS = [0.9, 1.1, 3.1, 6.1, 10.1]
NATS = [bits * math.log(2) for bits in BITS]


def test_each_level_has_its_bar():
    assert list(surprisal_bars("abcde", NATS)) == ["abcde", " ▂▄▆█"]


def test_a_wide_character_has_a_wide_bar():
    assert list(surprisal_bars("客b", NATS[-2:])) == ["客b", "▆▆█"]


def test_an_empty_line_has_no_bars():
    assert list(surprisal_bars("", [])) == [""]


def test_without_colours_text_stays_as_it_is(monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    colours = SurprisalColours()
    colours.explain()

    assert not colours.are_there
    assert colours.coloured("abcde", NATS) == "abcde"
    assert capsys.readouterr().err == "bits a character, from:    0  ▂ 1  ▄ 3  ▆ 6  █ 10 \n"


@pytest.mark.parametrize("character", ["\n", "\t"])
def test_a_line_end_is_never_coloured(monkeypatch, character):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    colours = SurprisalColours()

    assert colours.are_there
    assert colours.coloured(f"a{character}", [9.0, 9.0]).endswith(f"m{character}")
    assert "48;2;193;18;31m" in colours.coloured("a", [9.0])
