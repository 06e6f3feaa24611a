"""Make a table of n-grams smaller: leave out the entries that it needs least.

An entry is worth what the training text loses without it: its count times the difference of ln p
with and without the longer context (weighted difference, Seymore & Rosenfeld 1996,
https://www.isca-archive.org/icslp_1996/seymore96_icslp.html).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from charlm.ngram.table import Contexts, NGramTable, smallest

Integers = NDArray[np.int64]
Values = NDArray[np.float64]


def prune(table: NGramTable, most_entries: int) -> NGramTable:
    """Return the table with at most `most_entries` entries after contexts, the most valuable ones.

    An entry that stays keeps the one after the next shorter context, so the contexts remain a tree.
    What is left out counts as never seen, and its share goes to the shorter context.
    """
    levels = _levels(table)
    values = np.concatenate([np.empty(0), *(level_values for _, _, level_values in levels)])
    if len(values) <= most_entries:
        return table
    lowest = np.sort(values)[::-1][most_entries]  # the most valuable one that is left out
    contexts: list[Contexts] = []
    numbers = np.zeros(1, np.int64)  # of the contexts one token shorter, among those kept
    parents = 1
    for of_order, (owners, _, level_values) in zip(table.contexts, levels, strict=True):
        is_entry = level_values > lowest
        sizes = np.bincount(owners[is_entry], minlength=len(of_order.keys))
        is_kept = sizes > 0
        if not is_kept.any():
            break
        before, token = np.divmod(of_order.keys[is_kept].astype(np.int64), table.boundary_id + 1)
        keys = numbers[before] * (table.boundary_id + 1) + token
        contexts.append(
            Contexts(
                keys=smallest(keys, parents * (table.boundary_id + 1)),
                ends=sizes[is_kept].cumsum().astype(np.uint32),
                totals=of_order.totals[is_kept],
                tokens=of_order.tokens[is_entry],
                counts=of_order.counts[is_entry],
            )
        )
        numbers = is_kept.cumsum() - 1
        parents = len(keys)
    order = len(contexts)
    return replace(
        table,
        contexts=contexts,
        discounts=table.discounts[: order + 1],
        weights=table.weights[: order + 1],
    )


def _levels(table: NGramTable) -> list[tuple[Integers, Integers, Values]]:
    """Return for each order: the context of each entry, the index of its shorter one, its value.

    An entry is worth at least as much as the longer ones that need it.
    """
    levels: list[tuple[Integers, Integers, Values]] = []
    shorter_codes: Integers = np.arange(table.outputs)
    shorter = table.unigram_probabilities
    for order, known in enumerate(table.contexts, start=1):
        owners, tokens, shares, masses = table.entries(order, np.arange(len(known.keys)))
        parents = known.keys.astype(np.int64) // (table.boundary_id + 1)
        codes = parents[owners] * table.outputs + tokens
        at: Integers = np.minimum(np.searchsorted(shorter_codes, codes), len(shorter_codes) - 1)
        probabilities = shares + masses[owners] * shorter[at]
        gains: Values = np.log(probabilities / shorter[at])
        levels.append((owners, at, gains))
        shorter_codes, shorter = owners * table.outputs + tokens, probabilities
    occurrences = np.empty(0)
    for order in reversed(range(table.order)):
        owners, _, values = levels[order]
        counts = table.contexts[order].counts.astype(np.float64)
        needed = np.full(len(values), -np.inf)
        if order + 1 < table.order:  # counts of shorter contexts are of different tokens before
            _, at, longer = levels[order + 1]
            counts = np.maximum(counts, np.bincount(at, occurrences, minlength=len(values)))
            np.maximum.at(needed, at, longer)
        occurrences = counts
        np.maximum(values * counts, needed, out=values)
    return levels
