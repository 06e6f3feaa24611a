"""What a text may say next: allowed characters, lines of bounded width, little said before."""

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.config import SamplingConfig
from charlm.inference.runtime import log_softmax
from charlm.tokenizers import Tokenizer
from charlm.tokenizers.base import utf8

Mask = NDArray[np.bool_]  # of the outputs, shape (outputs,)

FIRST_BYTES = {*range(0x80), *range(0xC2, 0xF5)}  # of a character of UTF-8
CONTINUING_BYTES = range(0x80, 0xC0)
# Where the second byte has a smaller range (RFC 3629, section 4).
SECOND_BYTES = {
    0xE0: range(0xA0, 0xC0),
    0xED: range(0x80, 0xA0),
    0xF0: range(0x90, 0xC0),
    0xF4: range(0x80, 0x90),
}
LARGEST_PENALTY = 1e30  # so that logits stay finite
NGRAM_MEMORY = 10_000  # tokens, so that a text without end needs no more


class Said:
    """What one text has said, as far as it decides what it may say next."""

    def __init__(self, config: SamplingConfig) -> None:
        self.begun = b""  # of a character that is spelled
        self.column = 0  # characters in the line so far
        self.recent: deque[int] = deque(maxlen=config.repetition_window)
        self._ngram = config.no_repeat_ngram
        self._last: deque[int] = deque(maxlen=max(0, config.no_repeat_ngram - 1))
        self._after: dict[tuple[int, ...], Counter[int]] = {}  # what followed what
        self._noted: deque[tuple[tuple[int, ...], int]] = deque()

    def push(self, token: int, piece: str | int) -> None:
        """Note a token and what it stands for."""
        self.recent.append(token)
        if isinstance(piece, str):
            self.begun = b""
            _, newline, line = piece.rpartition("\n")
            self.column = len(line) + (0 if newline else self.column)
        else:
            self.begun += bytes([piece])
            if piece not in CONTINUING_BYTES:
                self.column = 0 if piece == ord("\n") else self.column + 1
            if len(self.begun) == _length_of_character(self.begun[0]):
                self.begun = b""
        if self._ngram:
            if len(self._last) == self._ngram - 1:
                self._note(tuple(self._last), token)
            self._last.append(token)

    def repeating(self) -> Sequence[int]:
        """Return the tokens that would repeat an n-gram."""
        if not self._ngram or len(self._last) < self._ngram - 1:
            return ()
        return list(self._after.get(tuple(self._last), ()))

    def _note(self, before: tuple[int, ...], token: int) -> None:
        self._after.setdefault(before, Counter())[token] += 1
        self._noted.append((before, token))
        if len(self._noted) > NGRAM_MEMORY:
            before, token = self._noted.popleft()
            after = self._after[before]
            after[token] -= 1
            if not after[token]:
                del after[token]
            if not after:
                del self._after[before]


class Rules:
    """What all texts of a run may say next.

    Attributes:
        are_needed: Whether there is anything that a text may not or should not say.
    """

    def __init__(self, config: SamplingConfig, tokenizer: Tokenizer, outputs: int) -> None:
        self._config = config
        self._alphabet: _Alphabet | None = None
        if config.restricts:  # a width, too, counts characters, so bytes must become some
            self._alphabet = _Alphabet(tokenizer, outputs, config.allow_chars, config.forbid_chars)
        self._width: _Width | None = None
        if config.max_width is not None:
            self._width = _Width(tokenizer, outputs, config.max_width)
        is_wary = config.repetition_penalty != 1 or config.no_repeat_ngram > 0
        self.are_needed = self._alphabet is not None or is_wary

    def allows(self, character: str) -> bool:
        """Return whether a text may say a character."""
        return self._alphabet is None or self._alphabet.allows(character)

    def apply(self, logits: NDArray[np.floating], said: Said) -> None:
        """Lower the logits of what a text says less, or not at all, shape (outputs,), in place.

        The repetition penalty raises the probability of what was said to its power. (Keskar et
        al. 2019, https://arxiv.org/abs/1909.05858, divide logits, which mean nothing before they
        are compared with one another.)
        """
        logits[list(said.repeating())] = -np.inf
        if self._alphabet is not None:
            logits[~self._alphabet.after(said.begun)] = -np.inf
        if self._width is not None and not said.begun:
            logits[~self._width.after(said.column)] = -np.inf
        penalty = min(self._config.repetition_penalty, LARGEST_PENALTY)
        if penalty != 1 and said.recent and np.isfinite(logits.max()):
            logits[:] = log_softmax(logits)
            logits[list(set(said.recent))] *= penalty


