"""How far back a network remembers, where that is known beforehand."""

import math

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError, CorpusError
from charlm.inference.context_length import context_lengths, nats_by_context
from charlm.inference.runtime import Runtime
from charlm.parameters import parameters
from charlm.tokenizers import ByteTokenizer
from charlm.training.gradient_distance import gradient_by_distance, memory_length

TEXT = "the quick brown fox jumps over the lazy dog. " * 30


@pytest.fixture
def fading():
    """A linear network: two units, each of which keeps half of itself at every step."""

    def build(num_layers=1):
        config = ModelConfig(
            embedding_size=2, hidden_size=2, num_layers=num_layers, cell="rnn", nonlinearity="relu"
        )
        arrays = {p.name: np.zeros(p.shape, np.float32) for p in parameters(config, 256)}
        arrays["embedding.weight"][:] = 1  # so that no unit is ever silent
        for layer in range(num_layers):
            arrays[f"recurrent.{layer}.weight_ih"][:] = np.eye(2)
            arrays[f"recurrent.{layer}.weight_hh"][:] = np.eye(2) / 2
        arrays["output.weight"][ord("e")] = 1
        return Checkpoint(config=config, tokenizer=ByteTokenizer(), arrays=arrays)

    return build


def test_the_gradient_of_a_linear_network_halves_at_every_step(fading):
    [norms] = gradient_by_distance(fading(), TEXT[:64])

    assert list(norms) == [1, 2, 4, 8, 16, 32]
    for distance in (2, 4, 8, 16):
        assert norms[distance] / norms[1] == pytest.approx(0.5 ** (distance - 1), rel=1e-4)
    assert memory_length(norms) == pytest.approx(1 + math.log2(100), rel=1e-4)


def test_a_gradient_that_stays_has_no_memory_length():
    assert memory_length({1: 1.0, 2: 0.5, 4: 0.02}) is None
    assert memory_length({1: 1.0, 2: 0.0}) == pytest.approx(1, abs=0.01)


def test_every_layer_has_its_own(fading):
    norms = gradient_by_distance(fading(2), TEXT[:64])

    # From the first layer a path steps up at any of the d tokens that follow.
    assert norms[1][4] / norms[1][2] == pytest.approx(0.5**2, rel=1e-4)
    assert norms[0][4] / norms[0][2] == pytest.approx(0.5**2 * 4 / 2, rel=1e-4)


def test_a_uniform_model_gains_nothing_from_context(fading):
    checkpoint = fading()
    checkpoint.arrays["output.weight"][:] = 0
    runtime = Runtime(checkpoint.config, checkpoint.arrays)

    for nats in nats_by_context(runtime, checkpoint.tokenizer, TEXT).values():
        assert nats == pytest.approx(math.log(256), rel=1e-5)


def test_a_trained_model_gains_from_context(verse_checkpoint, verse_path):
    runtime = Runtime(verse_checkpoint.config, verse_checkpoint.arrays)
    text = verse_path.read_text(encoding="utf-8")
    nats = nats_by_context(runtime, verse_checkpoint.tokenizer, text)

    assert list(nats) == context_lengths(len(text)) == [1 << power for power in range(10)]
    assert nats[1] > 1.5 * nats[4] > 1.5 * nats[32]


def test_too_little_text_is_an_error():
    with pytest.raises(CorpusError, match="at least 4 tokens; this one has 3"):
        context_lengths(3)


def test_a_gradient_beyond_all_bounds_is_an_error(fading):
    checkpoint = fading()
    checkpoint.arrays["recurrent.0.weight_hh"][:] = 1e6 * np.eye(2)

    with pytest.raises(CheckpointError, match="gradients of the model grow beyond all bounds"):
        gradient_by_distance(checkpoint, TEXT[:64])
