"""One text during generation: the tokens to read, the characters to show, the finish reason."""

import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np

from charlm.config import TERMINATORS, GenerationConfig
from charlm.config.checks import require_type
from charlm.corpus.windows import prefix_of
from charlm.inference.constraints import LogitsProcessors, TokenHistory
from charlm.inference.runtime import Floats, Network
from charlm.inference.seed_counts import SHORTEST_SEED, SeedCounts
from charlm.inference.seed_texts import read_example
from charlm.inference.stopping import FinishReason, StoppingCriteria
from charlm.tokenizers import StreamDecoder, Tokenizer, UnfinishedText

UNIFORMS_AT_ONCE = 64
MOST_CONTINUING = 3  # bytes 10xxxxxx in a UTF-8 character

RandomSeed = int | tuple[int, ...] | None
# NumPy ignores zeros at the end. So the seed of a single text equals that of the first candidate of
# the first of several texts: (rng seed, text number, attempt).
RngSeed = tuple[int, ...]


def rng_seed_of(random_seed: RandomSeed) -> RngSeed:
    """Return the numbers of a random seed, or a new one for None.

    Raises:
        TypeError: If it is something else than whole numbers.
    """
    if random_seed is None:
        return (secrets.randbits(63),)
    numbers = random_seed if isinstance(random_seed, tuple) else (random_seed,)
    for number in numbers:
        require_type("rng_seed", number, Integral)  # NumPy's integers are welcome, too
    return numbers


