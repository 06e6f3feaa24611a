"""The reference is right by finite differences; torch and NumPy compute what it computes."""

import numpy as np
import pytest
import torch
from reference import loss_and_gradients

from charlm.inference.runtime import Runtime
from charlm.training.network import LanguageModel

pytestmark = pytest.mark.repetitive

NETWORKS = {
    "rnn tanh": {"cell": "rnn"},
    "rnn relu": {"cell": "rnn", "nonlinearity": "relu"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
}
SHAPES = {
    "one layer": {},
    "three layers": {"num_layers": 3, "embedding_size": 4},
    "residual": {"num_layers": 3, "residual": True},
    "tied": {"tie_weights": True, "embedding_size": 7},
    "tied with a projection, ends predicted": {"tie_weights": True, "task": "lines"},
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.fixture(params=SHAPES)
def checkpoint(request, network, random_checkpoint):
    return random_checkpoint(**network, **SHAPES[request.param])


def random_ids(checkpoint, count):
    tokenizer = checkpoint.tokenizer
    ids = np.random.default_rng(1).integers(0, tokenizer.vocab_size, count)
    ids[0] = tokenizer.boundary_id
    return ids


def test_the_reference_has_the_gradient_of_finite_differences(checkpoint):
    """Of every array, in a random direction: (L(w + εd) − L(w − εd)) / 2ε = ⟨∇L, d⟩."""
    ids, generator = random_ids(checkpoint, 9), np.random.default_rng(2)
    arrays = {name: array.astype(np.float64) for name, array in checkpoint.arrays.items()}
    _, _, gradients = loss_and_gradients(checkpoint.config, arrays, ids)
    for name, array in arrays.items():
        direction = generator.standard_normal(array.shape)
        losses = [
            loss_and_gradients(
                checkpoint.config, {**arrays, name: array + sign * 1e-6 * direction}, ids
            )[1]
            for sign in (1, -1)
        ]

        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(
            float((gradients[name] * direction).sum()), rel=1e-4, abs=1e-6
        ), name


def test_torch_has_the_gradients_of_the_reference(checkpoint):
    ids = random_ids(checkpoint, 40)
    logits, loss, gradients = loss_and_gradients(checkpoint.config, checkpoint.arrays, ids)
    network = LanguageModel(checkpoint.config, checkpoint.tokenizer.vocab_size)
    network.load_arrays(checkpoint.arrays)
    features, _ = network(torch.from_numpy(ids[None, :-1]))
    in_torch = network.output(features)
    summed = torch.nn.functional.cross_entropy(
        in_torch[0], torch.from_numpy(ids[1:]), reduction="sum"
    )
    summed.backward()

    assert in_torch[0].detach().numpy() == pytest.approx(logits, abs=1e-5)
    assert float(summed.detach()) == pytest.approx(loss, rel=1e-5)
    for name, tensor in network.tensors().items():
        assert tensor.grad.numpy() == pytest.approx(gradients[name], rel=1e-3, abs=1e-4), name


def test_the_runtime_has_the_logits_of_the_reference_over_200_steps(checkpoint):
    ids = random_ids(checkpoint, 201)
    logits, _, _ = loss_and_gradients(checkpoint.config, checkpoint.arrays, ids)
    runtime = Runtime(checkpoint.config, checkpoint.arrays)
    state, rows = runtime.zero_state(1), []
    for token in ids[:-1]:
        features, state = runtime.step(np.array([token]), state)
        rows.append(runtime.logits(features)[0])

    assert np.array(rows) == pytest.approx(logits, abs=1e-5)


def test_what_torch_gives_away_is_what_it_took(checkpoint):
    """A transposed square matrix would pass every check of shapes."""
    network = LanguageModel(checkpoint.config, checkpoint.tokenizer.vocab_size)
    network.load_arrays(checkpoint.arrays)

    for name, array in network.to_arrays().items():
        assert (array == checkpoint.arrays[name]).all(), name
