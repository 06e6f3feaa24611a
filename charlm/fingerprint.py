"""What a training text says, so small that it fits into the model: to ask whether it says a text.

A fingerprint is a Bloom filter (Bloom 1970, https://doi.org/10.1145/362686.362692): of a text that
is in it, it always says so; of one that is not, hardly ever. The text cannot be read out of it, but
who guesses a line finds out whether it stands there.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charlm.errors import ConfigError

Kind = Literal["lines", "passages"]

FALSE_POSITIVES = 1e-6  # wanted; more only where the filter would grow too large
SMALLEST_FILTER, LARGEST_FILTER = 1 << 10, 4 << 20  # bytes
PASSAGE = 32  # characters
SHORTEST_STRIDE = 16  # characters from a passage to the next
MOST_PASSAGES = 1_000_000  # of longer texts they are farther apart
MOST_HASHES = 64
MOST_FINGERPRINTS = 256  # of one model, which asks each of them
LARGEST_NUMBER = 1 << 53  # of entries or characters that a fingerprint may claim
# Of a text that is asked about: how many lines or passages are looked at, at most and at least.
MOST_PROBED, FEWEST_PROBES = 10_000, 20


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A Bloom filter of lines, or of passages of 32 characters that begin at every so many.

    Attributes:
        kind: Whether the entries are whole lines or passages.
        entries: How many there are, repeated ones counted.
        stride: Characters from the beginning of one passage to that of the next.
        hashes: Bits that are set for each entry.
        bits: The filter, uint8, shape (bytes,).
    """

    kind: Kind
    entries: int
    stride: int
    hashes: int
    bits: NDArray[np.uint8]

    @classmethod
    def of_lines(cls, batches: Iterable[Sequence[str]], count: int) -> "Fingerprint":
        """Return the fingerprint of `count` lines, without their ends, which come in lots."""
        return cls._of("lines", batches, count, stride=1)

    @classmethod
    def of_texts(cls, texts: Iterable[Iterable[str]], characters: int) -> "Fingerprint":
        """Return the fingerprint of running texts, each cut into chunks, `characters` in all."""
        stride = max(SHORTEST_STRIDE, -(-characters // MOST_PASSAGES))
        batches = (batch for text in texts for batch in _passages(text, stride))
        return cls._of("passages", batches, -(-characters // stride), stride=stride)

    @classmethod
    def _of(
        cls, kind: Kind, batches: Iterable[Sequence[str]], expected: int, *, stride: int
    ) -> "Fingerprint":
        wanted = math.ceil(expected * -math.log2(FALSE_POSITIVES) / math.log(2) / 8)
        size = min(max(SMALLEST_FILTER, wanted), LARGEST_FILTER)
        hashes = min(max(1, round(8 * size / max(1, expected) * math.log(2))), MOST_HASHES)
        flags = np.zeros(8 * size, np.bool_)
        entries = 0
        for batch in batches:
            entries += len(batch)
            for places in _places(_hashed(batch), hashes, 8 * size):
                flags[places] = True
        return cls(kind, entries, stride, hashes, np.packbits(flags))

    def equals(self, other: "Fingerprint") -> bool:
        """Return whether both are of the same text."""
        return self.to_json() == other.to_json() and np.array_equal(self.bits, other.bits)

    @property
    def false_positives(self) -> float:
        """The probability that a text which is not in it is said to be (Bloom 1970)."""
        share = float(np.unpackbits(self.bits).mean())
        return share**self.hashes

    @property
    def always_found(self) -> int:
        """Characters in a row that are found wherever they stand in the training text."""
        return PASSAGE + self.stride - 1

    def holds(self, text: str) -> bool:
        """Return whether `text` stands in the training text: as a line, or a passage of it does.

        So many characters in a row as `always_found` tells are always found, fewer than 32 never.
        """
        if self.kind == "lines":
            return bool(self._are_in([text])[0])
        ends = range(PASSAGE, len(text) + 1)
        return bool(self._are_in([text[end - PASSAGE : end] for end in ends]).any())

    def share_in_training_text(self, text: str) -> float:
        """Return which share of `text` stands in the training text, in [0, 1]: an estimate.

        Of lines it is that of all lines that are not empty, or of some that are spread evenly; of
        passages that of places, spread evenly, around which so many characters stand there as are
        always found.
        """
        if self.kind == "lines":
            lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip("\r")]
            lines = lines[:: -(-len(lines) // MOST_PROBED) or 1]
            return float(self._are_in(lines).mean()) if lines else 0.0
        last = max(0, len(text) - self.always_found)
        probes = max(FEWEST_PROBES, MOST_PROBED // self.stride)
        places = np.unique(np.linspace(0, last, probes).astype(int)).tolist()
        return float(
            np.mean([self.holds(text[place : place + self.always_found]) for place in places])
        )

    def _are_in(self, entries: Sequence[str]) -> NDArray[np.bool_]:
        found = np.ones(len(entries), np.bool_)
        for place in _places(_hashed(entries), self.hashes, 8 * len(self.bits)):
            found &= (self.bits[place >> 3] >> (7 - (place & 7)).astype(np.uint8) & 1).astype(bool)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return everything but the filter."""
        return {
            "kind": self.kind,
            "entries": self.entries,
            "stride": self.stride,
            "hashes": self.hashes,
        }

    @classmethod
    def from_json(cls, value: object, bits: NDArray[np.uint8]) -> "Fingerprint":
        """Return the fingerprint that `to_json` described, trusting nothing in it.

        Raises:
            ConfigError: If it describes none.
        """
        match value:
            case {
                "kind": "lines" | "passages" as kind,
                "entries": int(entries),
                "stride": int(stride),
                "hashes": int(hashes),
                **rest,
            } if not rest and 1 <= len(bits) <= LARGEST_FILTER:
                shortest = 1 if kind == "lines" else SHORTEST_STRIDE
                ranges = (
                    (entries, 0, LARGEST_NUMBER),
                    (stride, shortest, LARGEST_NUMBER),
                    (hashes, 1, MOST_HASHES),
                )
                if all(type(n) is int and least <= n <= most for n, least, most in ranges):
                    return cls(kind, entries, stride, hashes, bits)
        raise ConfigError("its fingerprint of the training text is none")


def joined(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Return what is known of all texts, each once; nothing if nothing is known of some.

    Of more than MOST_FINGERPRINTS nothing is.
    """
    if not first or not second:
        return ()
    found = (*first, *(each for each in second if not any(map(each.equals, first))))
    return found if len(found) <= MOST_FINGERPRINTS else ()


def _passages(chunks: Iterable[str], stride: int) -> Iterator[list[str]]:
    """Yield the passages of a text that begin at every `stride`-th character, a lot a chunk."""
    held, begin = "", 0  # the next passage begins there in what is held, or beyond it
    for chunk in chunks:
        held += chunk
        begins = range(begin, len(held) - PASSAGE + 1, stride)
        yield [held[place : place + PASSAGE] for place in begins]
        begin += len(begins) * stride
        held, begin = held[begin:], max(0, begin - len(held))


def _hashed(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return 64 bits of each text's BLAKE2b, shape (texts,)."""
    digests = (
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), "<u8")


def _places(entries: NDArray[np.uint64], hashes: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Yield the bits of all entries, for each hash in turn.

    Enhanced double hashing (Dillinger & Manolios 2004, https://doi.org/10.1007/978-3-540-30494-4_26):
    the third term keeps a few bits from being set again and again.
    """
    first, second = entries & np.uint64(0xFFFFFFFF), entries >> np.uint64(32)
    for number in range(hashes):
        third = np.uint64((number**3 - number) // 6)
        yield ((first + np.uint64(number) * second + third) % np.uint64(size)).astype(np.int64)
