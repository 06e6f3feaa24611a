"""Tokens are drawn from the distribution that the settings describe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import GenerationConfig
from charlm.inference.sampling import FILTERS, draw, next_token_probabilities

HALF = np.log([0.5, 0.25, 0.125, 0.125])


def probabilities(logits=HALF, **settings):
    return next_token_probabilities(
        np.asarray(logits, np.float32), GenerationConfig(**{"temperature": 1.0, **settings})
    )


def test_every_filter_is_off_by_default():
    defaults = GenerationConfig()

    assert {name: getattr(defaults, name) for name in FILTERS} == {
        name: off for name, (_, off) in FILTERS.items()
    }


def test_temperature_one_is_the_model_itself():
    assert probabilities() == pytest.approx([0.5, 0.25, 0.125, 0.125])


def test_temperature_divides_the_logits():
    # Halving the temperature squares the probabilities: 16, 4, 1 and 1 of 22.
    assert probabilities(temperature=0.5) == pytest.approx(np.array([16, 4, 1, 1]) / 22)


def test_temperature_zero_takes_the_likeliest_and_the_first_of_equals():
    assert probabilities(temperature=0).tolist() == [1, 0, 0, 0]
    assert probabilities([1.0, 2.0, 2.0], temperature=0).tolist() == [0, 1, 0]


def test_top_k_keeps_exactly_k_whatever_the_ties():
    assert probabilities(top_k=2) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert np.count_nonzero(probabilities([0.0] * 5, top_k=3)) == 3
    assert probabilities(top_k=99) == pytest.approx(probabilities())


def test_top_k_one_is_temperature_zero():
    assert probabilities(top_k=1).tolist() == probabilities(temperature=0).tolist()


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, 1), (0.5, 1), (0.6, 2), (0.8, 3), (1.0, 4)])
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p, kept):
    exact = next_token_probabilities(
        np.array([3.0, 2.0, 1.0, 1.0]) * np.log(2), GenerationConfig(temperature=1.0, top_p=top_p)
    )

    assert np.count_nonzero(exact) == kept


def test_top_p_is_taken_of_what_top_k_left():
    # Of 2/3 and 1/3 the first alone reaches 0.6; of the whole it would not.
    assert probabilities(top_k=2, top_p=0.6).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("temperature", [1e-308, 1e-30, 1e-3, 1e30])
def test_extreme_temperatures_end_in_a_distribution(temperature):
    found = probabilities([-1e4, 0.0, 1e4], temperature=temperature)

    assert found.sum() == pytest.approx(1)
    assert np.argmax(found) == 2 or found == pytest.approx(1 / 3)


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40),
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 50),
    top_p=st.floats(0.001, 1),
    min_p=st.floats(0, 1),
    typical_p=st.floats(0.001, 1),
)
def test_probabilities_sum_to_one(logits, temperature, top_k, top_p, min_p, typical_p):
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    found = probabilities(logits, **settings)
    typical = probabilities(logits, **settings, typical_p=typical_p)

    assert (found >= 0).all() and (typical >= 0).all()
    assert [found.sum(), typical.sum()] == pytest.approx([1, 1])
    assert found[int(np.argmax(np.asarray(logits, np.float32)))] > 0
    assert not typical[found == 0].any()


def test_the_likeliest_is_kept_however_close_the_next():
    found = probabilities([-2.2e-16, 0.0], temperature=5.0, top_p=0.5)

    assert found.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, [0.5, 0.25, 0.125, 0.125]),
        # Squared and divided by their sum: 16, 4, 1 and 1 of 22. Of these 0.24 × 16 keeps two.
        ({"temperature": 0.5, "min_p": 0.24}, [16 / 20, 4 / 20, 0, 0]),
        ({"top_k": 3}, [4 / 7, 2 / 7, 1 / 7, 0]),
        ({"top_p": 0.6}, [2 / 3, 1 / 3, 0, 0]),
        ({"typical_p": 0.7}, [2 / 3, 1 / 3, 0, 0]),
    ],
)
def test_frequencies_match_the_probabilities(settings, wanted):
    found = probabilities(**settings)
    count = 20_000
    uniforms = np.random.default_rng(0).random(count)
    drawn = np.bincount(draw(np.tile(found, (count, 1)), uniforms), minlength=4)
    expected = np.array(wanted) * count
    said = expected > 0
    chi_square = ((drawn[said] - expected[said]) ** 2 / expected[said]).sum()

    assert found == pytest.approx(wanted)
    assert not drawn[~said].any()
    assert chi_square < 16.3  # one in a thousand at three degrees of freedom


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 4), (0.24, 4), (0.26, 2), (0.49, 2), (1.0, 1)])
def test_min_p_is_a_share_of_the_likeliest(min_p, kept):
    assert np.count_nonzero(probabilities(min_p=min_p)) == kept


@pytest.mark.parametrize(
    ("typical_p", "kept"), [(0.2, [1]), (0.3, [0, 1]), (0.7, [0, 1]), (0.8, [0, 1, 2])]
)
def test_typical_p_begins_with_what_is_as_surprising_as_expected(typical_p, kept):
    """The entropy is 1.75 bits; the surprisals 1, 2, 3 and 3 are 0.75, 0.25, 1.25 from it."""
    assert np.flatnonzero(probabilities(typical_p=typical_p)).tolist() == kept


def test_an_excluded_token_has_no_probability():
    logits = [0.0, -np.inf, 0.0]

    for settings in ({}, {"top_k": 3}, {"typical_p": 0.9}, {"min_p": 0.1}, {"temperature": 1e30}):
        assert probabilities(logits, **settings) == pytest.approx([0.5, 0, 0.5])


def test_rows_do_not_depend_on_one_another():
    logits = np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32)
    config = GenerationConfig(temperature=0.9, top_k=7, top_p=0.95, min_p=0.02, typical_p=0.9)
    together = next_token_probabilities(logits, config)

    assert together == pytest.approx(
        np.array([next_token_probabilities(row, config) for row in logits])
    )
    assert together.sum(axis=-1) == pytest.approx(np.ones(5))


def test_the_last_token_of_all_can_be_drawn_but_none_beyond():
    almost_one = np.nextafter(1.0, 0.0)
    given = np.array([[0.3, 0.7, 0.0], [0.0, 1.0, 0.0]])

    assert draw(given, np.array([almost_one, almost_one])).tolist() == [1, 1]
    assert draw(given, np.array([0.0, 0.0])).tolist() == [0, 1]
