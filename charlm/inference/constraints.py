"""Which tokens may come next: allowed characters, lines of bounded width, few repetitions.

Excluded tokens get a logit of −∞, so they are never drawn and no text has to be generated again.
"""

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.config import GenerationConfig
from charlm.inference.runtime import log_softmax
from charlm.tokenizers import Tokenizer
from charlm.tokenizers.base import utf8

Mask = NDArray[np.bool_]  # shape (outputs,)

FIRST_BYTES = {*range(0x80), *range(0xC2, 0xF5)}  # of a character in UTF-8
CONTINUING_BYTES = range(0x80, 0xC0)
# First bytes after which the second byte has a smaller range (RFC 3629, section 4).
SECOND_BYTES = {
    0xE0: range(0xA0, 0xC0),
    0xED: range(0x80, 0xA0),
    0xF0: range(0x90, 0xC0),
    0xF4: range(0x80, 0x90),
}
LARGEST_PENALTY = 1e30  # keeps logits finite
MOST_NGRAMS = 10_000  # kept, so that the memory of an endless text is bounded


class TokenHistory:
    """The tokens of one text, as far as constraints on the next token need them."""

    def __init__(self, config: GenerationConfig) -> None:
        self.partial = b""  # the bytes of an incomplete character
        self.column = 0  # characters in the current line
        self.recent: deque[int] = deque(maxlen=config.repetition_window)  # the last tokens
        self._ngram_size = config.no_repeat_ngram
        self._context: deque[int] = deque(maxlen=max(0, config.no_repeat_ngram - 1))
        self._following: dict[tuple[int, ...], Counter[int]] = {}  # context → next tokens
        self._ngrams: deque[tuple[tuple[int, ...], int]] = deque()  # the oldest first

    def push(self, token: int, piece: str | int) -> None:
        """Append a token; `piece` is its text or byte."""
        self.recent.append(token)
        if isinstance(piece, str):
            self.partial = b""
            _, newline, line = piece.rpartition("\n")
            self.column = len(line) + (0 if newline else self.column)
        else:
            self.partial += bytes([piece])
            if piece not in CONTINUING_BYTES:
                self.column = 0 if piece == ord("\n") else self.column + 1
            if len(self.partial) == _character_size(self.partial[0]):
                self.partial = b""
        if self._ngram_size:
            if len(self._context) == self._ngram_size - 1:
                self._push_ngram(tuple(self._context), token)
            self._context.append(token)

    def repeating(self) -> Sequence[int]:
        """Return the tokens that would repeat an n-gram."""
        if not self._ngram_size or len(self._context) < self._ngram_size - 1:
            return ()
        return list(self._following.get(tuple(self._context), ()))

    def _push_ngram(self, context: tuple[int, ...], token: int) -> None:
        self._following.setdefault(context, Counter())[token] += 1
        self._ngrams.append((context, token))
        if len(self._ngrams) > MOST_NGRAMS:
            context, token = self._ngrams.popleft()
            following = self._following[context]
            following[token] -= 1
            if not following[token]:
                del following[token]
            if not following:
                del self._following[context]


class LogitsProcessors:
    """The constraints and penalties of a config, applied to the logits of the next token."""

    def __init__(self, config: GenerationConfig, tokenizer: Tokenizer, outputs: int) -> None:
        self._penalty = min(config.repetition_penalty, LARGEST_PENALTY)
        self._characters: _CharacterMasks | None = None
        if config.has_constraints:  # a width counts characters, so bytes must form valid ones
            self._characters = _CharacterMasks(
                tokenizer, outputs, config.allow_chars, config.forbid_chars
            )
        self._width: _WidthMasks | None = None
        if config.max_width is not None:
            self._width = _WidthMasks(tokenizer, outputs, config.max_width)
        has_penalty = config.repetition_penalty != 1 or config.no_repeat_ngram > 0
        self.are_needed = self._characters is not None or has_penalty

    def allows(self, character: str) -> bool:
        """Return whether a text may contain a character."""
        return self._characters is None or self._characters.allows(character)

    def apply(self, logits: NDArray[np.floating], history: TokenHistory) -> None:
        """Exclude or penalise tokens after `history`, in place; shape of logits (outputs,).

        The repetition penalty raises a probability to its power. Keskar et al. 2019
        (https://arxiv.org/abs/1909.05858) divide the logit, but only differences of logits have a
        meaning.
        """
        logits[list(history.repeating())] = -np.inf
        if self._characters is not None:
            logits[~self._characters.after(history.partial)] = -np.inf
        if self._width is not None and not history.partial:
            logits[~self._width.after(history.column)] = -np.inf
        if self._penalty != 1 and history.recent and np.isfinite(logits.max()):
            logits[:] = log_softmax(logits)
            recent = list(set(history.recent))
            penalised = logits[recent].astype(np.float64) * self._penalty
            logits[recent] = np.maximum(penalised, np.finfo(np.float32).min)


