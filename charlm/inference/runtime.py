"""The network in NumPy: one step, one stream or many.

The cells are those of the textbooks, as PyTorch computes them; x is a layer's input, h what it
said before:

    simple RNN   h' = tanh(W x + U h + b), or with ReLU for tanh        (Elman 1990)
    LSTM         i, f, o = σ(W x + U h + b)    g = tanh(W x + U h + b)
                 c' = f ⊙ c + i ⊙ g            h' = o ⊙ tanh(c')
                 (Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with
                 the forget gate of Gers et al. 2000)
    GRU          r, z = σ(W x + U h + b)       n = tanh(W x + b + r ⊙ (U h))
                 h' = (1 − z) ⊙ n + z ⊙ h      (Cho et al. 2014, https://arxiv.org/abs/1406.1078,
                                                the reset gate after the product)

Three things are arranged at load. The first layer's input product is a table, one row a token,
W · embedding + b, unless the vocabulary is so large that the table would take longer than it
saves. And σ(z) = (1 + tanh(z / 2)) / 2, so with the rows of the sigmoid gates halved, and put
first, one tanh serves all gates of the LSTM. And the recurrent matrix and the output's stand side
by side, so that one product of what the last layer says gives both the logits and what the next
step begins with.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.cells import CELLS, Cell
from charlm.checkpoint import Arrays
from charlm.config import ModelConfig

LARGEST_TABLE = 8192  # rows
LARGEST_ACTIVATION = 1e6  # of a ReLU, which could grow with every step until nothing is a number

Floats = NDArray[np.float32]
# Of each layer: hidden, of an LSTM the cell, too, each (B, H); and the product of hidden and the
# recurrent matrix, which the next step begins with, (B, gates · H).
State = list[tuple[Floats, ...]]


def select_rows(state: State, rows: slice | Sequence[int] | NDArray[np.integer[Any]]) -> State:
    """Return the state of some streams, in the order of `rows`."""
    return [tuple(vectors[rows] for vectors in layer) for layer in state]


def concatenate_states(state: State, other: State) -> State:
    """Return the state of the streams of `state`, followed by those of `other`."""
    return [
        tuple(np.concatenate(vectors) for vectors in zip(layer, other_layer, strict=True))
        for layer, other_layer in zip(state, other, strict=True)
    ]


class Network(Protocol):
    """What predicts: a network, or a mixture of two."""

    config: ModelConfig

    def zero_state(self, batch_size: int) -> State:
        """Return the state before anything is read."""

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token a stream; return features and the new state."""

    def logits(self, features: Floats) -> Floats:
        """Return unnormalised log-probabilities of the next token."""

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token a stream; return unnormalised log-probabilities and the new state."""


class Runtime:
    """A trained network that reads ids and predicts what follows; it learns nothing."""

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        self.config = config
        self._inputs: list[Floats] = []  # (·, gates · H)
        self._recurrent: list[Floats] = []  # (H, gates · H)
        self._biases: list[Floats] = []
        for layer in range(config.num_layers):
            prefix = f"recurrent.{layer}."
            self._inputs.append(_gates(arrays[prefix + "weight_ih"], config.cell).T)
            self._recurrent.append(_gates(arrays[prefix + "weight_hh"], config.cell).T.copy())
            self._biases.append(_gates(arrays[prefix + "bias"], config.cell))
        name = f"rnn {config.nonlinearity}" if config.cell == "rnn" else config.cell
        self._update = _UPDATES[name]
        self._embedding = arrays["embedding.weight"]
        self._first_product: Floats | None = None
        if len(self._embedding) <= LARGEST_TABLE:
            self._first_product = self._embedding @ self._inputs[0] + self._biases[0]
        self._output_bias = arrays["output.bias"]
        outputs = len(self._output_bias)
        self._projection = arrays["output.projection"].T if "output.projection" in arrays else None
        self._output = (
            self._embedding[:outputs] if config.tie_weights else arrays["output.weight"]
        ).T
        # What the last layer says is multiplied by both at once: [recurrent, output].
        self._joint: Floats | None = None
        if self._projection is None and not config.residual:
            self._joint = np.concatenate([self._recurrent[-1], self._output], axis=1)
            gates = self._recurrent[-1].shape[1]
            self._recurrent[-1], self._output = self._joint[:, :gates], self._joint[:, gates:]

    def zero_state(self, batch_size: int) -> State:
        """Return the state before anything is read, each array of shape (B, H)."""
        vectors = CELLS[self.config.cell].state
        return [
            (
                *(np.zeros((batch_size, len(recurrent)), np.float32) for _ in vectors),
                np.zeros((batch_size, recurrent.shape[1]), np.float32),
            )
            for recurrent in self._recurrent
        ]

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token a stream.

        Args:
            ids: Token ids in [0, V], V being the boundary, shape (B,).
            state: What `zero_state` or the step before returned; it is not changed.

        Returns:
            Features of the last layer, shape (B, H), from which `logits` predicts the next
            token, and the new state.
        """
        features, following = self._read(ids, state)
        last = following[-1]
        return features, [*following[:-1], (*last, last[0] @ self._recurrent[-1])]

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token a stream and predict the next: `step` and `logits` in one product less.

        Returns:
            Unnormalised log-probabilities, shape (B, V or V + 1), and the new state.
        """
        if self._joint is None:
            features, following = self.step(ids, state)
            return self.logits(features), following
        features, following = self._read(ids, state)
        product = features @ self._joint
        gates = self._recurrent[-1].shape[1]
        last = (*following[-1], product[:, :gates])
        return product[:, gates:] + self._output_bias, [*following[:-1], last]

    def _read(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Return features and the new state, whose last layer still lacks its product."""
        features = np.empty(0, np.float32)
        following: State = []
        for layer, (*before, from_state) in enumerate(state):
            if layer == 0 and self._first_product is not None:
                from_input = self._first_product[ids]  # (B, gates · H), a copy
            else:
                from_input = (self._embedding[ids] if layer == 0 else features) @ self._inputs[
                    layer
                ]
                from_input += self._biases[layer]
            after = self._update(from_input, from_state, before)
            features = after[0] + features if self.config.residual and layer > 0 else after[0]
            if layer + 1 < len(state):
                after = (*after, after[0] @ self._recurrent[layer])
            following.append(after)
        return features, following

    def logits(self, features: Floats) -> Floats:
        """Return unnormalised log-probabilities of the next token, shape (…, V or V + 1)."""
        if self._projection is not None:
            features = features @ self._projection
        result: Floats = features @ self._output
        result += self._output_bias
        return result


