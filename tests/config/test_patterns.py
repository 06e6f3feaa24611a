"""A regular expression of a user ends in time."""

import pytest

from charlm.config import UserPattern, patterns
from charlm.errors import ConfigError


def test_a_pattern_is_found_wherever_it_stands():
    assert UserPattern("--match", "[0-9]").is_in("a 7 b")
    assert not UserPattern("--match", "^[0-9]").is_in("a 7 b")


def test_a_search_that_backtracks_for_ever_is_an_error(monkeypatch):
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.1)
    with pytest.raises(ConfigError, match=r"a search for --until takes more than 0\.1 second"):
        UserPattern("--until", "(a|aa)+$").is_in("a" * 90 + "!")


@pytest.mark.parametrize("pattern", ["((a|e|t)+)+Q", "(a+)+$"])
def test_most_repetitions_inside_others_end_in_time(pattern):
    assert not UserPattern("--until", pattern).is_in("aetaetaet" * 100 + "a" * 50 + "!")


def test_spans_are_those_of_each_line_and_never_empty():
    spans = UserPattern("--mask", "[0-9]*").spans(["12 a 3", "", "no"])

    assert list(spans) == [[(0, 2), (5, 6)], [], []]


def test_many_lines_share_the_time_of_one_search(monkeypatch):
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.3)
    slow = "a" * 22 + "!"  # some 20 ms each

    with pytest.raises(ConfigError, match="a line takes too long with --mask"):
        list(UserPattern("--mask", "(a|aa)+$").spans([slow] * 1000))
