"""Recurrent layers in NumPy that read whole sequences, both ways."""

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

    def read(self, features: Floats) -> Floats:
        """Return the outputs at all positions, shape (B, S, H), of features (B, S, I)."""
        from_inputs = features @ self._inputs + self._bias
        rows, length, _ = features.shape
        size = len(self._recurrent)
        outputs = np.zeros((rows, length, size), np.float32)
        vectors = tuple(np.zeros((rows, size), np.float32) for _ in range(self._vectors))
        for position in range(length):
            from_state = vectors[0] @ self._recurrent
            vectors = self._update(from_inputs[:, position].copy(), from_state, vectors)
            outputs[:, position] = vectors[0]
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
        positions = np.arange(features.shape[1])[None]
        mirrored = lengths[:, None] - 1 - positions
        mirrored = np.where(mirrored < 0, positions, mirrored)[..., None]
        rows = np.arange(len(features))
        last = np.empty(0, np.float32)
        for forward, backward in self._layers:
            right = forward.read(features)
            left = backward.read(np.take_along_axis(features, mirrored, axis=1))
            last = np.concatenate([right[rows, lengths - 1], left[rows, lengths - 1]], axis=-1)
            features = np.concatenate([right, np.take_along_axis(left, mirrored, axis=1)], axis=-1)
        return features, last
