"""The network in NumPy: one step, one stream or many.

The LSTM is that of Hochreiter & Schmidhuber (1997, https://doi.org/10.1162/neco.1997.9.8.1735)
with the forget gate of Gers et al. (2000), as PyTorch computes it:

    i, f, o = σ(W x + U h + b)      g = tanh(W x + U h + b)
    c' = f ⊙ c + i ⊙ g              h' = o ⊙ tanh(c')

Two things are computed once, at load. The first layer's input product is a table, one row a token,
W · embedding + b, unless the vocabulary is so large that the table would take longer than it
saves. And σ(z) = (1 + tanh(z / 2)) / 2, so with the rows of i, f and o halved one tanh serves all
four gates.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import Arrays
from charlm.config import ModelConfig

LARGEST_TABLE = 8192  # rows

Floats = NDArray[np.float32]
State = list[tuple[Floats, Floats]]  # (hidden, cell) of each layer, each of shape (B, H)


class Runtime:
    """A trained network that reads ids and predicts what follows; it learns nothing."""

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        self.config = config
        self._layers: list[tuple[Floats, Floats]] = []  # (input, recurrent), both (·, 4H)
        self._biases: list[Floats] = []
        for layer in range(config.num_layers):
            prefix = f"recurrent.{layer}."
            self._layers.append(
                (_gates(arrays[prefix + "weight_ih"]).T, _gates(arrays[prefix + "weight_hh"]).T)
            )
            self._biases.append(_gates(arrays[prefix + "bias"]))
        self._embedding = arrays["embedding.weight"]
        self._first_product: Floats | None = None
        if len(self._embedding) <= LARGEST_TABLE:
            self._first_product = self._embedding @ self._layers[0][0] + self._biases[0]
        self._output_bias = arrays["output.bias"]
        outputs = len(self._output_bias)
        self._projection = arrays["output.projection"].T if "output.projection" in arrays else None
        self._output = (
            self._embedding[:outputs] if config.tie_weights else arrays["output.weight"]
        ).T

    def zero_state(self, batch_size: int) -> State:
        """Return the state before anything is read, each array of shape (B, H)."""
        shape = (batch_size, self.config.hidden_size)
        return [
            (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
            for _ in range(self.config.num_layers)
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
        features = np.empty(0, np.float32)
        following: State = []
        for layer, (hidden, cell) in enumerate(state):
            inputs, recurrent = self._layers[layer]
            gates = hidden @ recurrent  # (B, 4H)
            if layer == 0 and self._first_product is not None:
                gates += self._first_product[ids]
            else:
                gates += (self._embedding[ids] if layer == 0 else features) @ inputs
                gates += self._biases[layer]
            features, cell = _update(gates, cell)
            following.append((features, cell))
        return features, following

    def logits(self, features: Floats) -> Floats:
        """Return unnormalised log-probabilities of the next token, shape (…, V or V + 1)."""
        if self._projection is not None:
            features = features @ self._projection
        result: Floats = features @ self._output
        result += self._output_bias
        return result


def _update(gates: Floats, cell: Floats) -> tuple[Floats, Floats]:
    """Return the new hidden and cell state from the gates' sums, which are overwritten."""
    size = cell.shape[-1]
    np.tanh(gates, out=gates)
    sigmoids = gates[..., : 3 * size]
    sigmoids *= 0.5
    sigmoids += 0.5
    cell = cell * gates[..., size : 2 * size]
    cell += gates[..., :size] * gates[..., 3 * size :]
    hidden = np.tanh(cell)
    hidden *= gates[..., 2 * size : 3 * size]
    return hidden, cell


def _gates(matrix: Floats) -> Floats:
    """Put the rows of the gates in the order i, f, o, g, and halve those of the sigmoids."""
    i, f, g, o = np.split(matrix, 4)
    return np.concatenate([i / 2, f / 2, o / 2, g])
