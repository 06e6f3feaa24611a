"""The pseudo-likelihood of a text is known beforehand and does not depend on segments."""

from dataclasses import replace

import numpy as np
import pytest

from charlm.inference import bidirectional
from charlm.inference.model import Model
from charlm.inference.scoring import Score

TEXT = "abcahgfedcabbbaceeg" * 3


@pytest.fixture
def model_of_both(random_checkpoint):
    """Build a model of both directions that practically never predicts a byte."""

    def build(**config):
        checkpoint = random_checkpoint(num_layers=2, scale=2.0, direction="both", **config)
        arrays = {
            name: array - 50 * (np.arange(len(array)) < 256) if "output.bias" in name else array
            for name, array in checkpoint.arrays.items()
        }
        return Model(replace(checkpoint, arrays=arrays))

    return build


@pytest.mark.parametrize("task", ["text", "lines"])
def test_each_token_is_scored_from_both_sides(model_of_both, task):
    """The product of what both networks say of it, over the sum of that product."""
    both = model_of_both(task=task)
    text = "abcahg"
    tokens = both.tokenizer.encode(text)
    boundary = both.tokenizer.boundary_id

    def logits(direction, read):
        runtime = both.runtime(direction)
        state = runtime.zero_state(1)
        for token in [boundary, *read]:
            features, state = runtime.step(np.array([token]), state)
        return runtime.logits(features)[0][:boundary].astype(np.float64)

    nats = 0.0
    for place, token in enumerate(tokens):
        product = np.exp(logits("forward", tokens[:place]) + logits("backward", tokens[:place:-1]))
        nats -= np.log(product[token] / product.sum())
    found = both.pseudo_score(f"{text}\n{text}" if task == "lines" else text)

    assert found.tokens == len(tokens) * (2 if task == "lines" else 1)
    assert found.nats == pytest.approx(nats * found.tokens / len(tokens), rel=1e-5)


def test_the_pseudo_likelihood_does_not_depend_on_segments(model_of_both, monkeypatch):
    """Also where a segment does not read all of the text, but only what is near."""
    both = model_of_both()
    for text, length in ((TEXT, 5), (TEXT * 20, 100)):
        monkeypatch.setattr(bidirectional, "LONGEST_SEGMENT", len(text))
        whole = both.pseudo_score(text)
        monkeypatch.setattr(bidirectional, "LONGEST_SEGMENT", length)
        monkeypatch.setattr(bidirectional, "SEGMENTS_HELD", 3)
        cut = both.pseudo_score(text)

        assert cut.tokens == whole.tokens == len(text)
        assert cut.nats == pytest.approx(whole.nats, rel=1e-6)


def test_an_empty_text_has_no_pseudo_likelihood(model_of_both):
    assert model_of_both().pseudo_score("") == bidirectional.PseudoScore()


def test_pseudo_likelihoods_add_up_only_with_pseudo_likelihoods():
    one = bidirectional.PseudoScore(nats=2.0, tokens=3)

    assert one + one == bidirectional.PseudoScore(nats=4.0, tokens=6)
    for mixed in (lambda: one + Score(), lambda: Score() + one):
        with pytest.raises(TypeError):
            mixed()


def test_a_uniform_model_is_uniform_from_both_sides(random_checkpoint):
    model = Model(random_checkpoint(scale=0.0, direction="both"))

    assert model.pseudo_score(TEXT).perplexity == pytest.approx(264, rel=1e-6)
