"""What the commands and other programs hold in their hands: a model that speaks and judges."""

import copy
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import (
    CandidateFilter,
    Direction,
    Limits,
    ModelConfig,
    SamplingConfig,
    ScoreUnit,
    SingleDirection,
    Speech,
    configs_of,
)
from charlm.config.checks import require, require_whole
from charlm.errors import ConfigError
from charlm.fingerprint import joined
from charlm.inference.candidates import Text, Texts
from charlm.inference.generation import speak, whole
from charlm.inference.mixture import Mixture
from charlm.inference.runtime import Network, Runtime
from charlm.inference.sampling import next_token_probabilities
from charlm.inference.sequences import Continuation, LeadUp, RngSeed, Voice
from charlm.inference.stopping import Reason
from charlm.tokenizers import Tokenizer

if TYPE_CHECKING:
    from charlm.inference.bidirectional import PseudoScore
    from charlm.inference.scoring import Score
    from charlm.inference.token_scores import TokenScores

RandomSeed = int | tuple[int, ...] | None
EVERY_TEXT = CandidateFilter()


class Piece(NamedTuple):
    """A piece of a text, as it is made.

    Attributes:
        text: What is new.
        nats: −ln p of each of its characters, as the model itself has it, whatever is drawn from;
            the characters of a token have equal parts. Empty if it was not asked for.
        reason: Why the text ends with it; None of all pieces but the last.
    """

    text: str
    nats: Sequence[float]
    reason: Reason | None


