"""Two models that generate and score as one."""

import math

import numpy as np
import pytest

from charlm.errors import ConfigError
from charlm.inference.model import Model

FIRST = {"a": 0.5, "b": 0.25, "c": 0.25}
SECOND = {"a": 0.1, "b": 0.1, "c": 0.8}


@pytest.mark.parametrize(("share", "of_a"), [(1.0, 0.5), (0.0, 0.1), (0.7, 0.38), (0.5, 0.3)])
def test_probabilities_are_the_weighted_mean(unigram_model, share, of_a):
    mixed = unigram_model(FIRST).mixed(unigram_model(SECOND), share)

    assert dict(mixed.top_tokens())["a"] == pytest.approx(of_a, rel=1e-5)
    assert mixed.score("aa").nats == pytest.approx(-2 * math.log(of_a), rel=1e-5)


def test_networks_of_different_size_mix(random_checkpoint):
    small = Model(random_checkpoint(scale=2.0))
    large = Model(random_checkpoint(scale=2.0, hidden_size=11, num_layers=2, cell="gru"))
    mixed = small.mixed(large, 0.3)
    text = "abcabhgf"
    wanted = sum(
        math.log(0.3 * _next(small, text[:place], each) + 0.7 * _next(large, text[:place], each))
        for place, each in enumerate(text)
    )

    assert mixed.score(text).nats == pytest.approx(-wanted, rel=1e-5)
    assert len(mixed.generate("ab", length=30, rng_seed=1)) == 30
    thrice = mixed.mixed(small, 0.5)
    assert sum(share for _, share in thrice.top_tokens("ab")) == pytest.approx(1)


def _next(model, seed, character):
    return dict(model.top_tokens(seed))[character]


def test_models_that_do_not_fit_are_refused(unigram_model, random_checkpoint):
    first = unigram_model(FIRST)
    with pytest.raises(ConfigError, match="same tokenizer"):
        first.mixed(Model(random_checkpoint()))
    with pytest.raises(ConfigError, match="of text and one of lines"):
        first.mixed(unigram_model(SECOND, task="lines"))
    with pytest.raises(ConfigError, match="mix must be at least 0 and at most 1"):
        first.mixed(first, 1.5)


def test_top_tokens_are_all_tokens_the_likeliest_first(unigram_model):
    choices = unigram_model({"a": 0.5, "b": 0.2, None: 0.3}, task="lines").top_tokens("ab")

    assert [token for token, _ in choices[:3]] == ["a", None, "b"]
    assert np.array([share for _, share in choices[:3]]) == pytest.approx([0.5, 0.3, 0.2])
    assert len(choices) == 259