@dataclass(frozen=True)
class GeneratorSettings:
    """What all texts of a call of `generate` share."""

    network: Network
    tokenizer: Tokenizer
    config: GenerationConfig
    is_scored: bool = False  # whether −ln p of the texts is computed, which takes time

    @property
    def outputs(self) -> int:
        """Number of tokens that the network predicts."""
        return self.network.config.outputs(self.tokenizer.vocab_size)

    @cached_property
    def processors(self) -> LogitsProcessors:
        """The constraints on the next token."""
        return LogitsProcessors(self.config, self.tokenizer, self.outputs)

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end an example: the boundary and the terminators.

        Training replaces terminators by boundaries, so the network rarely predicts a terminator. A
        terminator inside a text would split the line.
        """
        terminators = TERMINATORS[self.network.config.task].encode()
        return frozenset({self.tokenizer.boundary_id, *terminators})

    @cached_property
    def beginning(self) -> list[int]:
        """The tokens that are read before a text: a boundary and the prefix."""
        prefix = prefix_of(self.tokenizer, self.network.config)
        return [self.tokenizer.boundary_id, *([] if prefix is None else prefix.tolist())]

    def encode_unfinished(self, text: str) -> UnfinishedText:
        """Return the ids of a text that may go on with tokens which the constraints allow."""
        unfinished = self.tokenizer.encode_unfinished(text)
        if self.processors.are_needed:
            pieces = [str(self.tokenizer.pieces[token]) for token in unfinished.next_tokens]
            is_allowed = [all(map(self.processors.allows, piece)) for piece in pieces]
            if self.config.max_width is not None or not any(is_allowed):
                return UnfinishedText(self.tokenizer.encode(text), "", ())
        return unfinished


class GeneratedSequence(ABC):
    """One text during generation.

    Attributes:
        unread: Tokens that the network must read before the next token can be drawn.
        tokens: Number of tokens drawn.
        nats: −ln p of these, summed, without temperature and constraints; 0 if not scored.
        finish_reason: Why the text stopped; None while it goes on.
    """

    def __init__(self, settings: GeneratorSettings, rng_seed: RngSeed | None) -> None:
        self.unread: deque[int] = deque()
        self.tokens, self.nats = 0, 0.0
        self.finish_reason: FinishReason | None = "length" if settings.config.length == 0 else None
        self._settings = settings
        self._uniforms = _uniforms(rng_seed)
        self._history = TokenHistory(settings.config)
        self._has_processors = settings.processors.are_needed

    @abstractmethod
    def _show(self, token: int, nats: float) -> str:
        """Append a token to the text, and return the characters to show now."""

    @abstractmethod
    def finish(self, reason: FinishReason) -> str:
        """Stop, and return the characters that remain to be shown."""

    def append(self, token: int, nats: float) -> str:
        """Append a token with this −ln p, and return the characters to show now."""
        self.tokens += 1
        self.nats += nats
        if token in self._settings.end_tokens:
            return self.finish("end")
        self.unread.append(token)
        self._push_history(token)
        return self._show(token, nats)

    @property
    def needs_processing(self) -> bool:
        """Whether `require_given` or `process` can change logits."""
        return self._has_processors

    @abstractmethod
    def require_given(self, logits: Floats) -> None:
        """Exclude next tokens that contradict the text given, in place; shape (outputs,)."""

    def process(self, logits: Floats) -> None:
        """Exclude or penalise next tokens, in place; shape of logits (outputs,)."""
        if self._has_processors:
            self._settings.processors.apply(logits, self._history)

    def uniform(self) -> float:
        """Return the next random number in [0, 1)."""
        return next(self._uniforms)

    def _read(self, *tokens: int) -> None:
        """Let the network read tokens of the text that are given."""
        self.unread.extend(tokens)
        for token in tokens:
            self._push_history(token)

    def _read_beginning(self) -> None:
        """Let the network read what stands before a text: a boundary and the prefix."""
        self.unread.extend(self._settings.beginning)

    def _push_history(self, token: int) -> None:
        if self._has_processors and token < self._settings.tokenizer.vocab_size:
            self._history.push(token, self._settings.tokenizer.pieces[token])


class Continuation(GeneratedSequence):
    """A text after a seed text, which the network reads first.

    The seed text "" starts from nothing. In a model of pairs, the seed text is the source and the
    text is the target.

    Attributes:
        shown_nats: −ln p of each character that `append` returned since the list was cleared, if
            scored. The characters of a token have equal shares.
    """

    def __init__(
        self,
        settings: GeneratorSettings,
        seed: str,
        rng_seed: RngSeed | None,
        *,
        may_continue_word: bool = True,
    ) -> None:
        """Take the seed text.

        With `may_continue_word` its last token is not read if longer ones begin with it; the first
        token drawn must begin with it. So "Old Marr" may become "Old Marrow", and a space at the
        end is that of the next word.
        """
        super().__init__(settings, rng_seed)
        task, tokenizer = settings.network.config.task, settings.tokenizer
        seed = read_example(seed, settings.network.config, "seed text")
        ids, self._typed, self._next_tokens = (
            settings.encode_unfinished(seed)
            if may_continue_word and task != "pairs"
            else UnfinishedText(tokenizer.encode(seed), "", ())
        )
        # No training text has empty lines or empty documents.
        is_ended = settings.network.config.predicts_boundary and task != "pairs"
        self._is_empty = is_ended and not seed
        self._read_beginning()
        self._read(*ids.tolist())
        if task == "pairs" and not seed.strip():
            self.finish_reason = "end"  # a blank source has a blank answer
        if task == "pairs":
            self._history = TokenHistory(settings.config)
            self._read_beginning()
        self._seed_counts: SeedCounts | None = None
        if task == "text" and settings.config.seed_weight and len(ids) >= SHORTEST_SEED:
            self._seed_counts = SeedCounts(ids.tolist(), settings.config.seed_weight)
        self._decoder = StreamDecoder(tokenizer)
        self._stopping = StoppingCriteria(settings.config)
        self._held_nats: deque[float] = deque()  # of each character not shown yet
        self._partial_nats = 0.0  # of the bytes of an incomplete character
        self.shown_nats: list[float] = []

    @property
    def needs_processing(self) -> bool:
        """Whether `require_given` or `process` can change logits."""
        return (
            self._has_processors
            or self._typed != ""
            or self._is_empty
            or self._seed_counts is not None
        )

    def require_given(self, logits: Floats) -> None:
        """Exclude next tokens that contradict the text given, in place; shape (outputs,)."""
        if self._typed:
            allowed = logits[self._next_tokens]
            logits[:] = -np.inf
            logits[self._next_tokens] = allowed

    def process(self, logits: Floats) -> None:
        """Exclude, penalise or raise next tokens, in place; shape of logits (outputs,)."""
        if self._seed_counts is not None:
            self._seed_counts.apply(logits)
        super().process(logits)
        if self._is_empty:
            logits[list(self._settings.end_tokens)] = -np.inf

    def _show(self, token: int, nats: float) -> str:
        self._is_empty = False
        if self._seed_counts is not None:
            self._seed_counts.push(token)
        text = self._decoder.push(token)
        if self._typed:
            text, self._typed = text.removeprefix(self._typed), ""
        return self._push(text, nats)

    def finish(self, reason: FinishReason) -> str:
        """Stop, and return the characters that remain to be shown."""
        text = self._decoder.finish()
        if reason == "dead end" and self._settings.config.has_constraints:
            text = ""  # U+FFFD for an incomplete character, which may not be allowed
        return self._push(text, 0.0) + self._record(self._stopping.finish(reason))

    def _push(self, text: str, nats: float) -> str:
        """Append `text` with this −ln p, and return the characters to show now."""
        self._partial_nats += nats
        if text and self._settings.is_scored:
            self._held_nats.extend([self._partial_nats / len(text)] * len(text))
            self._partial_nats = 0.0
        return self._record(self._stopping.push(text))

    def _record(self, shown: str) -> str:
        """Return the characters to show, after recording their −ln p and the finish reason."""
        self.finish_reason = self._stopping.finish_reason
        if self._settings.is_scored:
            self.shown_nats += [self._held_nats.popleft() for _ in shown]
        return shown


class BackwardContinuation(GeneratedSequence):
    """A text before an ending, generated from its end; shown when it is complete.

    The length is the only stopping criterion, and no character is excluded.
    """

    def __init__(self, settings: GeneratorSettings, ending: str, rng_seed: RngSeed | None) -> None:
        super().__init__(settings, rng_seed)
        ending = read_example(ending, settings.network.config, "ending")
        tokenizer = settings.tokenizer
        self._read_beginning()
        self._read(*tokenizer.encode(ending)[::-1].tolist())
        self._drawn: list[int] = []
        self._characters = 0
        self._continuing = 0  # continuing bytes whose character has not begun yet

    def require_given(self, logits: Floats) -> None:
        """Exclude nothing: no token of the ending is taken back."""

    def _show(self, token: int, nats: float) -> str:
        del nats
        self._drawn.append(token)
        piece = self._settings.tokenizer.pieces[token]
        if isinstance(piece, int) and piece >> 6 == 0b10:
            self._continuing += 1
            # A superfluous byte decodes to a character of its own, U+FFFD.
            self._characters += self._continuing > MOST_CONTINUING
        else:
            self._characters += len(piece) if isinstance(piece, str) else 1
            self._continuing = 0
        length = self._settings.config.length
        return self.finish("length") if length and self._characters >= length else ""

    def finish(self, reason: FinishReason) -> str:
        """Stop, and return the whole text, cut at its beginning to the length."""
        self.finish_reason = reason
        decoder = StreamDecoder(self._settings.tokenizer)
        text = "".join([*map(decoder.push, reversed(self._drawn)), decoder.finish()])
        return text[max(0, len(text) - (self._settings.config.length or len(text))) :]


def _uniforms(rng_seed: RngSeed | None) -> Iterator[float]:
    """Yield random numbers in [0, 1), drawn several at a time, which is faster."""
    generator = np.random.default_rng(rng_seed)
    while True:
        yield from generator.random(UNIFORMS_AT_ONCE).tolist()
