"""What the commands and other programs hold in their hands: a model that speaks and judges."""

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import DEFAULT_LENGTH, ModelConfig, SamplingConfig
from charlm.inference.generation import generate
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
        self._runtime = Runtime(checkpoint.config, checkpoint.arrays)

    def generate(
        self,
        seed: str = "",
        *,
        length: int = DEFAULT_LENGTH,
        temperature: float = SamplingConfig.temperature,
        top_k: int = SamplingConfig.top_k,
        top_p: float = SamplingConfig.top_p,
        rng_seed: int | tuple[int, ...] | None = None,
    ) -> str:
        """Return `length` characters that continue `seed`, or an item; see `stream`."""
        pieces = self.stream(
            seed,
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
        length: int = DEFAULT_LENGTH,
        temperature: float = SamplingConfig.temperature,
        top_k: int = SamplingConfig.top_k,
        top_p: float = SamplingConfig.top_p,
        rng_seed: int | tuple[int, ...] | None = None,
    ) -> Iterator[str]:
        """Return an iterator over text that continues `seed`, piece by piece as it is made.

        Args:
            seed: The text to continue; it is not repeated. To a model of pairs, the source.
            length: Characters to generate; a model of lines or pairs may end before.
            temperature: Divides the logits; 0 always takes the likeliest token.
            top_k: Keep only so many of the likeliest tokens; 0 is off.
            top_p: Keep the fewest likeliest tokens that reach this probability; 1 is off.
            rng_seed: The same seed gives the same text; None draws a new one.

        Raises:
            ConfigError: If a setting is out of its range, or the seed holds what ends an item.
        """
        return generate(
            self._runtime,
            self.tokenizer,
            seed=seed,
            length=length,
            config=SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p),
            generator=np.random.default_rng(rng_seed),
        )

    def score(self, text: str, *, name: str = "the text") -> Score:
        """Return how much information `text` is under the model, read from nothing.

        A model of lines or pairs reads each line from nothing, and predicts its end.

        Raises:
            CorpusError: If the model is one of pairs and a line is none; the message calls the
                text `name`.
        """
        return score_text(self._runtime, self.tokenizer, text, name=name)


def load(path: str | PathLike[str]) -> Model:
    """Return the model in the checkpoint at `path`.

    Raises:
        CheckpointError: If the file is missing, damaged or foreign.
    """
    return Model(Checkpoint.load(Path(path)))
