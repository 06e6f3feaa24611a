"""A network and n-gram counts that predict as one: a product of experts with fitted weights.

    p(w) ∝ p_network(w)^a · p_counts(w)^b        with a and b of order k

k is the length of the longest context that the counts know. With k = 0 alone, 1 / a[0] is the
softmax temperature that suits unseen text. (Products of experts: Hinton 2002; a network beside
counts: Mikolov et al. 2010, https://www.isca-archive.org/interspeech_2010/mikolov10_interspeech.html.)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.inference.encoder_decoder import EncoderDecoder
from charlm.inference.runtime import Floats, Network, Runtime, State
from charlm.ngram import NGramTable
from charlm.ngram.table import NO_TOKEN


class Combination:
    """A network whose logits are corrected by counts.

    Its features are those of the network and the last K ids, as numbers; so is its state.
    """

    def __init__(self, network: Network, table: NGramTable) -> None:
        """Combine a network and the counts for its direction, with the weights in the table."""
        self.config = network.config
        self._network, self._table = network, table
        self._size = network.feature_size
        self.feature_size = self._size + table.order

    def zero_state(self, batch_size: int) -> State:
        """Return the zero state of the network, and no ids."""
        context = np.full((batch_size, self._table.order), NO_TOKEN, np.float32)
        return [*self._network.zero_state(batch_size), (context,)]

    def start(self, tokens: Sequence[Sequence[int]]) -> tuple[State, int]:
        """Return the zero state, from which all tokens are left to read."""
        return self.zero_state(len(tokens)), 0

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return features and the new state."""
        *state, (context,) = state
        features, state = self._network.step(ids, state)
        context = self._next_context(ids, context)
        return np.concatenate([features, context], axis=-1), [*state, (context,)]

    def logits(self, features: Floats) -> Floats:
        """Return the logits of the next token."""
        network_features, context = np.split(features, [self._size], axis=-1)
        logits = self._network.logits(network_features)
        flat = self._combine(logits.reshape(-1, logits.shape[-1]), context)
        return flat.reshape(logits.shape)

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return logits and the new state."""
        *state, (context,) = state
        logits, state = self._network.predict(ids, state)
        context = self._next_context(ids, context)
        return self._combine(logits, context), [*state, (context,)]

    def _next_context(self, ids: NDArray[np.integer[Any]], context: Floats) -> Floats:
        """Return the last ids; a boundary has none before it."""
        context = np.concatenate([context, ids[:, None]], axis=-1, dtype=np.float32)[:, 1:]
        context[ids == self._table.boundary_id, :-1] = NO_TOKEN
        return context

    def _combine(self, logits: Floats, context: Floats) -> Floats:
        ids = context.reshape(len(logits), self._table.order).astype(np.int64)
        return combine(self._table, logits, ids)


def combine(table: NGramTable, logits: Floats, contexts: NDArray[np.int64]) -> Floats:
    """Return the logits of network and counts together.

    Args:
        table: The counts, and the weights of both.
        logits: Of the network, shape (N, outputs).
        contexts: The last ids before each position, shape (N, K); see `NGramTable.log_ratios`.
    """
    matched, ratios = table.log_ratios(contexts)
    a, b = table.weights[matched].T
    ratios *= b[:, None]
    ratios += a[:, None] * logits
    return ratios


def network_of(checkpoint: Checkpoint) -> Network:
    """Return what predicts in a model of one direction: its network, with its counts if any."""
    network_type = EncoderDecoder if checkpoint.config.has_encoder else Runtime
    network: Network = network_type(checkpoint.config, checkpoint.arrays)
    table = checkpoint.ngrams.get(checkpoint.config.directions[0])
    return network if table is None else Combination(network, table)