class Model:
    """A trained model.

    >>> model = charlm.load("model.safetensors")                         # doctest: +SKIP
    >>> model.generate("This is", length=40, temperature=0)              # doctest: +SKIP
    ' the tale of the second stone, and the to'
    >>> model.score("This is the tale").bits_per_character               # doctest: +SKIP
    1.13
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
            for_direction = checkpoint.for_direction(direction)
            self._runtimes[direction] = Runtime(for_direction.config, for_direction.arrays)

    def runtime(self, direction: SingleDirection | None = None) -> Network:
        """Return the network that reads in `direction`.

        Args:
            direction: None takes the model's own; of a model of both directions, forward.

        Raises:
            ConfigError: If the model lacks the direction.
        """
        direction = direction or self.config.directions[0]
        self._require(direction, f"reading {direction}")
        return self._runtimes[direction]

    def single_direction(self, direction: SingleDirection | None = None) -> Checkpoint:
        """Return the network that reads in `direction`, as a checkpoint of its own.

        Args:
            direction: As for `runtime`.

        Raises:
            ConfigError: If the model lacks the direction.
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
            f"{purpose} needs a model that reads "
            f"{'both ways' if direction == 'both' else direction}; this one reads "
            f"{self.config.direction} only",
            hint=None if self.config.task == "pairs" else f"train one with {other}--direction both",
        )

    def generate(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        rng_seed: RandomSeed = None,
        **speech: Unpack[Speech],
    ) -> str:
        """Return text that continues `seed`, or an item; see `stream`."""
        return "".join(self.stream(seed, ending=ending, rng_seed=rng_seed, **speech))

    def stream(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        rng_seed: RandomSeed = None,
        **speech: Unpack[Speech],
    ) -> Iterator[str]:
        """Return an iterator over text that continues `seed`, piece by piece as it is made.

        Args:
            seed: The text to continue; it is not repeated. To a model of pairs, the source.
            ending: The text to lead up to; it is not repeated. This takes a model of the backward
                direction, and with a seed one of both. The text comes in one piece.
            rng_seed: A number or several; the same give the same text, None draws new ones.
            **speech: How to speak: the settings of `SamplingConfig` and `Limits`, by name.

        Raises:
            ConfigError: If a setting is out of its range, the seed or the ending holds what ends an
                item, or the model lacks the direction.
        """
        sampling, limits = configs_of(speech)
        if ending is None and not seed and self.config.direction == "backward":
            ending = ""
        if ending is None:
            pieces = self.pieces(seed, rng_seed=rng_seed, **speech)
            return (piece.text for piece in pieces)
        if sampling.restricts or not limits.is_length_alone or limits.length is None:
            raise ConfigError(
                "a text that leads up to an ending has a length and no other bounds",
                hint="leave out the ending, or what bounds the text beside the length",
            )
        numbers = _rng_seed(rng_seed)
        if not seed:
            from_end = self._voice("backward", "an ending", sampling, limits)
            return iter(whole(from_end, [LeadUp(from_end, ending, numbers)]))
        from charlm.inference.infilling import fill

        self._require("both", "a seed text with an ending")
        voice = self._voice("forward", "a seed text", sampling, limits)
        backward = self.runtime("backward")
        return iter([fill(voice, backward, seed=seed, ending=ending, rng_seed=numbers)])

    def pieces(
        self,
        seed: str = "",
        *,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **speech: Unpack[Speech],
    ) -> Iterator[Piece]:
        """Return an iterator over the pieces that `stream` yields, and what is known of them.

        Args:
            seed: As for `stream`.
            rng_seed: As for `stream`.
            is_scored: Whether to tell how surprising the characters are.
            **speech: As for `stream`.
        """
        voice = self._voice("forward", "a seed text", *configs_of(speech), is_scored=is_scored)
        row = Continuation(voice, seed, _rng_seed(rng_seed))
        return _shown(voice, row)

    def texts(
        self,
        seeds: Iterable[str] = ("",),
        *,
        selection: CandidateFilter = EVERY_TEXT,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **speech: Unpack[Speech],
    ) -> Iterator[Text]:
        """Return an iterator over whole texts, which are made side by side, in their order.

        Args:
            seeds: The texts to continue.
            selection: How many of each, and which are kept.
            rng_seed: As for `stream`; each text has random numbers of its own.
            is_scored: Whether to tell how surprising they are.
            **speech: As for `stream`.

        Raises:
            ConfigError: As `stream` does; or if new texts are wanted of a model without a
                fingerprint of what it has learnt.
        """
        batches = [seeds]
        return self.generate_from_batches(
            batches, selection=selection, rng_seed=rng_seed, is_scored=is_scored, **speech
        )

    def generate_from_batches(
        self,
        batches: Iterable[Iterable[str]],
        *,
        selection: CandidateFilter = EVERY_TEXT,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **speech: Unpack[Speech],
    ) -> Iterator[Text]:
        """Return what `texts` does, of seed texts that come in lots.

        The next lot is asked for when nothing else is to be done, so it may wait for its source.
        """
        if selection.novel and not self.fingerprints:
            raise ConfigError(
                "the model holds no fingerprint of what it learnt, so it cannot tell what is new",
                hint="train it again: every model that this version trains holds one",
            )
        is_scored = is_scored or selection.best_of > 1
        voice = self._voice("forward", "a seed text", *configs_of(speech), is_scored=is_scored)
        return iter(
            Texts(voice, batches, selection, _rng_seed(rng_seed), is_known=self.is_in_training_text)
        )

    def is_in_training_text(self, seed: str, text: str) -> bool:
        """Return whether a continuation stands in the training text.

        Of a running text, a long passage of it does; of lines and pairs, the whole line.
        """
        if self.config.task == "lines":
            text = seed + text
        elif self.config.task == "pairs":
            text = f"{seed}\t{text}"
        return any(each.holds(text) for each in self.fingerprints)

    def choices(self, seed: str = "") -> list[tuple[str | int | None, float]]:
        """Return all next tokens and their probabilities, the likeliest first.

        A token is a text, a byte that spells one, or None for the end of an item.
        """
        voice = self._voice("forward", "a seed text", SamplingConfig(temperature=1.0), Limits())
        row = Continuation(voice, seed, (0,))
        state = voice.network.zero_state(1)
        for token in row.unread:
            features, state = voice.network.step(np.array([token]), state)
        logits = voice.network.logits(features)[0]
        row.restrict(logits)
        probabilities = next_token_probabilities(logits, voice.sampling)
        pieces = [*self.tokenizer.pieces, None]
        order = np.argsort(-probabilities, kind="stable").tolist()
        return [(pieces[token], float(probabilities[token])) for token in order]

    def _voice(
        self,
        direction: SingleDirection,
        what: str,
        sampling: SamplingConfig,
        limits: Limits,
        *,
        is_scored: bool = False,
    ) -> Voice:
        """Return what speaks in a direction, which `what` needs."""
        self._require(direction, what)
        return Voice(self.runtime(direction), self.tokenizer, sampling, limits, is_scored)

    def score(
        self, text: str, *, direction: SingleDirection | None = None, name: str = "the text"
    ) -> "Score":
        """Return the score of `text`: its negative log-likelihood under the model.

        A model of lines or pairs reads each line from the zero state, and predicts its end.

        Args:
            text: To score.
            direction: As for `runtime`.
            name: The text's name in error messages.

        Raises:
            ConfigError: If the model lacks the direction.
            CorpusError: If the model is of pairs and a line is not a pair.
        """
        from charlm.inference.scoring import score_text

        return score_text(self.runtime(direction), self.tokenizer, text, name=name)

    def score_lines(
        self, lines: Iterable[str], *, carry: bool = False, direction: SingleDirection | None = None
    ) -> "Iterator[Score]":
        """Return an iterator over the scores of lines, in their order.

        Lines are scored in batches of 1, 2, 4 … 4,096.

        Args:
            lines: With or without their ends. Each is read alone and its end is predicted; a model
                of running text reads it after a line end. An empty line has score 0.
            carry: Whether the recurrent state is carried from line to line, so that the scores add
                up to the score of the text. Then a line end is scored only if it is present.
            direction: As for `runtime`.

        Raises:
            ConfigError: If the model lacks the direction, or its state cannot be carried.
            CorpusError: If the model is of pairs and a line is not a pair.
            ValueError: If a line holds a line end before its own.
            TypeError: If `lines` is one text.
        """
        from charlm.inference.line_scores import batches_of

        if isinstance(lines, str):
            raise TypeError("lines are several texts, not one")
        batches = batches_of(lines, carry=carry)
        scores = self.score_batches(batches, carry=carry, direction=direction)
        return (score for batch in scores for score in batch)

    def score_batches(
        self,
        batches: Iterable[Sequence[str]],
        *,
        carry: bool = False,
        direction: SingleDirection | None = None,
        name: str = "the text",
    ) -> "Iterator[list[Score]]":
        """Return an iterator over the scores of the lines of each batch; see `score_lines`.

        A batch is requested after the one before is scored, so it may wait for its source.
        """
        from charlm.inference.line_scores import check_carry, score_batches, score_stream

        network = self.runtime(direction)
        if not carry:
            return score_batches(network, self.tokenizer, batches, name=name)
        check_carry(network.config)
        return score_stream(network, self.tokenizer, batches)

    def score_tokens(
        self,
        text: str,
        *,
        top_tokens: int = 1,
        direction: SingleDirection | None = None,
        name: str = "the text",
    ) -> "TokenScores":
        """Return the score of each token of `text`, read as `score` reads it.

        Args:
            text: To score, at most 33,554,432 characters.
            top_tokens: Number of the likeliest tokens to return for each position, from 1.
            direction: As for `runtime`.
            name: The text's name in error messages.

        Raises:
            ConfigError: If the model lacks the direction.
            CorpusError: If the model is of pairs and a line is not a pair, or the text is too long.
        """
        from charlm.inference.token_scores import score_tokens

        require_whole("top_tokens", top_tokens, 1)
        network = self.runtime(direction)
        return score_tokens(network, self.tokenizer, text, top_tokens=top_tokens, name=name)

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
        value: float = getattr(score, unit)
        return value

    def share_in_training_text(self, text: str) -> float:
        """Return the estimated share of `text` that is in the training text, in [0, 1].

        Held-out text counts as training text. A model without fingerprints returns 0.
        """
        shares = (fingerprint.share_in_training_text(text) for fingerprint in self.fingerprints)
        return max(shares, default=0.0)

    def pseudo_score(self, text: str) -> "PseudoScore":
        """Return the pseudo-likelihood of `text`: each token is predicted from both sides.

        Raises:
            ConfigError: If the model lacks one of the directions.
        """
        from charlm.inference.bidirectional import pseudo_score

        self._require("both", "a pseudo-likelihood")
        networks = self.runtime("forward"), self.runtime("backward")
        return pseudo_score(*networks, self.tokenizer, text)

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
        if self.config.task != other.config.task:
            raise ConfigError(
                f"a model of {self.config.task} and one of {other.config.task} cannot be mixed"
            )
        mixed = copy.copy(self)
        mixed.checkpoint = None
        mixture = Mixture(self.runtime("forward"), other.runtime("forward"), share)
        mixed.config = mixture.config
        mixed._runtimes = {"forward": mixture}
        mixed.fingerprints = joined(self.fingerprints, other.fingerprints)
        mixed.line_scores = np.empty(0, np.float32)
        return mixed


def _rng_seed(given: RandomSeed) -> RngSeed:
    """Return the numbers that were given, or new ones."""
    if given is None:
        return (secrets.randbits(63),)
    return given if isinstance(given, tuple) else (given,)


def _shown(voice: Voice, row: Continuation) -> Iterator[Piece]:
    waiting = [row]
    for _, text in speak(voice, lambda _: waiting.pop() if waiting else None):
        nats, row.shown_nats = row.shown_nats, []
        yield Piece(text, nats, row.reason)


def load(path: str | PathLike[str]) -> Model:
    """Return the model in the file at `path`.

    Raises:
        CheckpointError: If the file is missing, damaged, or no model of charlm.
    """
    return Model(Checkpoint.load(Path(path)))