class _CharacterMasks:
    """Which tokens continue a text of allowed characters.

    A byte token may follow only where it continues, or begins, an allowed character. An incomplete
    character must be completed.
    """

    def __init__(
        self, tokenizer: Tokenizer, outputs: int, allowed: str | None, forbidden: str
    ) -> None:
        self._pieces, self._outputs = tokenizer.pieces, outputs
        self._forbidden = set(forbidden)
        self._allowed = None if allowed is None else set(allowed) - self._forbidden
        listed = map(utf8, self._forbidden if self._allowed is None else self._allowed)
        # How many of the listed characters begin with these bytes.
        self._prefixes = Counter(
            encoded[:size] for encoded in listed for size in range(1, len(encoded) + 1)
        )
        self._masks: dict[bytes, Mask] = {}

    def after(self, partial: bytes) -> Mask:
        """Return which outputs may follow the bytes of an incomplete character, or no bytes."""
        if partial not in self._masks:
            next_bytes = {byte for byte in range(256) if self._is_prefix(partial + bytes([byte]))}
            mask = np.full(self._outputs, not partial)  # True: the end of an example
            mask[: len(self._pieces)] = [
                piece in next_bytes
                if isinstance(piece, int)
                else not partial and all(map(self.allows, piece))
                for piece in self._pieces
            ]
            self._masks[partial] = mask
        return self._masks[partial]

    def allows(self, character: str) -> bool:
        if self._allowed is not None:
            return character in self._allowed
        return character not in self._forbidden

    def _is_prefix(self, encoded: bytes) -> bool:
        """Return whether an allowed character begins with, or is, these bytes."""
        if self._allowed is not None:
            return self._prefixes[encoded] > 0
        return self._prefixes[encoded] < _count_characters(encoded)


class _WidthMasks:
    """Which tokens keep lines within a width, in characters."""

    def __init__(self, tokenizer: Tokenizer, outputs: int, width: int) -> None:
        self._width = width
        lines = [_line_lengths(piece) for piece in tokenizer.pieces]
        lines += [[0]] * (outputs - len(lines))  # the end of an example
        self._first = np.array([lengths[0] for lengths in lines])
        self._longest = np.array([max(lengths) for lengths in lines])

    def after(self, column: int) -> Mask:
        """Return which outputs may follow in a line of `column` characters."""
        room = max(0, self._width - column)  # a seed text may be wider
        mask: Mask = (self._first <= room) & (self._longest <= self._width)
        return mask


def _line_lengths(piece: str | int) -> list[int]:
    """Return the length of each line of a piece, in characters; a byte counts as one."""
    if isinstance(piece, int):
        return [0, 0] if piece == ord("\n") else [1]
    return [len(line) for line in piece.split("\n")]


def _character_size(first: int) -> int:
    """Return the size in bytes of a UTF-8 character with this first byte."""
    return 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)


def _count_characters(prefix: bytes) -> int:
    """Return the number of UTF-8 characters that begin with these bytes."""
    first, *rest = prefix
    second = SECOND_BYTES.get(first, CONTINUING_BYTES)
    if first not in FIRST_BYTES or any(
        byte not in (CONTINUING_BYTES if index else second) for index, byte in enumerate(rest)
    ):
        return 0
    size = _character_size(first)
    if len(prefix) > 1 or size == 1:
        return 1 << 6 * (size - len(prefix))  # each continuing byte holds six bits
    return len(second) << 6 * (size - 2)
