"""The torch network starts as it should and gives its parameters away whole."""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.parameters import parameter_count, parameters
from charlm.training.network import LanguageModel, LockedDropout


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = LanguageModel(ModelConfig(embedding_size=6, hidden_size=8, num_layers=2), 10)
    network.initialise(np.arange(10))
    return network


def test_arrays_have_the_shapes_that_the_checkpoint_lists(network):
    arrays = network.to_arrays()

    assert {name: array.shape for name, array in arrays.items()} == {
        parameter.name: parameter.shape for parameter in parameters(network.config, 10)
    }


def test_what_is_trained_is_what_is_counted(network):
    trained = sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad)

    assert trained == parameter_count(network.config, 10)


@pytest.mark.parametrize("embedding_size", [8, 6])
def test_tied_weights_are_one_matrix(embedding_size):
    """And where its rows are shorter than the features, a projection stands before it."""
    config = ModelConfig(
        embedding_size=embedding_size, hidden_size=8, tie_weights=True, task="lines"
    )
    network = LanguageModel(config, 10)
    arrays = network.to_arrays()

    assert list(arrays) == [parameter.name for parameter in parameters(config, 10)]
    assert ("output.projection" in arrays) == (embedding_size != 8)
    assert "output.weight" not in arrays
    assert sum(t.numel() for t in network.parameters() if t.requires_grad) == parameter_count(
        config, 10
    )
    assert network.output(network(torch.tensor([[10]]))[0]).shape == (
        1,
        1,
        11,
    )  # the boundary is predicted


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_a_layer_has_as_many_parameters_as_textbooks_count(cell, gates):
    """For each gate a matrix on the input, one on the state, and a bias."""
    config = ModelConfig(embedding_size=3, hidden_size=5, num_layers=2, cell=cell)
    network = LanguageModel(config, 10)
    trained = sum(t.numel() for t in network.recurrent.parameters() if t.requires_grad)

    assert trained == gates * (5 * 3 + 5 * 5 + 5) + gates * (5 * 5 + 5 * 5 + 5)
    assert sum(t.numel() for t in network.parameters() if t.requires_grad) == parameter_count(
        config, 10
    )


def initialised(wanted=None, **more):
    """Return each gate's recurrent matrix, shape (gates, 5, 5), and the bias."""
    network = LanguageModel(ModelConfig(embedding_size=3, hidden_size=5, **more), 10)
    network.initialise(np.arange(11), recurrent=wanted, forget_bias=2.5)
    arrays = network.to_arrays()
    return arrays["recurrent.0.weight_hh"].reshape(-1, 5, 5), arrays["recurrent.0.bias"]


def test_recurrent_matrices_start_orthogonal_gate_by_gate():
    for gates, _ in (initialised(), initialised(cell="gru"), initialised("orthogonal", cell="rnn")):
        for gate in gates:
            assert gate @ gate.T == pytest.approx(np.eye(5), abs=1e-5)


def test_networks_with_relu_start_from_the_identity():
    relu = {"cell": "rnn", "nonlinearity": "relu"}

    assert (initialised(**relu)[0] == np.eye(5)).all()
    assert (initialised("identity")[0] == np.eye(5)).all()
    assert not np.allclose(initialised("orthogonal", **relu)[0], np.eye(5))


def test_uniform_matrices_lie_within_one_over_the_root_of_the_size():
    gates, _ = initialised("uniform", cell="lstm")

    assert 0.8 * 5**-0.5 < np.abs(gates).max() <= 5**-0.5


@pytest.mark.parametrize("tie_weights", [False, True])
def test_what_gates_get_from_the_embedding_starts_alike_however_long_it_is(tie_weights):
    config = ModelConfig(embedding_size=32, hidden_size=200, tie_weights=tie_weights)
    network = LanguageModel(config, 300)
    network.initialise(np.arange(301))
    arrays = network.to_arrays()
    products = arrays["embedding.weight"] @ arrays["recurrent.0.weight_ih"].T

    assert products.std() == pytest.approx(0.5, rel=0.03)


def test_forget_gates_start_open():
    assert initialised()[1].tolist() == [0] * 5 + [2.5] * 5 + [0] * 10


def test_logits_of_some_outputs_are_those_of_all(network):
    features = torch.randn(3, 8)
    chosen = torch.tensor([7, 0, 2])

    assert torch.allclose(network.output(features, chosen), network.output(features)[:, chosen])


def test_arrays_go_in_as_they_came_out(network):
    other = LanguageModel(network.config, 10)
    other.load_arrays(network.to_arrays())
    ids = torch.arange(10)[None]

    assert torch.equal(other.output(other(ids)[0]), network.output(network(ids)[0]))


def test_arrays_are_copies(network):
    arrays = network.to_arrays()
    with torch.no_grad():
        network.output.bias.zero_()

    assert arrays["output.bias"].any()


def test_recurrent_matrices_are_orthogonal_gate_by_gate(network):
    for layer in range(2):
        for gate in np.split(network.to_arrays()[f"recurrent.{layer}.weight_hh"], 4):
            assert gate @ gate.T == pytest.approx(np.eye(8), abs=1e-5)


def test_only_forget_gates_start_open(network):
    for layer in range(2):
        bias = network.to_arrays()[f"recurrent.{layer}.bias"]

        assert bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


def test_the_output_bias_starts_at_the_unigram_distribution(network):
    # Token k occurs k times: (k + 1) of 55.
    assert np.exp(network.to_arrays()["output.bias"]) == pytest.approx(np.arange(1, 11) / 55)


def test_carried_state_makes_two_halves_one_pass(network):
    network.eval()
    ids = torch.arange(10)[None]
    whole, _ = network(ids)
    first, state = network(ids[:, :4])
    second, _ = network(ids[:, 4:], state)

    assert torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-6)


def test_dropout_is_locked_in_time_and_keeps_the_mean():
    torch.manual_seed(0)
    dropout = LockedDropout(0.25)
    dropped = dropout(torch.ones(50, 3, 40))

    assert torch.equal(dropped[:, 0], dropped[:, 2])
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(dropout.eval()(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


def test_the_start_of_a_text_can_be_read(network):
    features, _ = network(torch.tensor([[10]]))

    assert network.output(features).shape == (1, 1, 10)
