"""The network in NumPy: one step of one stream or of many.

The cells are those of the textbooks, as PyTorch computes them. x is a layer's input, h its
previous output:

    simple RNN   h' = tanh(W x + U h + b), or ReLU for tanh             (Elman 1990)
    LSTM         i, f, o = σ(W x + U h + b)    g = tanh(W x + U h + b)
                 c' = f ⊙ c + i ⊙ g            h' = o ⊙ tanh(c')
                 (Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with
                 the forget gate of Gers et al. 2000)
    GRU          r, z = σ(W x + U h + b)       n = tanh(W x + b + r ⊙ (U h))
                 h' = (1 − z) ⊙ n + z ⊙ h      (Cho et al. 2014, https://arxiv.org/abs/1406.1078,
                                                the reset gate after the product)

Loading arranges three things for speed:

* The first layer's input product becomes a table with one row a token, W · embedding + b. A very
  large vocabulary has no table: it would take longer to make than it saves.
* σ(z) = (1 + tanh(z / 2)) / 2. The rows of the sigmoid gates come first and are halved, so that
  one tanh serves all gates of the LSTM.
* The recurrent matrix and the output matrix stand side by side. One product with the last layer's
  output gives the logits and the recurrent product of the next step.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.cells import CELLS, Cell
from charlm.checkpoint import Arrays
from charlm.config import ModelConfig, Nonlinearity

LARGEST_TABLE = 8192  # rows
LARGEST_ACTIVATION = 1e6  # of a ReLU, which could grow with every step until it overflows

Floats = NDArray[np.float32]
# Per layer: the cell's state vectors (hidden first), each (B, H); then the product of hidden and
# the recurrent matrix, (B, gates · H), with which the next step begins.
State = list[tuple[Floats, ...]]


def select_rows(state: State, rows: slice | Sequence[int] | NDArray[np.integer[Any]]) -> State:
    """Return the state of some streams, in the order of `rows`."""
    return [tuple(vectors[rows] for vectors in layer) for layer in state]


def concatenate_states(state: State, other: State) -> State:
    """Return the state of the streams of `state`, followed by those of `other`.

    Arrays over positions, of shape (B, S, ·), are padded with zeros to the longer one.
    """
    return [
        tuple(_concatenated(*vectors) for vectors in zip(layer, other_layer, strict=True))
        for layer, other_layer in zip(state, other, strict=True)
    ]


def _concatenated(first: Floats, second: Floats) -> Floats:
    if first.shape[1:] != second.shape[1:]:
        length = max(first.shape[1], second.shape[1])
        first, second = padded(first, length), padded(second, length)
    return np.concatenate([first, second])


def padded(array: Floats, length: int) -> Floats:
    """Return an array of shape (B, S, …) with zeros up to shape (B, length, …)."""
    missing = length - array.shape[1]
    if missing <= 0:
        return array
    return np.pad(array, [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)])


class Network(Protocol):
    """A predictor of the next token: a network, with or without counts, or a mixture of two."""

    config: ModelConfig
    feature_size: int  # numbers that `step` returns for a stream

    def zero_state(self, batch_size: int) -> State:
        """Return the state before the first token."""

    def start(self, tokens: Sequence[Sequence[int]]) -> tuple[State, int]:
        """Begin streams with the tokens that each has to read, at least one.

        Returns:
            Their state, and how many tokens of each stream, from its last, are left to read; 0
            stands for all tokens.
        """

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return features and the new state."""

    def logits(self, features: Floats) -> Floats:
        """Return the logits of the next token: unnormalised log-probabilities."""

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return logits and the new state."""


class Runtime:
    """A trained network that reads ids and predicts the next one. Its weights stay fixed."""

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        self.config, self.feature_size = config, config.hidden_size
        self._inputs: list[Floats] = []  # (·, gates · H)
        self._recurrent: list[Floats] = []  # (H, gates · H)
        self._biases: list[Floats] = []
        for layer in range(config.num_layers):
            prefix = f"recurrent.{layer}."
            self._inputs.append(gate_rows(arrays[prefix + "weight_ih"], config.cell).T)
            self._recurrent.append(gate_rows(arrays[prefix + "weight_hh"], config.cell).T.copy())
            self._biases.append(gate_rows(arrays[prefix + "bias"], config.cell))
        self._update = UPDATES[config.cell, config.nonlinearity]
        self._embedding = arrays["embedding.weight"]
        self._first_product: Floats | None = None
        if len(self._embedding) <= LARGEST_TABLE:
            self._first_product = self._embedding @ self._inputs[0] + self._biases[0]
        self._output_bias = arrays["output.bias"]
        self._projection = arrays["output.projection"].T if "output.projection" in arrays else None
        tied = self._embedding[: len(self._output_bias)]
        self._output = (tied if config.tie_weights else arrays["output.weight"]).T
        # The last layer's output is multiplied by both at once: [recurrent, output].
        self._joint: Floats | None = None
        if self._projection is None and not config.residual:
            self._joint = np.concatenate([self._recurrent[-1], self._output], axis=1)
            gates = self._recurrent[-1].shape[1]
            self._recurrent[-1], self._output = self._joint[:, :gates], self._joint[:, gates:]

    def zero_state(self, batch_size: int) -> State:
        """Return the state before the first token, all zeros."""
        vectors = CELLS[self.config.cell].state
        return [
            (
                *(np.zeros((batch_size, len(recurrent)), np.float32) for _ in vectors),
                np.zeros((batch_size, recurrent.shape[1]), np.float32),
            )
            for recurrent in self._recurrent
        ]

    def start(self, tokens: Sequence[Sequence[int]]) -> tuple[State, int]:
        """Return the zero state, from which all tokens are left to read."""
        return self.zero_state(len(tokens)), 0

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream: ids in [0, V], where V is the boundary, shape (B,).

        Returns:
            The last layer's output, shape (B, H), which `logits` takes, and the new state.
        """
        features, new_state = self._read(ids, state)
        last = new_state[-1]
        return features, [*new_state[:-1], (*last, last[0] @ self._recurrent[-1])]

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return logits, (B, V or V + 1), and the new state.

        This takes one matrix product less than `step` and `logits`.
        """
        if self._joint is None:
            features, new_state = self.step(ids, state)
            return self.logits(features), new_state
        features, new_state = self._read(ids, state)
        product = features @ self._joint
        gates = self._recurrent[-1].shape[1]
        last = (*new_state[-1], product[:, :gates])
        return product[:, gates:] + self._output_bias, [*new_state[:-1], last]

    def gates(self, ids: NDArray[np.integer[Any]], state: State) -> list[dict[str, Floats]]:
        """Return the activations of each layer's gates in `step`, by their names in `cells.py`.

        Each is of shape (B, H).
        """
        activations: list[Floats] = []
        self._read(ids, state, activations)
        return [_by_gate(layer, self.config.cell) for layer in activations]

    def _read(
        self,
        ids: NDArray[np.integer[Any]],
        state: State,
        activations: list[Floats] | None = None,
    ) -> tuple[Floats, State]:
        """Return features and the new state, in which the last layer still lacks its product.

        What each layer's update leaves of its input's product is appended to `activations`.
        """
        features = np.empty(0, np.float32)
        new_state: State = []
        for layer, (*vectors, from_state) in enumerate(state):
            if layer == 0 and self._first_product is not None:
                from_input = self._first_product[ids]  # (B, gates · H), a copy
            else:
                inputs = self._embedding[ids] if layer == 0 else features
                from_input = inputs @ self._inputs[layer]
                from_input += self._biases[layer]
            updated = self._update(from_input, from_state, vectors)
            if activations is not None:
                activations.append(from_input)
            is_residual = self.config.residual and layer > 0
            features = updated[0] + features if is_residual else updated[0]
            if layer + 1 < len(state):
                updated = (*updated, updated[0] @ self._recurrent[layer])
            new_state.append(updated)
        return features, new_state

    def from_hidden(self, hidden: Floats, layer: int) -> Floats:
        """Return the product of a layer's hidden vectors, (B, H), which its next step begins with.

        It is the last array of the layer's state.
        """
        product: Floats = hidden @ self._recurrent[layer]
        return product

    def logits(self, features: Floats, copied: Floats | None = None) -> Floats:
        """Return the logits of the next token, shape (…, V or V + 1).

        What is `copied`, shape (…, E), is added to what a tied output matrix reads.
        """
        if self._projection is not None:
            features = features @ self._projection
        if copied is not None:
            features = features + copied
        result: Floats = features @ self._output
        result += self._output_bias
        return result


def _lstm(from_input: Floats, from_state: Floats, vectors: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return (hidden, cell). The input's product ends as 2 i, 2 f, 2 o and g."""
    cell_before = vectors[1]
    size = cell_before.shape[-1]
    gates = from_input
    gates += from_state
    np.tanh(gates, out=gates)
    gates[..., : 3 * size] += 1  # twice the sigmoids, so each product below is halved
    cell = cell_before * gates[..., size : 2 * size]
    cell += gates[..., :size] * gates[..., 3 * size :]
    cell *= 0.5
    hidden = np.tanh(cell)
    hidden *= gates[..., 2 * size : 3 * size]
    hidden *= 0.5
    return hidden, cell


