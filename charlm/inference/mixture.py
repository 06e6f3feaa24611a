"""Two networks that predict as one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.errors import ConfigError
from charlm.inference.runtime import Floats, Network, State, log_softmax
from charlm.tokenizers import Tokenizer


class Mixture:
    """A network whose probabilities are a weighted mean of those of two (Jelinek & Mercer 1980).

    Its features and its state are those of the first network, followed by those of the second.
    """

    def __init__(self, first: Network, second: Network, share: float) -> None:
        """Combine two networks that read forward; `share` in [0, 1] is the weight of the first."""
        self.config = replace(first.config, direction="forward")
        self.feature_size = first.feature_size + second.feature_size
        self._layers = len(first.zero_state(0))
        self._first, self._second = first, second
        self._log_shares = [
            math.log(weight) if weight else -math.inf for weight in (share, 1 - share)
        ]

    def zero_state(self, batch_size: int) -> State:
        """Return the zero state of both networks."""
        return self._first.zero_state(batch_size) + self._second.zero_state(batch_size)

    def start(self, tokens: Sequence[Sequence[int]]) -> tuple[State, int]:
        """Return the zero state, from which all tokens are left to read."""
        return self.zero_state(len(tokens)), 0

    def step(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return features and the new state."""
        features, new_state = self._first.step(ids, state[: self._layers])
        second_features, second_state = self._second.step(ids, state[self._layers :])
        return np.concatenate([features, second_features], axis=-1), new_state + second_state

    def predict(self, ids: NDArray[np.integer[Any]], state: State) -> tuple[Floats, State]:
        """Read one token of each stream; return log-probabilities of the next and the new state."""
        logits, new_state = self._first.predict(ids, state[: self._layers])
        second_logits, second_state = self._second.predict(ids, state[self._layers :])
        return self._mean(logits, second_logits), new_state + second_state

    def logits(self, features: Floats) -> Floats:
        """Return the logarithm of the mean probability, shape (…, outputs)."""
        size = self._first.feature_size
        return self._mean(
            self._first.logits(features[..., :size]), self._second.logits(features[..., size:])
        )

    def _mean(self, *logits: Floats) -> Floats:
        first, second = map(log_softmax, logits)
        first_share, second_share = self._log_shares
        result: Floats = np.logaddexp(first + first_share, second + second_share)
        return result.astype(np.float32, copy=False)


def check_mixable(
    tokenizer: Tokenizer, config: ModelConfig, other_tokenizer: Tokenizer, other: ModelConfig
) -> None:
    """Raise ConfigError unless two models have the same tokenizer, task and mask."""
    if config.is_of_classes or other.is_of_classes:
        raise ConfigError("models of labels and tags are not mixed; name one model")
    is_same = tokenizer.to_json() == other_tokenizer.to_json()
    if not is_same or tokenizer.binary != other_tokenizer.binary:
        raise ConfigError(
            "only models with the same tokenizer can be mixed",
            hint="train the second model with --from: it keeps the tokenizer of the first",
        )
    if config.mask != other.mask:
        raise ConfigError("only models with the same mask can be mixed")
    if config.task != other.task:
        raise ConfigError(f"a model of {config.task} and one of {other.task} cannot be mixed")
