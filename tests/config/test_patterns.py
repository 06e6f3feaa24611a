"""A regular expression of a user ends in time."""

import pytest

from charlm.config import UserPattern, patterns
from charlm.config.patterns import require_bounded_pattern
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


@pytest.mark.parametrize(
    "pattern", ["[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a{0}", "(?:x|y)+"]
)
def test_a_pattern_of_bounded_size_may_be_in_a_file(pattern):
    require_bounded_pattern("mask", pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?:(?:e{99}){99}){99}", "the counts in mask repeat too much: more than 100,000 times"),
        ("e{99999999999999999999}", "the counts in mask repeat too much"),
        ("(?R)", "mask must not call itself"),
        ("(?P<a>e)(?&a)", "mask must not call itself"),
        ("e" * 1001, "mask must be a text of at most 1,000 characters"),
        (1, "mask must be a text of at most 1,000 characters"),
        ("[", "mask is not a valid regular expression"),
    ],
)
def test_a_pattern_that_takes_much_memory_may_not(pattern, message):
    with pytest.raises(ConfigError, match=message):
        require_bounded_pattern("mask", pattern)


def test_many_lines_share_the_time_of_one_search(monkeypatch):
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.3)
    slow = "a" * 22 + "!"  # some 20 ms each

    with pytest.raises(ConfigError, match="a line takes too long with --mask"):
        list(UserPattern("--mask", "(a|aa)+$").spans([slow] * 1000))
