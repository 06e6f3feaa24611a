"""A value out of range is an error that names the setting, its bounds and the value."""

import math

import numpy as np
import pytest

from charlm.config.checks import (
    require,
    require_choice,
    require_texts,
    require_type,
    require_whole,
)
from charlm.errors import ConfigError


def message_of(check, *arguments, **bounds):
    with pytest.raises(ConfigError) as caught:
        check(*arguments, **bounds)
    return caught.value.message


def test_a_whole_number_lies_within_its_bounds():
    for value in (1, 3):
        require_whole("size", value, 1, 3)
    require_whole("size", 10**9, 1)

    expected = "size must be a whole number from 1 to 3, got "
    for value in (0, 4, True, 2.0, "2", None):
        assert message_of(require_whole, "size", value, 1, 3) == f"{expected}{value!r}"
    assert message_of(require_whole, "size", 0, 1) == (
        "size must be a whole number of at least 1, got 0"
    )


def test_a_choice_is_one_of_the_choices_and_of_its_type():
    require_choice("cell", "gru", ("lstm", "gru"))
    require_choice("flag", True, (False, True))

    assert message_of(require_choice, "cell", "cnn", ("lstm", "gru")) == (
        "cell must be one of lstm, gru, got 'cnn'"
    )
    assert message_of(require_choice, "flag", 1, (False, True)) == (
        "flag must be one of False, True, got 1"
    )


def test_a_number_is_finite_and_within_its_bounds():
    for value in (None, 0.0, 0.99):
        require("dropout", value, at_least=0, below=1)

    assert message_of(require, "dropout", 1.0, at_least=0, below=1) == (
        "dropout must be at least 0 and below 1, got 1"
    )
    assert message_of(require, "rate", 0.0, above=0) == "rate must be above 0, got 0"
    assert message_of(require, "rate", math.nan, above=0) == (
        "rate must be finite and above 0, got nan"
    )
    assert message_of(require, "time", math.inf, at_most=1e9) == (
        "time must be finite and at most 1e+09, got inf"
    )


def test_a_long_value_is_cut_in_the_message():
    assert message_of(require_choice, "cell", 99 * "x", ("lstm",)) == (
        f"cell must be one of lstm, got '{59 * 'x'}…"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, int),
        (1, float),
        (np.float32(0.5), float),
        (None, int | None),
        ("a", str | None),
        (("a", "b"), tuple[str, ...]),
        (["a"], tuple[str, ...]),
        (True, bool),
    ],
)
def test_a_value_of_the_type_passes(value, expected):
    require_type("x", value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "message"),
    [
        ("1", int, "x must be an int, got str"),
        (True, int, "x must be an int, got bool"),
        (True, float, "x must be a number, got bool"),
        ("hot", float, "x must be a number, got str"),
        (1, bool, "x must be a bool, got int"),
        (b"a", str | None, "x must be a str or None, got bytes"),
        ("ab", tuple[str, ...], "x must be a tuple of str, got str"),
        ((1,), tuple[str, ...], "x must be a tuple of str, got tuple"),
    ],
)
def test_a_value_of_another_type_is_a_type_error_that_names_both(value, expected, message):
    with pytest.raises(TypeError) as caught:
        require_type("x", value, expected)

    assert str(caught.value) == message


def test_several_texts_are_not_one_and_nothing_else():
    assert list(require_texts("seeds", ("a", "b"))) == ["a", "b"]
    with pytest.raises(TypeError, match=r"^seeds must be several texts, got one str$"):
        require_texts("seeds", "ab")
    with pytest.raises(TypeError, match=r"^seeds must be several texts, got int$"):
        require_texts("seeds", 5)
    with pytest.raises(TypeError, match=r"^an item of seeds must be a str, got bytes$"):
        list(require_texts("seeds", ["a", b"b"]))
