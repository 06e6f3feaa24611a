"""The arrays of a model in few bytes: rounded weights, and counts as small whole numbers."""

import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import WeightType
from charlm.ngram import NGramTable

LARGEST_INT8 = 127
LARGEST_FLOAT16 = 65504.0

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PackedArray:
    """An array as it stands in a page.

    Attributes:
        name: Its name.
        values: int8, float16 or float32 weights, or unsigned whole numbers.
        scales: What the values of each row are multiplied with; None unless int8.
        is_cumulative: Whether the values are the differences of ascending numbers.
    """

    name: str
    values: NDArray[Any]
    scales: Floats | None = None
    is_cumulative: bool = False

    @property
    def entry(self) -> dict[str, Any]:
        """The description of the array for the script."""
        return {
            "name": self.name,
            "type": str(self.values.dtype),
            "length": self.values.size,
            "rows": len(self.values),
            "isCumulative": self.is_cumulative,
        }

    @property
    def content(self) -> bytes:
        """Its bytes, little-endian; the scales come first."""
        arrays = [self.values] if self.scales is None else [self.scales, self.values]
        return b"".join(np.ascontiguousarray(_little_endian(array)).tobytes() for array in arrays)

    def restored(self) -> Floats:
        """Return the weights as the script computes them."""
        if self.scales is None:
            return self.values.astype(np.float32)
        return (self.values * self.scales[:, None].astype(np.float64)).astype(np.float32)


def pack_weights(name: str, weights: Floats, weight_type: WeightType) -> PackedArray:
    """Return weights in a type; vectors keep at least 16 bits.

    Each row of int8 has a scale that maps its largest weight to 127.
    """
    if weight_type == "float32":
        return PackedArray(name, weights)
    if weight_type == "float16" or weights.ndim == 1:
        return PackedArray(
            name, np.clip(weights, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16)
        )
    largest = np.abs(weights).max(axis=1, keepdims=True)
    scales = np.where(largest > 0, largest / LARGEST_INT8, 1).astype(np.float32)
    return PackedArray(name, np.round(weights / scales).astype(np.int8), scales[:, 0])


def pack_counts(table: NGramTable) -> Iterator[PackedArray]:
    """Yield the arrays of a table of counts."""
    yield PackedArray("ngram.unigrams", _smallest(table.unigrams))
    yield PackedArray("ngram.discounts", table.discounts)
    yield PackedArray("ngram.weights", table.weights)
    for order, known in enumerate(table.contexts, start=1):
        for part in ("keys", "ends"):
            values = np.diff(getattr(known, part).astype(np.int64), prepend=0)
            yield PackedArray(f"ngram.{order}.{part}", _smallest(values), is_cumulative=True)
        for part in ("totals", "tokens", "counts"):
            yield PackedArray(f"ngram.{order}.{part}", _smallest(getattr(known, part)))


def to_json(arrays: Iterable[PackedArray]) -> dict[str, Any]:
    """Return what describes each array, and the bytes of all, compressed."""
    listed = list(arrays)
    content = zlib.compress(b"".join(array.content for array in listed), level=9)
    return {
        "entries": [array.entry for array in listed],
        "content": b64encode(content).decode(),
    }


def _smallest(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in JavaScript's smallest type of typed array that holds them."""
    smallest = np.min_scalar_type(int(values.max(initial=0)))
    return values.astype(np.float64 if smallest.itemsize > 4 else smallest)


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"))
