"""The network in NumPy predicts what the network in PyTorch predicts."""

import numpy as np
import pytest
import torch

from charlm.checkpoint import LARGEST_WEIGHT
from charlm.inference import runtime
from charlm.inference.runtime import Runtime, concatenate_states, select_rows
from charlm.training.network import LanguageModel

pytestmark = pytest.mark.repetitive

SIZES = [
    {"num_layers": 1},
    {"task": "lines"},
    {"tie_weights": True, "task": "pairs"},
    {"tie_weights": True, "embedding_size": 7, "num_layers": 2},
    {"cell": "gru", "num_layers": 2},
    {"cell": "rnn", "num_layers": 2, "residual": True},
    {"num_layers": 3},
    {"num_layers": 2, "embedding_size": 1, "hidden_size": 33, "scale": 2.0},
]


def stepwise(checkpoint, ids):
    """Return the logits after each of `ids`, shape (T, B, V), for ids of shape (T, B)."""
    network = Runtime(checkpoint.config, checkpoint.arrays)
    state = network.zero_state(ids.shape[1])
    rows = []
    for row in ids:
        features, state = network.step(row, state)
        rows.append(network.logits(features))
    return np.array(rows)


def random_ids(checkpoint, *shape):
    ids = np.random.default_rng(1).integers(0, checkpoint.tokenizer.boundary_id + 1, shape)
    ids[0] = checkpoint.tokenizer.boundary_id
    return ids


def test_with_or_without_a_table_of_inputs_the_logits_are_the_same(random_checkpoint, monkeypatch):
    checkpoint = random_checkpoint(num_layers=2)
    ids = random_ids(checkpoint, 50, 3)
    with_table = stepwise(checkpoint, ids)
    monkeypatch.setattr(runtime, "LARGEST_TABLE", 0)

    assert stepwise(checkpoint, ids) == pytest.approx(with_table, abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_logits_are_those_of_torch_over_200_steps(random_checkpoint, size):
    checkpoint = random_checkpoint(**size)
    ids = random_ids(checkpoint, 200, 4)
    network = LanguageModel(checkpoint.config, checkpoint.tokenizer.vocab_size).eval()
    network.load_arrays(checkpoint.arrays)
    with torch.no_grad():
        logits = network.output(network(torch.from_numpy(ids.T))[0])  # (B, T, V)

    assert stepwise(checkpoint, ids).transpose(1, 0, 2) == pytest.approx(logits.numpy(), abs=1e-5)


def test_a_trained_network_has_the_same_logits_in_both(verse_checkpoint):
    ids = random_ids(verse_checkpoint, 200, 2)
    network = LanguageModel(verse_checkpoint.config, verse_checkpoint.tokenizer.vocab_size).eval()
    network.load_arrays(verse_checkpoint.arrays)
    with torch.no_grad():
        logits = network.output(network(torch.from_numpy(ids.T))[0])

    assert stepwise(verse_checkpoint, ids).transpose(1, 0, 2) == pytest.approx(
        logits.numpy(), abs=1e-5
    )


def test_many_streams_are_independent(random_checkpoint):
    checkpoint = random_checkpoint(num_layers=2)
    ids = random_ids(checkpoint, 30, 5)
    together = stepwise(checkpoint, ids)

    for stream in range(5):
        alone = stepwise(checkpoint, ids[:, stream : stream + 1])
        assert together[:, stream] == pytest.approx(alone[:, 0], abs=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_predict_is_step_and_logits(random_checkpoint, size):
    checkpoint = random_checkpoint(**size)
    ids = random_ids(checkpoint, 30, 3)
    runtime = Runtime(checkpoint.config, checkpoint.arrays)
    state, predicted = runtime.zero_state(3), []
    for row in ids:
        logits, state = runtime.predict(row, state)
        predicted.append(logits)

    assert np.array(predicted) == pytest.approx(stepwise(checkpoint, ids), abs=1e-5)


def test_a_step_does_not_change_its_state(random_checkpoint):
    checkpoint = random_checkpoint()
    runtime = Runtime(checkpoint.config, checkpoint.arrays)
    _, state = runtime.step(np.array([3]), runtime.zero_state(1))
    kept = [tuple(array.copy() for array in layer) for layer in state]
    runtime.step(np.array([4]), state)
    runtime.predict(np.array([4]), state)

    assert all(
        (a == b).all()
        for old, new in zip(kept, state, strict=True)
        for a, b in zip(old, new, strict=True)
    )


def test_a_relu_that_grows_with_every_step_stays_a_number(random_checkpoint):
    checkpoint = random_checkpoint(cell="rnn", nonlinearity="relu", residual=True, num_layers=2)
    for array in checkpoint.arrays.values():
        array[:] = LARGEST_WEIGHT
    with np.errstate(all="raise"):
        logits = stepwise(checkpoint, random_ids(checkpoint, 40, 2))

    assert np.isfinite(logits).all()


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], np.array([1])])
def test_selected_rows_of_a_state_are_those_streams(random_checkpoint, rows):
    checkpoint = random_checkpoint(num_layers=2)
    network = Runtime(checkpoint.config, checkpoint.arrays)
    ids = random_ids(checkpoint, 2, 3)
    _, state = network.step(ids[0], network.zero_state(3))
    logits, _ = network.predict(ids[1], state)
    selected, _ = network.predict(ids[1][rows], select_rows(state, rows))

    assert selected == pytest.approx(logits[rows], abs=1e-6)


def test_concatenated_states_are_the_streams_of_both(random_checkpoint):
    checkpoint = random_checkpoint(num_layers=2)
    network = Runtime(checkpoint.config, checkpoint.arrays)
    ids = random_ids(checkpoint, 2, 3)
    _, state = network.step(ids[0], network.zero_state(3))
    halves = select_rows(state, [0]), select_rows(state, [1, 2])

    expected, _ = network.predict(ids[1], state)
    joined, _ = network.predict(ids[1], concatenate_states(*halves))
    assert joined == pytest.approx(expected, abs=1e-6)