class _Alphabet:
    """Which tokens go on with a text of allowed characters.

    Bytes spell characters, so what may follow depends on those of a character that has begun, and
    what has begun must become a character.
    """

    def __init__(
        self, tokenizer: Tokenizer, outputs: int, allowed: str | None, forbidden: str
    ) -> None:
        self._pieces, self._outputs = tokenizer.pieces, outputs
        self._forbidden = set(forbidden)
        self._allowed = None if allowed is None else set(allowed) - self._forbidden
        spelled = map(utf8, self._forbidden if self._allowed is None else self._allowed)
        # How many of these characters begin with some bytes.
        self._spelled = Counter(each[:size] for each in spelled for size in range(1, len(each) + 1))
        self._masks: dict[bytes, Mask] = {}

    def after(self, begun: bytes) -> Mask:
        """Return which outputs may follow the bytes of a character that has begun, or none."""
        if begun not in self._masks:
            following = {byte for byte in range(256) if self._leads_on(begun + bytes([byte]))}
            mask = np.full(self._outputs, not begun)  # the end of an item, where it is predicted
            mask[: len(self._pieces)] = [
                piece in following
                if isinstance(piece, int)
                else not begun and all(map(self.allows, piece))
                for piece in self._pieces
            ]
            self._masks[begun] = mask
        return self._masks[begun]

    def allows(self, character: str) -> bool:
        if self._allowed is not None:
            return character in self._allowed
        return character not in self._forbidden

    def _leads_on(self, begun: bytes) -> bool:
        """Return whether some bytes begin, or are, a character that may be said."""
        if self._allowed is not None:
            return self._spelled[begun] > 0
        return self._spelled[begun] < _characters_with(begun)


class _Width:
    """Which tokens keep lines within a width, in characters."""

    def __init__(self, tokenizer: Tokenizer, outputs: int, width: int) -> None:
        self._width = width
        lines = [_lines(piece) for piece in tokenizer.pieces]
        lines += [[0]] * (outputs - len(lines))  # the end of an item
        self._first = np.array([lengths[0] for lengths in lines])
        self._longest = np.array([max(lengths) for lengths in lines])

    def after(self, column: int) -> Mask:
        """Return which outputs may follow in a line of `column` characters."""
        left = max(0, self._width - column)  # a seed may be wider
        mask: Mask = (self._first <= left) & (self._longest <= self._width)
        return mask


def _lines(piece: str | int) -> list[int]:
    """Return the lengths in characters of a piece's lines; a byte begins a character."""
    if isinstance(piece, int):
        return [0, 0] if piece == ord("\n") else [1]
    return [len(line) for line in piece.split("\n")]


def _length_of_character(first: int) -> int:
    """Return how many bytes a character of UTF-8 has that begins with a byte."""
    return 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)


def _characters_with(begun: bytes) -> int:
    """Return how many characters of UTF-8 begin with some bytes."""
    first, *rest = begun
    second = SECOND_BYTES.get(first, CONTINUING_BYTES)
    if first not in FIRST_BYTES or any(
        byte not in (CONTINUING_BYTES if place else second) for place, byte in enumerate(rest)
    ):
        return 0
    size = _length_of_character(first)
    if len(begun) > 1 or size == 1:
        return 1 << 6 * (size - len(begun))  # each continuing byte holds six bits
    return len(second) << 6 * (size - 2)