def _gru(from_input: Floats, from_state: Floats, vectors: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return (hidden,). The input's product ends as r, z and n."""
    hidden = vectors[0]
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


def _tanh_rnn(from_input: Floats, from_state: Floats, _: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return (hidden,), written over the input's product."""
    from_input += from_state
    return (np.tanh(from_input, out=from_input),)


def _relu_rnn(from_input: Floats, from_state: Floats, _: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return (hidden,), written over the input's product."""
    from_input += from_state
    np.maximum(from_input, 0, out=from_input)
    return (np.minimum(from_input, LARGEST_ACTIVATION, out=from_input),)


# Takes W x + b, U h and the state vectors; returns the new state vectors. W x + b is overwritten by
# the activations of the gates.
Update = Callable[[Floats, Floats, Sequence[Floats]], tuple[Floats, ...]]

UPDATES: dict[tuple[Cell, Nonlinearity], Update] = {
    ("lstm", "tanh"): _lstm,
    ("gru", "tanh"): _gru,
    ("rnn", "tanh"): _tanh_rnn,
    ("rnn", "relu"): _relu_rnn,
}


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithms of the probabilities, shape (…, outputs)."""
    shifted: Floats = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def gate_rows(matrix: Floats, cell: Cell) -> Floats:
    """Return the rows with the sigmoid gates first and halved: i, f, o, g or r, z, n."""
    gates = CELLS[cell].gates
    blocks = dict(zip(gates, np.split(matrix, len(gates)), strict=True))
    return np.concatenate(
        [
            blocks[name] / 2 if gates[name] == "sigmoid" else blocks[name]
            for name in _names_in_order(cell)
        ]
    )


def _names_in_order(cell: Cell) -> list[str]:
    """Return the names of the gates in the order of `gate_rows`."""
    gates = CELLS[cell].gates
    return sorted(gates, key=lambda name: gates[name] != "sigmoid")


def _by_gate(activations: Floats, cell: Cell) -> dict[str, Floats]:
    """Return by name what a cell's update leaves of its input's product, shape (B, gates · H)."""
    names = _names_in_order(cell)
    blocks = dict(zip(names, np.split(activations, len(names), axis=-1), strict=True))
    if cell == "lstm":
        for name in names[:3]:  # the sigmoids
            blocks[name] = blocks[name] * np.float32(0.5)
    return {name: blocks[name] for name in CELLS[cell].gates}
