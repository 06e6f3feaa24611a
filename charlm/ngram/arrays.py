"""The table of n-grams as the arrays of the model file, and back, trusting nothing in them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.errors import ConfigError
from charlm.ngram.table import PARTS, Contexts, NGramTable, smallest

LARGEST_ORDER = 12
LARGEST_WEIGHT = 100.0
SMALLEST_DISCOUNT = 0.01


def to_arrays(table: NGramTable) -> dict[str, NDArray[Any]]:
    """Return the arrays of the model file."""
    arrays: dict[str, NDArray[Any]] = {
        "unigrams": table.unigrams.astype(np.uint32),
        "discounts": table.discounts.astype(np.float32),
        "weights": table.weights.astype(np.float32),
    }
    for order, known in enumerate(table.contexts, start=1):
        arrays |= {f"{order}.{part}": getattr(known, part) for part in PARTS}
    return arrays


def from_arrays(
    arrays: Mapping[str, NDArray[Any]], *, outputs: int, boundary_id: int
) -> NGramTable:
    """Return the table that `to_arrays` wrote, trusting nothing in it.

    Raises:
        ConfigError: If the arrays are no table for this many outputs.
    """
    order = (len(arrays) - 3) // len(PARTS)
    expected = {"unigrams", "discounts", "weights"}
    expected |= {f"{k}.{part}" for k in range(1, order + 1) for part in PARTS}
    if set(arrays) != expected or order > LARGEST_ORDER:
        raise ConfigError("its n-grams are incomplete")
    unigrams, discounts, weights = arrays["unigrams"], arrays["discounts"], arrays["weights"]
    _require(unigrams.dtype == np.uint32 and unigrams.shape == (outputs,))
    _require(discounts.dtype == np.float32 and discounts.shape == (order + 1, 3))
    _require(bool(((discounts >= SMALLEST_DISCOUNT) & (discounts <= [1, 2, 3])).all()))
    _require(weights.dtype == np.float32 and weights.shape == (order + 1, 2))
    _require(bool((np.abs(weights) <= LARGEST_WEIGHT).all()))
    contexts: list[Contexts] = []
    parents = 1
    for k in range(1, order + 1):
        known = Contexts(*(arrays[f"{k}.{part}"] for part in PARTS))
        _check_contexts(known, parents * (boundary_id + 1), outputs)
        parents = len(known.keys)
        contexts.append(known)
    return NGramTable(unigrams, contexts, discounts, weights, boundary_id)


def _check_contexts(known: Contexts, most_keys: int, outputs: int) -> None:
    """Raise ConfigError if the contexts of one length do not fit together."""
    arrays = (known.keys, known.ends, known.totals, known.tokens, known.counts)
    _require(all(array.ndim == 1 for array in arrays))
    _require(all(array.dtype.kind == "u" for array in arrays))
    _require(known.keys.dtype == smallest(known.keys, most_keys).dtype)
    _require(len(known.keys) == len(known.ends) == len(known.totals) > 0)
    _require(len(known.tokens) == len(known.counts) == int(known.ends[-1]))
    ends = known.ends.astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    _require(bool((sizes > 0).all()))
    _require(bool((known.keys[1:] > known.keys[:-1]).all()))
    _require(int(known.keys[-1]) < most_keys)
    _require(int(known.tokens.max()) < outputs and int(known.counts.min()) > 0)
    places = np.repeat(np.arange(len(sizes)), sizes) * outputs + known.tokens
    _require(bool((np.diff(places) > 0).all()))
    sums = np.add.reduceat(known.counts.astype(np.int64), ends - sizes)
    _require(bool((sums <= known.totals).all()))


def _require(condition: bool) -> None:
    if not condition:
        raise ConfigError("its n-grams are damaged")
