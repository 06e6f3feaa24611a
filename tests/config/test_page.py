"""How large a page may be."""

import math

import pytest

from charlm.config import PageConfig
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "without_counts", "most"),
    [
        ({}, 1_000_000, 2_000_000),
        ({"weights": "float16"}, 1_800_000, 2_000_000),
        ({}, 10_000_000, 11_000_000),  # a tenth for the counts
        ({"weights": "float32"}, 1_000_000, math.inf),
        ({"weights": "float32", "max_size": 3}, 1_000_000, 3_000_000),
        ({"max_size": 0.5}, 1_000_000, 500_000),
    ],
)
def test_a_page_has_two_megabytes_or_a_tenth_more_than_the_network(settings, without_counts, most):
    assert PageConfig(**settings).most_bytes(without_counts) == pytest.approx(most)


@pytest.mark.parametrize("settings", [{"weights": "int4"}, {"max_size": 0}, {"max_size": math.nan}])
def test_other_settings_are_refused(settings):
    with pytest.raises(ConfigError):
        PageConfig(**settings)
