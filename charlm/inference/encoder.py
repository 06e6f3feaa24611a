"""Recurrent layers in NumPy that read whole sequences, both ways."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.cells import CELLS
from charlm.checkpoint import Arrays
from charlm.config import ModelConfig
from charlm.inference.runtime import UPDATES, Floats, gate_rows


class SequenceLayer:
    """One layer that reads sequences side by side from their first position."""

    def __init__(self, config: ModelConfig, arrays: Arrays, prefix: str) -> None:
        self._inputs = gate_rows(arrays[f"{prefix}.weight_ih"], config.cell).T
        self._recurrent = gate_rows(arrays[f"{prefix}.weight_hh"], config.cell).T.copy()
        self._bias = gate_rows(arrays[f"{prefix}.bias"], config.cell)
        self._update = UPDATES[config.cell, config.nonlinearity]
        self._vectors = len(CELLS[config.cell].state)

    def read(self, features: Floats, counts: Sequence[int]) -> Floats:
        """Return the outputs at all positions, shape (B, S, H), of features (B, S, I).

        The longest sequence comes first: `counts` are the sequences that reach each position.
        """
        rows, length, _ = features.shape
        outputs = np.zeros((rows, length, len(self._recurrent)), np.float32)
        vectors = [np.zeros((rows, len(self._recurrent)), np.float32)] * self._vectors
        for position, count in enumerate(counts):
            from_input = features[:count, position] @ self._inputs
            from_input += self._bias
            vectors = [vector[:count] for vector in vectors]
            vectors = list(self._update(from_input, vectors[0] @ self._recurrent, vectors))
            outputs[:count, position] = vectors[0]
        return outputs


class Encoder:
    """Layers that read sequences both ways; the states of both directions stand side by side."""

    def __init__(
        self, config: ModelConfig, arrays: Arrays, stacks: tuple[str, str], num_layers: int
    ) -> None:
        """Take the layers of two stacks of the model file: forward and backward."""
        self.size = 2 * len(arrays[f"{stacks[0]}.0.weight_hh"][0])  # of a state
        self._layers = [
            tuple(SequenceLayer(config, arrays, f"{stack}.{layer}") for stack in stacks)
            for layer in range(num_layers)
        ]

    def read(self, features: Floats, lengths: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return the states of sequences that are padded at their ends.

        Args:
            features: Shape (B, S, I).
            lengths: Positions of each sequence, at least 1, shape (B,).

        Returns:
            The outputs of both directions side by side, shape (B, S, M); and the output of each at
            the end of its reading, shape (B, M).
        """
        order = np.argsort(-lengths, kind="stable")
        lengths, features = lengths[order], features[order]
        positions = np.arange(features.shape[1])
        counts = (lengths[:, None] > positions).sum(axis=0).tolist()
        # Each sequence from its end to its beginning; the padding stays where it is.
        mirrored = lengths[:, None] - 1 - positions
        mirrored = np.where(mirrored < 0, positions, mirrored)
        rows = np.arange(len(features))
        ends: tuple[Floats, ...] = ()
        for forward, backward in self._layers:
            right = forward.read(features, counts)
            left = backward.read(features[rows[:, None], mirrored], counts)
            ends = right[rows, lengths - 1], left[rows, lengths - 1]
            features = np.concatenate([right, left[rows[:, None], mirrored]], axis=-1)
        sorted_states, last = features, np.concatenate(ends, axis=-1)
        features, result = np.empty_like(sorted_states), np.empty_like(last)
        features[order], result[order] = sorted_states, last
        return features, result
