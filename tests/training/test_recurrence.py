"""Our forward and backward passes of the GRU and the simple RNN are those of PyTorch's layers."""

import pytest
import torch
from torch import nn

from charlm.training.recurrence import run_layer

LAYERS = {
    "gru": lambda: nn.GRU(6, 5, batch_first=True),
    "tanh": lambda: nn.RNN(6, 5, nonlinearity="tanh", batch_first=True),
    "relu": lambda: nn.RNN(6, 5, nonlinearity="relu", batch_first=True),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(1)
    layer = LAYERS[request.param]()
    nn.init.zeros_(layer.bias_hh_l0)
    return layer


def outputs_and_gradients(run, layer, features, state):
    """Of a loss that uses every output and the last state."""
    inputs = [features, state, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0]
    outputs, after = run(features, state)
    loss = (outputs**3).sum() + (after**2 * torch.arange(1.0, 6.0)).sum()
    return [outputs, after, *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("positions", [1, 7])
def test_outputs_and_gradients_are_those_of_pytorch(layer, positions):
    features = torch.randn(3, positions, 6, requires_grad=True)
    state = torch.randn(1, 3, 5, requires_grad=True)

    ours = outputs_and_gradients(lambda *given: run_layer(layer, *given), layer, features, state)
    theirs = outputs_and_gradients(layer, layer, features, state)

    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_without_a_state_it_starts_from_zeros(layer):
    features = torch.randn(3, 4, 6)

    torch.testing.assert_close(
        run_layer(layer, features, None), run_layer(layer, features, torch.zeros(1, 3, 5))
    )


def test_autocast_multiplies_in_bfloat16(layer):
    """The outputs differ from those in float32 by its rounding to 8 bits, and no more."""
    features = torch.randn(3, 9, 6)
    exact, _ = run_layer(layer, features, None)

    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = run_layer(layer, features, None)

    assert outputs.dtype == state.dtype == torch.bfloat16
    assert 0 < (outputs - exact).abs().max() < 0.1
