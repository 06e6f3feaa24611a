"""A smaller table keeps what it needs most, and stays a table."""

import numpy as np
import pytest
from ngram_tables import BOUNDARY, IDS, table_of

from charlm.ngram import from_arrays, prune, to_arrays
from charlm.ngram.table import contexts_before


@pytest.fixture
def table():
    return table_of(IDS, 4)


def nats(table, ids):
    """Return −ln p of ids, each after those before it."""
    contexts = contexts_before(ids, np.arange(len(ids)), table.order, 0, [BOUNDARY])
    _, logits = table.log_ratios(contexts)
    logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return -logits[np.arange(len(ids)), ids].sum()


@pytest.mark.parametrize("most", [0, 1, 2, 10, 100, 500])
def test_a_pruned_table_is_valid_and_as_small_as_requested(table, most):
    smaller = prune(table, most)

    assert smaller.entry_count <= most < table.entry_count
    assert len(smaller.weights) == len(smaller.discounts) == smaller.order + 1
    from_arrays(to_arrays(smaller), outputs=BOUNDARY, boundary_id=BOUNDARY)
    assert np.isfinite(nats(smaller, IDS))


def test_a_table_that_is_small_enough_stays_as_it_is(table):
    assert prune(table, table.entry_count) is table


def test_entries_and_contexts_keep_their_counts(table):
    smaller = prune(table, 200)
    whole = {tuple(tokens): count for n in (1, 2, 3, 4) for tokens, count in table.fragments(n)}
    kept = [(tuple(tokens), count) for n in (1, 2, 3, 4) for tokens, count in smaller.fragments(n)]

    assert len(kept) == smaller.entry_count
    assert all(whole[tokens] == count for tokens, count in kept)


def test_what_a_context_decides_stays_longest():
    """After 0 comes 1 in most cases; all else is drawn evenly."""
    generator = np.random.default_rng(2)
    ids = generator.integers(0, 6, 4000)
    ids[np.flatnonzero(ids[:-1] == 0) + 1] = 1
    table = table_of(ids, 3)

    [(tokens, _)] = prune(table, 1).fragments(1)

    assert tokens == [0, 1]


def test_more_entries_predict_the_text_better(table):
    costs = [nats(prune(table, most), IDS) for most in (0, 20, 100, 400, table.entry_count)]

    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1] * 1.01
