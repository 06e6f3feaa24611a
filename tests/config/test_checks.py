"""A value out of range is an error that names the setting, its bounds and the value."""

import math

import pytest

from charlm.config.checks import require, require_choice, require_whole
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
