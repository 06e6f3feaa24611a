"""The GRU and the simple RNN on a CPU, as fast as PyTorch's LSTM.

PyTorch has a fused CPU kernel for the LSTM alone. Here the inputs of all T positions are multiplied
at once, and so are the gradients of the matrices. What is left for each position is one product
with the recurrent matrix and a few operations on (B, H) numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

# The arguments of a function are given to `forward`; autograd calls `backward` with the gradients
# of what `forward` returned, and `context` passes tensors from one to the other.
Gradients = tuple[Tensor | None, ...]


class RNN(nn.RNN):
    """A layer as nn.RNN with `batch_first`; the second bias must be zero."""

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        """Return outputs and state, as nn.RNN does, of `input` of shape (B, T, I)."""
        if input.device.type != "cpu":
            return super().forward(input, hx)
        return _run(self, _RNN, input, hx, self.nonlinearity)


class GRU(nn.GRU):
    """A layer as nn.GRU with `batch_first`; the second bias must be zero."""

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        """Return outputs and state, as nn.GRU does, of `input` of shape (B, T, I)."""
        if input.device.type != "cpu":
            return super().forward(input, hx)
        return _run(self, _GRU, input, hx)


def _run(
    layer: nn.RNN | nn.GRU, function: Any, features: Tensor, state: Tensor | None, *options: str
) -> tuple[Tensor, Tensor]:
    """Return the outputs of a layer, (B, T, H), and the state after the last position, (1, B, H).

    Args:
        layer: Holds the weights.
        function: _RNN or _GRU, whose `apply` has no types.
        features: Shape (B, T, I).
        state: Shape (1, B, H); None starts from zeros.
        options: Of the function.
    """
    dtype = features.dtype
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        weight_ih, weight_hh, bias, _ = (tensor.to(dtype) for tensor in layer.all_weights[0])
        by_position = features.to(dtype).transpose(0, 1).contiguous()  # (T, B, I)
        inputs = linear(by_position, weight_ih, bias)  # (T, B, gates · H)
        if state is None:
            state = inputs.new_zeros(1, features.shape[0], layer.hidden_size)
        outputs: Tensor = function.apply(inputs, state[0].to(dtype), weight_hh, *options)
    return outputs.transpose(0, 1), outputs[-1:]


class _RNN(Function):
    """h' = f(x + U h), f being tanh or ReLU.

    inputs x: (T, B, H). before h: (B, H). weight_hh U: (H, H). Outputs: (T, B, H).
    """

    @staticmethod
    def forward(
        context: Any, inputs: Tensor, before: Tensor, weight_hh: Tensor, nonlinearity: str
    ) -> Tensor:
        hidden = torch.cat([before[None], torch.empty_like(inputs)])  # (T + 1, B, H)
        for position, gate in enumerate(inputs):
            torch.addmm(gate, hidden[position], weight_hh.t(), out=hidden[position + 1])
            if nonlinearity == "tanh":
                hidden[position + 1].tanh_()
            else:
                hidden[position + 1].relu_()
        context.save_for_backward(hidden, weight_hh)
        context.nonlinearity = nonlinearity
        return hidden[1:]

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> Gradients:
        hidden, weight_hh = context.saved_tensors
        outputs, gradient = hidden[1:], gradient.contiguous()
        slopes = (
            1 - outputs * outputs if context.nonlinearity == "tanh" else (outputs > 0).to(gradient)
        )
        gates = torch.empty_like(slopes)  # gradient of the sums x + U h
        of_hidden = gradient[-1]
        for position in range(len(gates) - 1, -1, -1):
            torch.mul(slopes[position], of_hidden, out=gates[position])
            if position > 0:
                of_hidden = torch.addmm(gradient[position - 1], gates[position], weight_hh)
        of_weight = gates.flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)
        return gates, gates[0] @ weight_hh, of_weight, None


class _GRU(Function):
    """r, z = σ(x + U h), n = tanh(x + r ⊙ U h), h' = n + z ⊙ (h − n).

    inputs x: (T, B, 3H), for r, z and n. before h: (B, H). weight_hh U: (3H, H).
    Outputs: (T, B, H).
    """

    @staticmethod
    def forward(context: Any, inputs: Tensor, before: Tensor, weight_hh: Tensor) -> Tensor:
        size = before.shape[1]
        of_new = inputs[:, :, 2 * size :]
        gates = inputs.clone()  # becomes r, z and U h of n
        gates[:, :, 2 * size :] = 0
        new = torch.empty_like(of_new)
        hidden = torch.cat([before[None], torch.empty_like(new)])  # (T + 1, B, H)
        for position, gate in enumerate(gates):
            gate.addmm_(hidden[position], weight_hh.t())
            gate[:, : 2 * size].sigmoid_()
            reset, update, product = gate.split(size, dim=1)
            torch.addcmul(of_new[position], reset, product, out=new[position]).tanh_()
            torch.lerp(new[position], hidden[position], update, out=hidden[position + 1])
        context.save_for_backward(gates, new, hidden, weight_hh)
        return hidden[1:]

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> Gradients:
        gates, new, hidden, weight_hh = context.saved_tensors
        positions, gradient = len(gates), gradient.contiguous()
        reset, update, product = gates.split(new.shape[2], dim=2)
        # Of h', with respect to the sums that U h is a part of: r's, z's, n's.
        of_new = (1 - update) * (1 - new * new)
        slopes = torch.stack(
            [
                of_new * product * reset * (1 - reset),
                (hidden[:-1] - new) * update * (1 - update),
                of_new * reset,
            ],
            dim=2,
        )  # (T, B, 3, H)
        of_gates = torch.empty_like(slopes)
        of_hidden = torch.empty_like(new)
        of_hidden[-1] = gradient[-1]
        for position in range(positions - 1, -1, -1):
            here = of_hidden[position]
            torch.mul(slopes[position], here[:, None], out=of_gates[position])
            products = of_gates[position].flatten(1)
            if position > 0:
                passed_on = torch.addcmul(gradient[position - 1], here, update[position])
                torch.addmm(passed_on, products, weight_hh, out=of_hidden[position - 1])
            else:
                of_before = torch.addmm(here * update[0], products, weight_hh)
        sums = of_gates.flatten(2)
        of_weight = sums.flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)
        of_inputs = of_gates
        of_inputs[:, :, 2] = of_hidden * of_new
        return of_inputs.flatten(2), of_before, of_weight
