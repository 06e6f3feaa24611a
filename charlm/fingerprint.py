"""A Bloom filter of the training text, stored in the model: does a text occur in it?

A Bloom filter (Bloom 1970, https://doi.org/10.1145/362686.362692) answers yes for every entry, and
for hardly any other text. It does not reveal the training text, but a reader who guesses a line
can check the guess.

Its entries are whole lines, or shingles: pieces of 32 characters, a fixed stride apart. It covers
the held-out text, too. It never exceeds 4 MB: for a longer text the stride grows.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charlm.errors import ConfigError

Kind = Literal["lines", "passages"]  # "passages" are shingles; files have this word

FALSE_POSITIVES = 1e-6  # a filter with enough room for its entries comes to this rate
SMALLEST_FILTER, LARGEST_FILTER = 1 << 10, 4 << 20  # bytes
SHINGLE_LENGTH = 32  # characters
SMALLEST_STRIDE = 16  # characters from the beginning of a shingle to that of the next
MOST_SHINGLES = 1_000_000  # in a longer text the stride grows
MOST_HASHES = 64
MOST_FINGERPRINTS = 256  # of one model; each query goes through all of them
LARGEST_NUMBER = 1 << 53  # of entries or characters that a file may claim
# A sample of a text is looked at: lines or shingles for all filters together, and pieces for each.
MOST_PROBES, FEWEST_PROBES = 10_000, 20


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A Bloom filter of the lines of a text, or of its shingles."""

    kind: Kind  # whether the entries are whole lines or shingles
    entries: int  # their number, repeated ones counted
    stride: int  # characters from the beginning of one shingle to that of the next; 1 for lines
    hashes: int  # bits that are set for each entry
    bits: NDArray[np.uint8]  # the filter, shape (bytes,)

    @classmethod
    def of_lines(cls, batches: Iterable[Sequence[str]], count: int) -> "Fingerprint":
        """Return the fingerprint of `count` lines, in batches, without their line ends."""
        return cls._build("lines", batches, count, stride=1)

    @classmethod
    def of_texts(cls, texts: Iterable[Iterable[str]], characters: int) -> "Fingerprint":
        """Return the fingerprint of running texts, each in chunks, with `characters` in all."""
        stride = max(SMALLEST_STRIDE, -(-characters // MOST_SHINGLES))
        batches = (batch for text in texts for batch in _shingles(text, stride))
        return cls._build("passages", batches, -(-characters // stride), stride=stride)

    @classmethod
    def _build(
        cls, kind: Kind, batches: Iterable[Sequence[str]], expected: int, *, stride: int
    ) -> "Fingerprint":
        """Return a filter of the optimal size and number of hashes for `expected` entries."""
        optimum = math.ceil(expected * -math.log2(FALSE_POSITIVES) / math.log(2) / 8)
        size = min(max(SMALLEST_FILTER, optimum), LARGEST_FILTER)
        hashes = min(max(1, round(8 * size / max(1, expected) * math.log(2))), MOST_HASHES)
        flags = np.zeros(8 * size, np.bool_)
        entries = 0
        for batch in batches:
            entries += len(batch)
            for positions in _bit_positions(_hash64(batch), hashes, 8 * size):
                flags[positions] = True
        return cls(kind, entries, stride, hashes, np.packbits(flags))

    def equals(self, other: "Fingerprint") -> bool:
        """Return whether both filters are the same."""
        return self.to_json() == other.to_json() and np.array_equal(self.bits, other.bits)

    @property
    def false_positives(self) -> float:
        """The probability that the filter answers yes for a text that is no entry (Bloom 1970)."""
        share_of_ones = float(np.unpackbits(self.bits).mean())
        return share_of_ones**self.hashes

    @property
    def always_found(self) -> int:
        """The length in characters from which any piece of the training text is found.

        A piece of this length contains a whole shingle, wherever it begins.
        """
        return SHINGLE_LENGTH + self.stride - 1

    def holds(self, text: str) -> bool:
        """Return whether `text` is a line of the training text, or contains one of its shingles.

        Pieces of the training text are always found from `always_found` characters on, and never
        below 32.
        """
        if self.kind == "lines":
            return bool(self._are_entries([text])[0])
        return bool(self._are_entries(_all_shingles(text)).any())

    def hold_any(self, lines: Sequence[str]) -> bool:
        """Return whether one of `lines` is a line of the training text, or contains a shingle."""
        if self.kind == "lines":
            return bool(self._are_entries(lines).any())
        return any(map(self.holds, lines))

    def share_in_training_text(self, text: str, most_probes: int = MOST_PROBES) -> float:
        """Estimate the share of `text` that occurs in the training text, in [0, 1].

        With lines it is the share of the lines that are not empty; with shingles, the share of
        pieces of `always_found` characters. Of a long text an even sample is looked at, of about
        `most_probes` lines or shingles; with a larger stride than that, shorter pieces.
        """
        if self.kind == "lines":
            lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip("\r")]
            lines = lines[:: -(-len(lines) // most_probes) or 1]
            return float(self._are_entries(lines).mean()) if lines else 0.0
        stride = min(self.stride, most_probes)
        length = SHINGLE_LENGTH + stride - 1
        begins = np.linspace(
            0, max(0, len(text) - length), max(FEWEST_PROBES, most_probes // stride)
        )
        pieces = [
            _all_shingles(text[begin : begin + length])
            for begin in np.unique(begins.astype(int)).tolist()
        ]
        if not pieces[0]:
            return 0.0
        are_entries = self._are_entries(list(chain.from_iterable(pieces)))
        return float(are_entries.reshape(len(pieces), -1).any(axis=-1).mean())

    def _are_entries(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether all bits of each text are set, shape (texts,)."""
        are_set = np.ones(len(texts), np.bool_)
        for position in _bit_positions(_hash64(texts), self.hashes, 8 * len(self.bits)):
            byte, bit = self.bits[position >> 3], 7 - (position & 7)
            are_set &= (byte >> bit.astype(np.uint8) & 1).astype(bool)
            if not are_set.any():
                break
        return are_set

    def to_json(self) -> dict[str, Any]:
        """Return everything but the filter."""
        return {name: getattr(self, name) for name in ("kind", "entries", "stride", "hashes")}

    @classmethod
    def from_json(cls, value: object, bits: NDArray[np.uint8]) -> "Fingerprint":
        """Return the fingerprint that `to_json` described, trusting nothing in it.

        Raises:
            ConfigError: If `value` does not describe one.
        """
        match value:
            case {
                "kind": "lines" | "passages" as kind,
                "entries": int(entries),
                "stride": int(stride),
                "hashes": int(hashes),
                **rest,
            } if not rest and 1 <= len(bits) <= LARGEST_FILTER:
                smallest_stride = 1 if kind == "lines" else SMALLEST_STRIDE
                ranges = (
                    (entries, 0, LARGEST_NUMBER),
                    (stride, smallest_stride, LARGEST_NUMBER),
                    (hashes, 1, MOST_HASHES),
                )
                if all(type(n) is int and least <= n <= most for n, least, most in ranges):
                    return cls(kind, entries, stride, hashes, bits)
        raise ConfigError("its fingerprint of the training text is malformed")


def union(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Return the fingerprints of two models together, without repetition.

    The result is empty if one of the models has none, because part of the training text is unknown
    then, and if there are more than MOST_FINGERPRINTS.
    """
    if not first or not second:
        return ()
    added = (other for other in second if not any(map(other.equals, first)))
    combined = (*first, *added)
    return combined if len(combined) <= MOST_FINGERPRINTS else ()


def share_in_training_texts(fingerprints: Sequence[Fingerprint], text: str) -> float:
    """Estimate the share of `text` that occurs in the training text, in [0, 1]; 0 without filters.

    The more filters there are, the smaller is the sample that each looks at.
    """
    most_probes = MOST_PROBES // max(1, len(fingerprints))
    shares = (filter_.share_in_training_text(text, most_probes) for filter_ in fingerprints)
    return max(shares, default=0.0)


def _all_shingles(text: str) -> Sequence[str]:
    """Return the shingles that begin at each character."""
    return [text[end - SHINGLE_LENGTH : end] for end in range(SHINGLE_LENGTH, len(text) + 1)]


def _shingles(chunks: Iterable[str], stride: int) -> Iterator[list[str]]:
    """Yield the shingles of a text that begin at every `stride`-th character, by chunk."""
    held, begin = "", 0  # the position in `held` where the next shingle begins, or beyond its end
    for chunk in chunks:
        held += chunk
        begins = range(begin, len(held) - SHINGLE_LENGTH + 1, stride)
        yield [held[start : start + SHINGLE_LENGTH] for start in begins]
        begin += len(begins) * stride
        held, begin = held[begin:], max(0, begin - len(held))


def _hash64(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return 64 bits of each text's BLAKE2b, shape (texts,)."""
    digests = (
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), "<u8")


def _bit_positions(
    entries: NDArray[np.uint64], hashes: int, size: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the positions in [0, size) of one bit of every entry, for each hash in turn.

    Enhanced double hashing (Dillinger & Manolios 2004, https://doi.org/10.1007/978-3-540-30494-4_26):
    the third term keeps a few bits from being set again and again.
    """
    first, second = entries & np.uint64(0xFFFFFFFF), entries >> np.uint64(32)
    for number in range(hashes):
        third = np.uint64((number**3 - number) // 6)
        yield ((first + np.uint64(number) * second + third) % np.uint64(size)).astype(np.int64)
