"""Texts as they are made, token by token: what they have read, what they show, why they end."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from charlm.config import LARGE_VOCABULARIES, TERMINATORS, Limits, SamplingConfig, Task
from charlm.errors import ConfigError
from charlm.formatting import visible
from charlm.inference.constraints import Rules, Said
from charlm.inference.runtime import Floats, Network
from charlm.inference.stopping import Reason, Stopper
from charlm.tokenizers import StreamDecoder, Tokenizer

UNIFORMS_AT_ONCE = 64
MOST_CONTINUING = 3  # bytes 10xxxxxx that continue a character of UTF-8

# As many numbers as needed; zeros at the end make no difference to NumPy, so that a text by itself
# is the first try of the first of many.
RngSeed = tuple[int, ...]


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how.

    Attributes:
        network: What predicts.
        tokenizer: The tokenizer that it was trained with.
        sampling: What is drawn.
        limits: Where a text stops.
        is_scored: Whether to tell how surprising the texts are, which takes time.
    """

    network: Network
    tokenizer: Tokenizer
    sampling: SamplingConfig
    limits: Limits
    is_scored: bool = False

    @cached_property
    def rules(self) -> Rules:
        """What may be said."""
        outputs = self.network.config.outputs(self.tokenizer.vocab_size)
        return Rules(self.sampling, self.tokenizer, outputs)

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an item.

        What was replaced by boundaries has hardly any probability, and would break a line in two.
        """
        breaks = TERMINATORS[self.network.config.task].encode()
        return frozenset({self.tokenizer.boundary_id, *breaks})

    @cached_property
    def begins_with_space(self) -> NDArray[np.bool_]:
        """Which outputs are a space or begin with one, shape (outputs,)."""
        found = np.zeros(self.network.config.outputs(self.tokenizer.vocab_size), dtype=np.bool_)
        for token, piece in enumerate(self.tokenizer.pieces):
            found[token] = piece == ord(" ") or str(piece).startswith(" ")
        return found


class Row(ABC):
    """A text as it is made, beside others.

    Attributes:
        unread: What the network still has to read before more can be drawn.
        tokens: Number of those drawn.
        nats: −ln p of these, summed, without temperature and constraints; 0 if not scored.
    """

    def __init__(self, voice: Voice, rng_seed: RngSeed | None) -> None:
        self.unread: deque[int] = deque()
        self.tokens, self.nats = 0, 0.0
        self._voice = voice
        self._uniforms = _uniforms(rng_seed)
        self._said = Said(voice.sampling)
        self._is_wary, self._ends = voice.rules.are_needed, voice.ends

    @property
    @abstractmethod
    def reason(self) -> Reason | None:
        """Why the text is over; None while it is not."""

    @abstractmethod
    def _show(self, token: int, nats: float) -> str:
        """Return what is to be shown now that a token has come."""

    @abstractmethod
    def _finish(self, reason: Reason) -> str:
        """End, and return what is still to be shown."""

    def take(self, token: int, nats: float) -> str:
        """Go on with a token of this −ln p, and return what is to be shown."""
        self.tokens += 1
        self.nats += nats
        if token in self._ends:
            return self._finish("end")
        self.unread.append(token)
        self._note(token)
        return self._show(token, nats)

    def give_up(self) -> str:
        """End because nothing can be said any more, and return what is still to be shown."""
        return self._finish("dead end")

    @property
    def is_restricted(self) -> bool:
        """Whether there is anything that may not or should not come next."""
        return self._is_wary

    def restrict(self, logits: Floats) -> None:
        """Lower the logits of what may not or should not come next, shape (outputs,)."""
        if self._is_wary:
            self._voice.rules.apply(logits, self._said)

    def uniform(self) -> float:
        """Return the next random number in [0, 1)."""
        return next(self._uniforms)

    def _read(self, *tokens: int) -> None:
        """Let the network read what stands before the text; the first is the boundary."""
        self.unread.extend(tokens)
        for token in tokens[1:]:
            self._note(token)

    def _note(self, token: int) -> None:
        """Remember what was said, if anything follows from it."""
        if self._is_wary and token < self._voice.tokenizer.vocab_size:
            self._said.push(token, self._voice.tokenizer.pieces[token])


class Continuation(Row):
    """A text that continues a seed text, which is read first and not repeated.

    "" starts a text from nothing. To a model of pairs it is the source, and what comes the target.

    Attributes:
        shown_nats: −ln p of each character that `take` has returned, not yet asked for; those of a
            token have equal parts. Kept if the voice is scored.
    """

    def __init__(self, voice: Voice, seed: str, rng_seed: RngSeed | None) -> None:
        super().__init__(voice, rng_seed)
        task, tokenizer = voice.network.config.task, voice.tokenizer
        check_example(seed, task, "seed text")
        # A word has the space before it in its token, so a space at the end is left to the first.
        self._is_open = (
            seed.endswith(" ")
            and task != "pairs"
            and tokenizer.kind in LARGE_VOCABULARIES
            and voice.rules.allows(" ")
        )
        self._is_empty = task == "lines" and not seed  # such a line is none: nothing learns from it
        read = tokenizer.encode(seed.removesuffix(" ") if self._is_open else seed)
        boundary = tokenizer.boundary_id
        self._read(boundary, *read.tolist())
        if task == "pairs":
            self._said = Said(voice.sampling)
            self._read(boundary)
        self._decoder, self._stopper = StreamDecoder(tokenizer), Stopper(voice.limits)
        self._unshown: deque[float] = deque()
        self._unshared = 0.0  # nats of bytes that are no character yet
        self.shown_nats: list[float] = []

    @property
    def reason(self) -> Reason | None:
        """Why the text is over; None while it is not."""
        return self._stopper.reason

    @property
    def is_restricted(self) -> bool:
        """Whether there is anything that may not or should not come next."""
        return self._is_wary or self._is_open or self._is_empty

    def restrict(self, logits: Floats) -> None:
        """Lower the logits of what may not or should not come next, shape (outputs,)."""
        super().restrict(logits)
        if self._is_empty:
            logits[list(self._voice.ends)] = -np.inf
        if self._is_open:
            logits[~self._voice.begins_with_space] = -np.inf

    def _show(self, token: int, nats: float) -> str:
        self._is_empty = False
        text = self._decoder.push(token)
        if self._is_open:
            text, self._is_open = text.removeprefix(" "), False
        return self._push(text, nats)

    def _finish(self, reason: Reason) -> str:
        rest = self._decoder.finish()
        if reason == "dead end" and self._voice.sampling.restricts:
            rest = ""  # bytes that may not be spelled to an end
        return self._push(rest, 0.0) + self._share_out(self._stopper.finish(reason))

    def _push(self, text: str, nats: float) -> str:
        """Return what is to be shown now that `text` has come."""
        if not self._voice.is_scored:
            return self._stopper.push(text)
        self._unshared += nats
        if text:
            self._unshown.extend([self._unshared / len(text)] * len(text))
            self._unshared = 0.0
        return self._share_out(self._stopper.push(text))

    def _share_out(self, shown: str) -> str:
        """Note what the characters that are shown now have cost, and return them."""
        if self._voice.is_scored:
            self.shown_nats += [self._unshown.popleft() for _ in shown]
        return shown


class LeadUp(Row):
    """A text that leads up to an ending, read from its end; it is shown when it is whole.

    Of the limits only the length counts, and of what may be said no character is excluded.
    """

    def __init__(self, voice: Voice, ending: str, rng_seed: RngSeed | None) -> None:
        super().__init__(voice, rng_seed)
        check_example(ending, voice.network.config.task, "ending")
        tokenizer = voice.tokenizer
        self._read(tokenizer.boundary_id, *tokenizer.encode(ending)[::-1].tolist())
        self._drawn: list[int] = []
        # Bytes that continue a character which has not begun yet.
        self._characters = self._continuing = 0
        self._reason: Reason | None = "length" if voice.limits.length == 0 else None

    @property
    def reason(self) -> Reason | None:
        """Why the text is over; None while it is not."""
        return self._reason

    def _show(self, token: int, nats: float) -> str:
        del nats
        self._drawn.append(token)
        piece = self._voice.tokenizer.pieces[token]
        if isinstance(piece, int) and piece >> 6 == 0b10:
            self._continuing += 1
            # A byte too many is a character, U+FFFD.
            self._characters += self._continuing > MOST_CONTINUING
        else:
            self._characters += len(piece) if isinstance(piece, str) else 1
            self._continuing = 0
        length = self._voice.limits.length
        return self._finish("length") if length and self._characters >= length else ""

    def _finish(self, reason: Reason) -> str:
        self._reason = reason
        decoder = StreamDecoder(self._voice.tokenizer)
        text = "".join([*map(decoder.push, reversed(self._drawn)), decoder.finish()])
        return text[max(0, len(text) - (self._voice.limits.length or len(text))) :]


def _uniforms(rng_seed: RngSeed | None) -> Iterator[float]:
    """Yield random numbers in [0, 1), drawn some at a time, which is faster."""
    generator = np.random.default_rng(rng_seed)
    while True:
        yield from generator.random(UNIFORMS_AT_ONCE).tolist()


def check_example(text: str, task: Task, name: str) -> None:
    """Raise ConfigError if `text`, which messages call `name`, holds what ends an item."""
    held = set(text) & set(TERMINATORS[task])
    if held:
        what = "a line end" if "\n" in held else "a tab"
        raise ConfigError(
            f"the {name} {visible(text[:40])!r} holds {what}, "
            f"which no item of a model of {task} can hold"
        )