def _lstm(from_input: Floats, from_state: Floats, before: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return (hidden, cell); the products, which are overwritten, hold the gates i, f, o, g."""
    size = before[1].shape[-1]
    gates = from_input
    gates += from_state
    np.tanh(gates, out=gates)
    gates[..., : 3 * size] += 1  # twice the sigmoids, so that half of each product is meant
    cell = before[1] * gates[..., size : 2 * size]
    cell += gates[..., :size] * gates[..., 3 * size :]
    cell *= 0.5
    hidden = np.tanh(cell)
    hidden *= gates[..., 2 * size : 3 * size]
    hidden *= 0.5
    return hidden, cell


def _gru(from_input: Floats, from_state: Floats, before: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return (hidden,); the products, which are overwritten, hold the gates r, z, n."""
    hidden = before[0]
    size = hidden.shape[-1]
    sigmoids = from_input[..., : 2 * size]
    sigmoids += from_state[..., : 2 * size]
    np.tanh(sigmoids, out=sigmoids)
    sigmoids *= 0.5
    sigmoids += 0.5
    new = from_input[..., 2 * size :]
    new += sigmoids[..., :size] * from_state[..., 2 * size :]
    np.tanh(new, out=new)
    return (new + sigmoids[..., size:] * (hidden - new),)


def _rnn_tanh(
    from_input: Floats, from_state: Floats, before: Sequence[Floats]
) -> tuple[Floats, ...]:
    del before
    from_input += from_state
    return (np.tanh(from_input, out=from_input),)


def _rnn_relu(
    from_input: Floats, from_state: Floats, before: Sequence[Floats]
) -> tuple[Floats, ...]:
    del before
    from_input += from_state
    np.maximum(from_input, 0, out=from_input)
    return (np.minimum(from_input, LARGEST_ACTIVATION, out=from_input),)


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithms of the probabilities, shape (…, outputs)."""
    shifted: Floats = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


_UPDATES = {"lstm": _lstm, "gru": _gru, "rnn tanh": _rnn_tanh, "rnn relu": _rnn_relu}


def _gates(matrix: Floats, cell: Cell) -> Floats:
    """Return the rows with the sigmoid gates first and halved: i, f, o, g or r, z, n."""
    activations = CELLS[cell].gates.values()
    blocks = list(zip(np.split(matrix, len(activations)), activations, strict=True))
    sigmoids = [block / 2 for block, activation in blocks if activation == "sigmoid"]
    others = [block for block, activation in blocks if activation != "sigmoid"]
    return np.concatenate([*sigmoids, *others])
