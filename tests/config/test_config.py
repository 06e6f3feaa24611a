"""Settings of sampling and stopping are checked where they are."""

from dataclasses import fields

import pytest

from charlm.config import Limits, SamplingConfig, Speech
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "setting", "value", "message"),
    [
        (SamplingConfig, "temperature", -1.0, "temperature must be at least 0, got -1"),
        (SamplingConfig, "top_p", 0.0, "top-p must be above 0 and at most 1, got 0"),
        (SamplingConfig, "top_k", -3, "top-k must be a whole number of at least 0"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bounds(config, setting, value, message):
    with pytest.raises(ConfigError, match=message):
        config(**{setting: value})


def test_speech_has_every_setting_of_sampling_and_limits():
    settings = {each.name: each.type for each in (*fields(SamplingConfig), *fields(Limits))}

    assert Speech.__annotations__ == settings
