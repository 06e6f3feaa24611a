"""A trained model, which generates and scores text."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import (
    LENGTH_BESIDE_OTHERS,
    CandidateFilter,
    Direction,
    GenerationConfig,
    ModelConfig,
    ScoreUnit,
    SingleDirection,
)
from charlm.config.checks import require, require_whole
from charlm.corpus.masks import masked
from charlm.errors import ConfigError
from charlm.fingerprint import share_in_training_texts, union
from charlm.inference.beam_search import generate_answers
from charlm.inference.candidates import GeneratedText, TextGenerator
from charlm.inference.combination import network_of
from charlm.inference.generation import Piece, generate_pieces, top_tokens
from charlm.inference.mixture import Mixture, check_mixable
from charlm.inference.runtime import Network
from charlm.inference.sequences import Continuation, GeneratorSettings, RandomSeed, rng_seed_of
from charlm.tokenizers import Tokenizer

if TYPE_CHECKING:
    from charlm.inference.bidirectional import PseudoScore
    from charlm.inference.scoring import Score
    from charlm.inference.token_scores import TokenScores

EVERY_TEXT = CandidateFilter()


class Model:
    """A trained model.

    >>> model = charlm.load("model.safetensors")                         # doctest: +SKIP
    >>> model.generate("This is", length=40, temperature=0)              # doctest: +SKIP
    ' the tale of the second stone, and the to'
    >>> model.score("This is the tale").bits_per_character               # doctest: +SKIP
    1.13

    A `direction` is by default the model's own; of a model that reads both ways, forward. A method
    raises ConfigError if it is lacking.
    """

    # Scoring methods import what they need when they are called: generation does not wait for it.

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint: Checkpoint | None = checkpoint  # None of a mixture
        self.config: ModelConfig = checkpoint.config
        self.tokenizer: Tokenizer = checkpoint.tokenizer
        self.provenance: Mapping[str, Any] = checkpoint.provenance
        self.fingerprints = tuple(checkpoint.fingerprints)
        self.line_scores = checkpoint.line_scores
        self._runtimes: dict[SingleDirection, Network] = {}
        for direction in checkpoint.config.directions:
            self._runtimes[direction] = network_of(checkpoint.for_direction(direction))

    def runtime(self, direction: SingleDirection | None = None) -> Network:
        """Return the network that reads in `direction`."""
        direction = direction or self.config.directions[0]
        self._require(direction, f"reading {direction}")
        return self._runtimes[direction]

    def single_direction(self, direction: SingleDirection | None = None) -> Checkpoint:
        """Return the network that `runtime` returns, as a checkpoint.

        Raises:
            ValueError: If the model is a mixture, which has no checkpoint.
        """
        if self.checkpoint is None:
            raise ValueError("a mixture of models has no checkpoint")
        direction = direction or self.config.directions[0]
        self._require(direction, f"reading {direction}")
        return self.checkpoint.for_direction(direction)

    def _require(self, direction: Direction, purpose: str) -> None:
        """Raise ConfigError if the model lacks a direction, or one of both."""
        if self.config.direction in (direction, "both"):
            return
        other = "" if direction == "both" else f"--direction {direction} or "
        raise ConfigError(
            f"{purpose} needs a model of direction {direction} or both; "
            f"this one is {self.config.direction}",
            hint=None if self.config.task == "pairs" else f"train one with {other}--direction both",
        )

    def generate(self, seed: str = "", **options: Any) -> str:
        """Return text that continues `seed`, or an example; the options are those of `stream`."""
        return "".join(self.stream(seed, **options))

    def stream(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        rng_seed: RandomSeed = None,
        **settings: Any,
    ) -> Iterator[str]:
        """Return an iterator over text that continues `seed`, piece by piece.

        Args:
            seed: The text to continue; not repeated. In a model of pairs, the source.
            ending: The text to generate before; not repeated. It needs a model that reads
                backward, and with a seed text one that reads both ways. The text is one piece.
            rng_seed: One or several numbers; the same ones give the same text. None takes new ones.
            **settings: Fields of `GenerationConfig`. The default of `temperature` is 0.8, of pairs
                0. That of `length` is 500; 100,000 if another setting stops the text, or its end.

        Raises:
            ConfigError: If a setting is out of its range, or the seed text or the ending contains
                a terminator.
            TypeError: If a setting does not exist.
        """
        if ending is None and not seed and self.config.direction == "backward":
            ending = ""
        if ending is None:
            return (piece.text for piece in self.pieces(seed, rng_seed=rng_seed, **settings))
        from charlm.inference.infilling import check_ending_config, fill, generate_before

        config = GenerationConfig.from_settings(settings)
        check_ending_config(config)
        numbers = rng_seed_of(rng_seed)
        if not seed:
            backward = self._generator(config, direction="backward")
            return iter([generate_before(backward, ending, numbers)])
        self._require("both", "a seed text with an ending")
        forward = self._generator(config)
        return iter([fill(forward, self.runtime("backward"), seed, ending, numbers)])

    def pieces(
        self,
        seed: str = "",
        *,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **settings: Any,
    ) -> Iterator[Piece]:
        """Return an iterator over the pieces of `stream` with their finish reason.

        With `is_scored`, a piece has −ln p of each of its characters.
        """
        config = self._generation_config(settings)
        forward = self._generator(config, is_scored=is_scored)
        return generate_pieces(forward, Continuation(forward, seed, rng_seed_of(rng_seed)))

    def generate_many(
        self, seeds: Iterable[str] = ("",), **options: Any
    ) -> Iterator[GeneratedText]:
        """Return an iterator over texts after each of `seeds`; see `generate_from_batches`."""
        return self.generate_from_batches([seeds], **options)

    def generate_from_batches(
        self,
        seed_batches: Iterable[Iterable[str]],
        *,
        candidate_filter: CandidateFilter = EVERY_TEXT,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **settings: Any,
    ) -> Iterator[GeneratedText]:
        """Return an iterator over texts that are generated side by side, in their order.

        A batch of seed texts is requested when no text is in progress, so it may wait for its
        source. Each text has its own random numbers. With `is_scored` −ln p of the texts is
        computed. Other settings are those of `stream`.

        Raises:
            ConfigError: As for `stream`, or if novel texts need a fingerprint that the model lacks.
        """
        config = self._generation_config(settings)
        if self.config.task == "pairs" and config.temperature == 0 and candidate_filter.count > 1:
            return generate_answers(self._generator(config), seed_batches, candidate_filter)
        forward = self._generator(config, is_scored=is_scored or candidate_filter.best_of > 1)
        numbers = rng_seed_of(rng_seed)
        texts = TextGenerator(forward, seed_batches, candidate_filter, numbers, self.fingerprints)
        return iter(texts)

    def top_tokens(self, seed: str = "") -> list[tuple[str | int | None, float]]:
        """Return all next tokens and their probabilities, the most probable first.

        A token is a text, a byte, or None for the end of an example.
        """
        return top_tokens(self._generator(GenerationConfig(temperature=1.0, seed_weight=0.0)), seed)

    def _generation_config(self, settings: Mapping[str, Any]) -> GenerationConfig:
        """Return the config of these settings, with defaults for the model's task."""
        if self.config.is_of_documents:
            settings = {"length": LENGTH_BESIDE_OTHERS, **settings}
        if self.config.task == "pairs":
            settings = {"temperature": 0.0, **settings}
        return GenerationConfig.from_settings(settings)

    def _generator(
        self,
        config: GenerationConfig,
        *,
        direction: SingleDirection = "forward",
        is_scored: bool = False,
    ) -> GeneratorSettings:
        self._require(direction, "a seed text" if direction == "forward" else "an ending")
        return GeneratorSettings(self.runtime(direction), self.tokenizer, config, is_scored)

    def score(
        self, text: str, *, direction: SingleDirection | None = None, name: str = "the text"
    ) -> "Score":
        """Return the score of `text`: its negative log-likelihood under the model.

        A model of lines or pairs reads each line from the zero state, and predicts its end.

        Raises:
            CorpusError: If the model is of pairs and a line of `name` is not a pair.
        """
        from charlm.inference.scoring import score_text

        return score_text(self.runtime(direction), self.tokenizer, text, name=name)

    def score_lines(
        self, lines: Iterable[str], *, carry: bool = False, direction: SingleDirection | None = None
    ) -> "Iterator[Score]":
        """Return an iterator over the scores of lines, with or without ends, in their order.

        Each line is read alone and its end is predicted; a model of running text reads it after a
        line end. An empty line has score 0. With `carry` the recurrent state is carried from line
        to line, so that the scores add up to the score of the text. Then a line end is scored only
        if it is present.

        Raises:
            ConfigError: If the state of the model cannot be carried.
            CorpusError: If the model is of pairs and a line is not a pair.
            ValueError: If a line holds a line end before its own.
            TypeError: If `lines` is one text.
        """
        from charlm.inference.line_scores import batches_of

        if isinstance(lines, str):
            raise TypeError("lines are several texts, not one")
        batches = batches_of(lines)
        scores = self.score_batches(batches, carry=carry, direction=direction)
        return (score for batch in scores for score in batch)

    def score_batches(
        self,
        batches: Iterable[Sequence[str]],
        *,
        carry: bool = False,
        context: str = "",
        direction: SingleDirection | None = None,
        name: str = "the text",
    ) -> "Iterator[list[Score]]":
        """Return an iterator over the scores of the lines of each batch, as for `score_lines`.

        A batch is requested after the one before is scored, so it may wait for its source. With a
        `context`, which is read before each line and not scored, ends of running text are not, too.
        """
        from charlm.inference.line_scores import score_batches, score_stream

        network = self.runtime(direction)
        if not carry:
            return score_batches(network, self.tokenizer, batches, context=context, name=name)
        return score_stream(network, self.tokenizer, batches)

    def score_tokens(
        self,
        text: str,
        *,
        top_tokens: int = 1,
        context: str = "",
        direction: SingleDirection | None = None,
        name: str = "the text",
    ) -> "TokenScores":
        """Return the score of each token of `text`, with the `top_tokens` likeliest tokens there.

        The `context` is read first and not scored. Errors are those of `score`.
        """
        from charlm.inference.token_scores import score_tokens

        require_whole("top_tokens", top_tokens, 1)
        network = self.runtime(direction)
        return score_tokens(
            network, self.tokenizer, text, top_tokens=top_tokens, context=context, name=name
        )

    def percentile(self, bits_per_character: float) -> float:
        """Return the percentage of held-out lines with a lower score, in [0, 100].

        Held-out lines were read alone in the model's own direction.

        Raises:
            ConfigError: If the model holds no scores of held-out lines.
        """
        from charlm.inference.line_scores import percentile

        return percentile(self.line_scores, bits_per_character)

    def in_unit(self, score: "Score", unit: ScoreUnit) -> float:
        """Return a score in `unit`; see `percentile` for that one."""
        if unit == "percentile":
            return self.percentile(score.bits_per_character)
        return float(getattr(score, unit))

    def share_in_training_text(self, text: str) -> float:
        """Return the estimated share of `text` that is in the training text, in [0, 1].

        Held-out text counts as training text. A model without fingerprints returns 0.
        """
        return share_in_training_texts(self.fingerprints, masked(text, self.config.mask))

    def pseudo_score(self, text: str) -> "PseudoScore":
        """Return the pseudo-likelihood of `text`: each token is predicted from both sides."""
        from charlm.inference.bidirectional import pseudo_score

        self._require("both", "a pseudo-likelihood")
        networks = self.runtime("forward"), self.runtime("backward")
        return pseudo_score(*networks, self.tokenizer, text)

    def mixed(self, other: "Model", share: float = 0.5) -> "Model":
        """Return a mixture: the mean of two models' probabilities, with weights share, 1 − share.

        Raises:
            ConfigError: If the tokenizers, the tasks or the masks differ.
        """
        require("mix", share, at_least=0, at_most=1)
        check_mixable(self.tokenizer, self.config, other.tokenizer, other.config)
        mixed = copy.copy(self)
        mixed.checkpoint = None
        mixture = Mixture(self.runtime("forward"), other.runtime("forward"), share)
        mixed.config = mixture.config
        mixed._runtimes = {"forward": mixture}
        mixed.fingerprints = union(self.fingerprints, other.fingerprints)
        mixed.line_scores = np.empty(0, np.float32)
        return mixed


def load(path: str | PathLike[str]) -> Model:
    """Return the model in the file at `path`.

    Raises:
        CheckpointError: If the file is missing, damaged, or no model of charlm.
    """
    return Model(Checkpoint.load(Path(path)))
