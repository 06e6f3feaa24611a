"""What speaking and judging have in common: trained networks, read from a checkpoint."""

from collections.abc import Mapping
from typing import Any

from charlm.checkpoint import Checkpoint
from charlm.config import Direction, ModelConfig, OneWay
from charlm.errors import ConfigError
from charlm.inference.runtime import Network, Runtime
from charlm.tokenizers import Tokenizer


class Trained:
    """A tokenizer, and a network for each direction in which it reads."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config: ModelConfig = checkpoint.config
        self.tokenizer: Tokenizer = checkpoint.tokenizer
        self.provenance: Mapping[str, Any] = checkpoint.provenance
        self.fingerprints = tuple(checkpoint.fingerprints)
        self.line_scores = checkpoint.line_scores
        self._runtimes: dict[OneWay, Network] = {}
        for direction in checkpoint.config.directions:
            one_way = checkpoint.one_way(direction)
            self._runtimes[direction] = Runtime(one_way.config, one_way.arrays)

    def runtime(self, direction: OneWay | None = None) -> Network:
        """Return the network that reads in a direction; None takes the model's own, or forward.

        Raises:
            ConfigError: If the model lacks the direction.
        """
        direction = direction or self.config.directions[0]
        self._require(direction, f"reading {direction}")
        return self._runtimes[direction]

    def _require(self, direction: Direction, what: str) -> None:
        """Raise ConfigError if the model lacks what reads in a direction, or in both."""
        if self.config.direction in (direction, "both"):
            return
        other = "" if direction == "both" else f"--direction {direction} or "
        raise ConfigError(
            f"{what} needs a model that reads "
            f"{'both ways' if direction == 'both' else direction}; this one reads "
            f"{self.config.direction} only",
            hint=None if self.config.form == "pairs" else f"train one with {other}--direction both",
        )
