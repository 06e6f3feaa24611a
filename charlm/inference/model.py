"""What the commands and other programs hold in their hands: a model that speaks and judges."""

import copy
from os import PathLike
from pathlib import Path

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config.checks import require
from charlm.errors import ConfigError
from charlm.fingerprint import joined
from charlm.inference.judge import Judge
from charlm.inference.mixture import Mixture
from charlm.inference.speaker import Speaker


class Model(Speaker, Judge):
    """A trained model.

    >>> model = charlm.load("model.safetensors")                         # doctest: +SKIP
    >>> model.generate("This is", length=40, temperature=0)              # doctest: +SKIP
    ' the tale of the second stone, and the to'
    >>> model.score("This is the tale").bits_per_character               # doctest: +SKIP
    1.13
    """

    def mixed(self, other: "Model", share: float = 0.5) -> "Model":
        """Return a model whose probabilities are the weighted mean of two models' own.

        Args:
            other: A model with the same tokenizer, of the same form.
            share: The weight of this one, in [0, 1].

        Raises:
            ConfigError: If the models do not fit, or read backward.
        """
        require("mix", share, at_least=0, at_most=1)
        own, its = self.tokenizer, other.tokenizer
        if (own.to_json(), own.binary) != (its.to_json(), its.binary):
            raise ConfigError(
                "only models with the same tokenizer can be mixed",
                hint="train the second with --from, which keeps the first one's tokenizer",
            )
        if self.config.form != other.config.form:
            raise ConfigError(
                f"a model of {self.config.form} and one of {other.config.form} cannot be mixed"
            )
        mixed = copy.copy(self)
        mixture = Mixture(self.runtime("forward"), other.runtime("forward"), share)
        mixed.config = mixture.config
        mixed._runtimes = {"forward": mixture}
        mixed.fingerprints = joined(self.fingerprints, other.fingerprints)
        mixed.line_scores = np.empty(0, np.float32)
        return mixed


def load(path: str | PathLike[str]) -> Model:
    """Return the model in the checkpoint at `path`.

    Raises:
        CheckpointError: If the file is missing, damaged or foreign.
    """
    return Model(Checkpoint.load(Path(path)))
