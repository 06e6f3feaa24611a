"""The half of a model that speaks."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Unpack

import numpy as np

from charlm.config import Limits, OneWay, SamplingConfig, Selection, Speech, configs_of
from charlm.errors import ConfigError
from charlm.inference.generation import speak, whole
from charlm.inference.rows import Continuation, LeadUp, RngSeed, Voice
from charlm.inference.sampling import next_token_probabilities
from charlm.inference.selection import Text, Texts
from charlm.inference.stopping import Reason
from charlm.inference.trained import Trained

RandomSeed = int | tuple[int, ...] | None
EVERY_TEXT = Selection()


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


class Speaker(Trained):
    """Speaks: text that continues another, or leads up to it."""

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
        selection: Selection = EVERY_TEXT,
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
        lots = [seeds]
        return self.texts_of_lots(
            lots, selection=selection, rng_seed=rng_seed, is_scored=is_scored, **speech
        )

    def texts_of_lots(
        self,
        lots: Iterable[Iterable[str]],
        *,
        selection: Selection = EVERY_TEXT,
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
        return iter(Texts(voice, lots, selection, _rng_seed(rng_seed), is_known=self.knows))

    def knows(self, seed: str, text: str) -> bool:
        """Return whether a continuation stands in the training text.

        Of a running text, a long passage of it does; of lines and pairs, the whole line.
        """
        if self.config.form == "lines":
            text = seed + text
        elif self.config.form == "pairs":
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
        direction: OneWay,
        what: str,
        sampling: SamplingConfig,
        limits: Limits,
        *,
        is_scored: bool = False,
    ) -> Voice:
        """Return what speaks in a direction, which `what` needs."""
        self._require(direction, what)
        return Voice(self.runtime(direction), self.tokenizer, sampling, limits, is_scored)


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
