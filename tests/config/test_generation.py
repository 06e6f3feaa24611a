"""Settings of generation: their bounds, and how the length depends on other criteria."""

import pytest

from charlm.config import (
    DEFAULT_LENGTH,
    LENGTH_BESIDE_OTHERS,
    CandidateFilter,
    GenerationConfig,
    require_pattern,
)
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0, got -1"),
        ({"top_p": 0.0}, "top-p must be above 0 and at most 1, got 0"),
        ({"top_k": -3}, "top-k must be a whole number of at least 0"),
        ({"min_p": 2.0}, "min-p must be at least 0 and at most 1, got 2"),
        ({"typical_p": 0.0}, "typical-p must be above 0 and at most 1, got 0"),
        ({"repetition_penalty": 0.0}, "repetition-penalty must be above 0, got 0"),
        ({"repetition_window": 0}, "repetition-window must be a whole number from 1 to"),
        ({"no_repeat_ngram": -1}, "no-repeat-ngram must be a whole number from 0 to"),
        ({"max_width": 0}, "max-width must be a whole number of at least 1, got 0"),
        ({"allow_chars": ""}, "no character is allowed"),
        ({"allow_chars": "a", "forbid_chars": "a"}, "no character is allowed"),
        ({"words": 0}, "words must be a whole number of at least 1, got 0"),
        ({"length": -1}, "length must be a whole number of at least 0, got -1"),
        ({"stop": ("a", "")}, "stop must not be empty"),
        ({"until": "("}, "until is not a valid regular expression: missing"),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_bounds(settings, message):
    with pytest.raises(ConfigError, match=message):
        GenerationConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count must be a whole number of at least 1, got 0"),
        ({"best_of": 10_001}, "best-of must be a whole number from 1 to 10000, got 10001"),
        ({"attempts": 0}, "attempts must be a whole number of at least 1, got 0"),
        ({"match": "["}, "match is not a valid regular expression"),
    ],
)
def test_a_filter_out_of_range_is_named_with_its_bounds(settings, message):
    with pytest.raises(ConfigError, match=message):
        CandidateFilter(**settings)


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({}, DEFAULT_LENGTH),
        ({"top_k": 5}, DEFAULT_LENGTH),
        ({"words": 3}, 3000),
        ({"words": 300}, LENGTH_BESIDE_OTHERS),
        ({"stop": ("a",)}, LENGTH_BESIDE_OTHERS),
        ({"until": "a"}, LENGTH_BESIDE_OTHERS),
        ({"words": 3, "length": 7}, 7),
        ({"words": 3, "length": None}, None),
    ],
)
def test_the_default_length_is_longer_beside_another_stopping_criterion(settings, length):
    assert GenerationConfig.from_settings(settings).length == length


def test_a_setting_that_does_not_exist_is_a_type_error():
    with pytest.raises(TypeError, match="temprature"):
        GenerationConfig.from_settings({"temprature": 1.0})


def test_a_regular_expression_that_no_machine_could_run_is_refused():
    with pytest.raises(ConfigError, match="match is not a valid regular expression"):
        require_pattern("match", "a{99999999999999}")
