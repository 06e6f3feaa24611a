"""Our forward and backward passes of the GRU and the simple RNN are those of PyTorch's layers."""

import pytest
import torch
from torch import nn

from charlm.training.recurrence import GRU, RNN

LAYERS = {
    "gru": (GRU, nn.GRU, {}),
    "tanh": (RNN, nn.RNN, {"nonlinearity": "tanh"}),
    "relu": (RNN, nn.RNN, {"nonlinearity": "relu"}),
}


@pytest.fixture(params=LAYERS)
def layers(request):
    """Our layer and PyTorch's, with the same weights."""
    torch.manual_seed(1)
    ours, theirs, options = LAYERS[request.param]
    layer, other = (kind(6, 5, batch_first=True, **options) for kind in (ours, theirs))
    nn.init.zeros_(layer.bias_hh_l0)
    other.load_state_dict(layer.state_dict())
    return layer, other


@pytest.fixture
def layer(layers):
    return layers[0]


def outputs_and_gradients(layer, features, state):
    """Of a loss that uses every output and the last state."""
    inputs = [features, state, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0]
    outputs, after = layer(features, state)
    loss = (outputs**3).sum() + (after**2 * torch.arange(1.0, 6.0)).sum()
    return [outputs, after, *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("positions", [1, 7])
def test_outputs_and_gradients_are_those_of_pytorch(layers, positions):
    features = torch.randn(3, positions, 6, requires_grad=True)
    state = torch.randn(1, 3, 5, requires_grad=True)

    ours, theirs = (outputs_and_gradients(layer, features, state) for layer in layers)

    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_without_a_state_it_starts_from_zeros(layer):
    features = torch.randn(3, 4, 6)

    torch.testing.assert_close(layer(features), layer(features, torch.zeros(1, 3, 5)))


def test_autocast_multiplies_in_bfloat16(layer):
    """The outputs differ from those in float32 by its rounding to 8 bits, and no more."""
    features = torch.randn(3, 9, 6)
    exact, _ = layer(features)

    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = layer(features)

    assert outputs.dtype == state.dtype == torch.bfloat16
    assert 0 < (outputs - exact).abs().max() < 0.1
