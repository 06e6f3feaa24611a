"""A network for pairs in NumPy: an encoder that reads both ways, and a decoder with attention.

It satisfies the protocol of every network. A boundary begins a source; its tokens are collected in
the state. At the next boundary the encoder reads them, and the decoder writes from there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.cells import CELLS
from charlm.checkpoint import Arrays
from charlm.config import ModelConfig
from charlm.inference.encoder import Encoder
from charlm.inference.runtime import Floats, Runtime, State, padded
from charlm.parameters import ENCODERS, LARGEST_COPY, MASKED


class EncoderDecoder:
    """A trained encoder and decoder. Its weights stay fixed.

    The state is that of the decoder's layers, and one more tuple of arrays:

        sources   ids of the source so far, shape (B, S)
        lengths   their number; −1 before the first boundary, shape (B,)
        states    of the encoder and behind them, if they are copied, the embeddings of the source,
                  shape (B, S, H + E) or (B, S, H); without attention (B, 0, ·)
        writes    1 after the second boundary, else 0, shape (B,)

    Whatever the decoder computes while a stream still reads its source is dropped.
    """

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        self.config = config
        self.feature_size = config.hidden_size + config.copies * config.embedding_size
        self._decoder = Runtime(config, arrays)
        self._encoder = Encoder(config, arrays, ENCODERS, config.num_layers)
        self._embedding = arrays["embedding.weight"]
        self._boundary_id = len(self._embedding) - 1
        self._bridge, self._bridge_bias = arrays["bridge.weight"].T, arrays["bridge.bias"]
        self._has_attention = config.encoder == "attention"
        if self._has_attention:
            self._query = arrays["attention.query"].T
            self._combination = arrays["attention.combination"].T
            self._bias = arrays["attention.bias"]
        if config.copies:
            self._copy_weight = arrays["attention.copy_weight"]
            self._copy_bias = arrays["attention.copy_bias"]

    def zero_state(self, batch_size: int) -> State:
        """Return the state before the first token."""
        numbers = np.zeros(batch_size, np.float32)
        states = np.zeros((batch_size, 0, self.feature_size), np.float32)
        memory = np.zeros((batch_size, 0), np.float32), numbers - 1, states, numbers
        return [*self._decoder.zero_state(batch_size), memory]

    def start(self, tokens: Sequence[Sequence[int]]) -> tuple[State, int]:
        """Read whole sources at once; the boundary after each is left to read.

        Args:
            tokens: A boundary, a source and a boundary for each stream.
        """
        lengths = np.array([len(stream) - 2 for stream in tokens], np.float32)
        sources = np.zeros((len(tokens), int(lengths.max())), np.float32)
        for row, stream in zip(sources, tokens, strict=True):
            row[: len(stream) - 2] = stream[1:-1]
        *decoder_state, (_, _, states, writes) = self.zero_state(len(tokens))
        rows = np.arange(len(tokens))
        decoder_state, states = self._encode(rows, sources, lengths, states, decoder_state)
        return [*decoder_state, (sources, lengths, states, writes + 1)], 1

    def attention(self, source: Sequence[int], target: Sequence[int]) -> Floats:
        """Return the attention to each token of a source in each step of a target.

        Args:
            source: Its ids, S of them, at least one.
            target: Its ids, T of them.

        Returns:
            Shape (T + 1, S): the last step predicts the end.
        """
        steps: list[Floats] = []
        state = self.zero_state(1)
        for token in [self._boundary_id, *source, self._boundary_id, *target]:
            _, state = self._step(np.array([token]), state, steps)
        return np.concatenate(steps)

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return features, shape (B, H), and the new state."""
        return self._step(ids, state)

    def _step(
        self,
        ids: NDArray[np.integer[Any]],
        state: State,
        attention: list[Floats] | None = None,
    ) -> tuple[Floats, State]:
        """Do a step; append the attention, shape (B, S), if it is requested."""
        *decoder_state, (sources, lengths, states, writes) = state
        is_boundary = ids == self._boundary_id
        begins = is_boundary & (lengths < 0)
        ends = is_boundary & (lengths >= 0) & (writes == 0)
        reads = ~is_boundary & (lengths >= 0) & (writes == 0)
        if reads.any():
            rows = np.flatnonzero(reads)
            places = lengths[rows].astype(np.int64)
            sources = padded(sources, int(places.max()) + 1).copy()
            sources[rows, places] = ids[rows]
        lengths = np.where(begins, 0, lengths + reads).astype(np.float32)
        if ends.any():
            rows = np.flatnonzero(ends)
            decoder_state, states = self._encode(rows, sources, lengths, states, decoder_state)
            writes = np.where(ends, 1, writes).astype(np.float32)
        features = np.zeros((len(ids), self.feature_size), np.float32)
        if writes.any():
            features, decoder_state = self._decoder.step(ids, decoder_state)
            if self._has_attention:
                weights = self._weights(features, states, lengths)
                if attention is not None:
                    attention.append(weights)
                features = self._attended(features, weights, states)
        return features, [*decoder_state, (sources, lengths, states, writes)]

    def logits(self, features: Floats) -> Floats:
        """Return the logits of the next token, shape (…, V + 1)."""
        if not self.config.copies:
            return self._decoder.logits(features)
        hidden, copied = np.split(features, [self.config.hidden_size], axis=-1)
        return self._decoder.logits(hidden, copied)

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return logits, (B, V + 1), and the new state."""
        features, state = self.step(ids, state)
        return self.logits(features), state

    def _encode(
        self,
        rows: NDArray[np.int64],
        sources: Floats,
        lengths: Floats,
        states: Floats,
        decoder_state: State,
    ) -> tuple[State, Floats]:
        """Read whole sources; return the first state of the decoder, and the encoder's states."""
        counts = np.maximum(lengths[rows].astype(np.int64), 1)  # an empty source reads one id 0
        ids = padded(sources, 1)[rows, : counts.max()].astype(np.int64)
        encoded, last = self._encoder.read(self._embedding[ids], counts)
        decoder_state = [tuple(vectors.copy() for vectors in layer) for layer in decoder_state]
        first = np.tanh(last @ self._bridge + self._bridge_bias)
        size, recurrent = len(CELLS[self.config.cell].state), self.config.hidden_size
        first_vectors = iter(np.split(first, first.shape[1] // recurrent, axis=1))
        for number, layer in enumerate(decoder_state):
            for vectors in layer[:size]:
                vectors[rows] = next(first_vectors)
            layer[size][rows] = self._decoder.from_hidden(layer[0][rows], number)
        if self._has_attention:
            if self.config.copies:
                encoded = np.concatenate([encoded, self._embedding[ids]], axis=-1)
            states = padded(states, encoded.shape[1]).copy()
            states[rows] = 0
            states[rows, : encoded.shape[1]] = encoded
        return decoder_state, states

    def _weights(self, hidden: Floats, states: Floats, lengths: Floats) -> Floats:
        """Return the attention to each position of the source, shape (B, S)."""
        encoded = states[..., : self.config.hidden_size]
        scores: Floats = (encoded @ (hidden @ self._query)[..., None])[..., 0]  # (B, S)
        scores[np.arange(states.shape[1]) >= lengths[:, None]] = MASKED
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return scores

    def _attended(self, hidden: Floats, weights: Floats, states: Floats) -> Floats:
        """Return h', shape (B, H), and behind it what is copied, shape (B, E); see `Attention`."""
        context, copied = np.split(
            (weights[:, None] @ states)[:, 0], [self.config.hidden_size], axis=-1
        )
        both = np.concatenate([context, hidden], axis=-1) @ self._combination
        attended: Floats = np.tanh(both + self._bias)
        if not self.config.copies:
            return attended
        gate = 1 / (1 + np.exp(-(attended @ self._copy_weight + self._copy_bias)))
        scale = np.float32(LARGEST_COPY) * gate[:, None]
        return np.concatenate([attended, scale * copied], axis=-1)
