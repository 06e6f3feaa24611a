"""Two networks that predict together."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.inference.runtime import Floats, Network, State, log_softmax


class Mixture:
    """A network whose probabilities are a weighted mean of those of two (Jelinek & Mercer 1980).

    Its features are those of both, one after the other.
    """

    def __init__(self, first: Network, second: Network, share: float) -> None:
        """Take the networks, of one tokenizer and form, and the weight of the first in [0, 1]."""
        self.config = replace(
            first.config,
            direction="forward",
            num_layers=first.config.num_layers + second.config.num_layers,
            hidden_size=first.config.hidden_size + second.config.hidden_size,
        )
        self._first, self._second = first, second
        self._log_shares = [math.log(each) if each else -math.inf for each in (share, 1 - share)]

    def zero_state(self, batch_size: int) -> State:
        """Return the state before anything is read, of both networks' layers."""
        return self._first.zero_state(batch_size) + self._second.zero_state(batch_size)

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token a stream."""
        layers = self._first.config.num_layers
        features, after = self._first.step(ids, state[:layers])
        second_features, second_after = self._second.step(ids, state[layers:])
        return np.concatenate([features, second_features], axis=-1), after + second_after

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token a stream, and predict the next."""
        layers = self._first.config.num_layers
        logits, after = self._first.predict(ids, state[:layers])
        second_logits, second_after = self._second.predict(ids, state[layers:])
        return self._mixed(logits, second_logits), after + second_after

    def logits(self, features: Floats) -> Floats:
        """Return the logarithm of the mean of both probabilities, shape (…, outputs)."""
        size = self._first.config.hidden_size
        return self._mixed(
            self._first.logits(features[..., :size]), self._second.logits(features[..., size:])
        )

    def _mixed(self, *logits: Floats) -> Floats:
        parts = zip(map(log_softmax, logits), self._log_shares, strict=True)
        result: Floats = np.logaddexp(*(each + share for each, share in parts))
        return result.astype(np.float32, copy=False)
