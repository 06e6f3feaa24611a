"""What the commands and other programs hold in their hands: a model that speaks and judges."""

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import DEFAULT_LENGTH, Direction, ModelConfig, OneWay, SamplingConfig
from charlm.errors import ConfigError
from charlm.inference.bidirectional import PseudoScore, pseudo_score
from charlm.inference.generation import generate, lead_up
from charlm.inference.infilling import fill
from charlm.inference.runtime import Runtime
from charlm.inference.scoring import Score, score_text
from charlm.tokenizers import Tokenizer


class Model:
    """A trained model.

    >>> model = charlm.load("model.safetensors")                         # doctest: +SKIP
    >>> model.generate("This is", length=40, temperature=0)              # doctest: +SKIP
    ' the tale of the second stone, and the to'
    >>> model.score("This is the tale").bits_per_character               # doctest: +SKIP
    1.13
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config: ModelConfig = checkpoint.config
        self.tokenizer: Tokenizer = checkpoint.tokenizer
        self.provenance: Mapping[str, Any] = checkpoint.provenance
        self._runtimes: dict[OneWay, Runtime] = {}
        for direction in checkpoint.config.directions:
            one_way = checkpoint.one_way(direction)
            self._runtimes[direction] = Runtime(one_way.config, one_way.arrays)

    def generate(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        length: int = DEFAULT_LENGTH,
        temperature: float = SamplingConfig.temperature,
        top_k: int = SamplingConfig.top_k,
        top_p: float = SamplingConfig.top_p,
        rng_seed: int | tuple[int, ...] | None = None,
    ) -> str:
        """Return `length` characters that continue `seed`, or an item; see `stream`."""
        pieces = self.stream(
            seed,
            ending=ending,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            rng_seed=rng_seed,
        )
        return "".join(pieces)

    def stream(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        length: int = DEFAULT_LENGTH,
        temperature: float = SamplingConfig.temperature,
        top_k: int = SamplingConfig.top_k,
        top_p: float = SamplingConfig.top_p,
        rng_seed: int | tuple[int, ...] | None = None,
    ) -> Iterator[str]:
        """Return an iterator over text that continues `seed`, piece by piece as it is made.

        Args:
            seed: The text to continue; it is not repeated. To a model of pairs, the source.
            ending: The text to lead up to; it is not repeated. This takes a model of the backward
                direction, and with a seed one of both. The text comes in one piece.
            length: Characters to generate; a model of lines or pairs may end before.
            temperature: Divides the logits; 0 always takes the likeliest token.
            top_k: Keep only so many of the likeliest tokens; 0 is off.
            top_p: Keep the fewest likeliest tokens that reach this probability; 1 is off.
            rng_seed: The same seed gives the same text; None draws a new one.

        Raises:
            ConfigError: If a setting is out of its range, the seed or the ending holds what ends an
                item, or the model lacks the direction.
        """
        how: dict[str, Any] = {
            "length": length,
            "config": SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p),
            "generator": np.random.default_rng(rng_seed),
        }
        if ending is None and not seed and self.config.direction == "backward":
            ending = ""
        if ending is None:
            self._require("forward", "a seed text")
            return generate(self.runtime("forward"), self.tokenizer, seed=seed, **how)
        if not seed:
            self._require("backward", "an ending")
            return iter([lead_up(self.runtime("backward"), self.tokenizer, ending=ending, **how)])
        self._require("both", "a seed text with an ending")
        networks = self.runtime("forward"), self.runtime("backward")
        return iter([fill(*networks, self.tokenizer, seed=seed, ending=ending, **how)])

    def score(self, text: str, *, direction: OneWay | None = None, name: str = "the text") -> Score:
        """Return how much information `text` is under the model, read from nothing.

        A model of lines or pairs reads each line from nothing, and predicts its end.

        Args:
            text: To score.
            direction: In which it is read; None takes the model's own, of both forward.
            name: What error messages call the text.

        Raises:
            ConfigError: If the model lacks the direction.
            CorpusError: If the model is one of pairs and a line is none.
        """
        return score_text(self.runtime(direction), self.tokenizer, text, name=name)

    def pseudo_score(self, text: str) -> PseudoScore:
        """Return how well each token of `text` is predicted from all others, on both sides.

        Raises:
            ConfigError: If the model is not one of both directions.
        """
        self._require("both", "a pseudo-likelihood")
        networks = self.runtime("forward"), self.runtime("backward")
        return pseudo_score(*networks, self.tokenizer, text)

    def runtime(self, direction: OneWay | None = None) -> Runtime:
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


def load(path: str | PathLike[str]) -> Model:
    """Return the model in the checkpoint at `path`.

    Raises:
        CheckpointError: If the file is missing, damaged or foreign.
    """
    return Model(Checkpoint.load(Path(path)))
