"""What the table predicts is a probability, and a damaged table is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram_tables import BOUNDARY, IDS, table_of

from charlm.errors import ConfigError
from charlm.ngram import from_arrays, to_arrays
from charlm.ngram import table as module
from charlm.ngram.table import NO_TOKEN, contexts_after, contexts_before


@pytest.fixture
def table():
    return table_of(IDS, 4)


def by_hand(table, context):
    """Return p of each token after a context, by the formula of the module, and its order."""
    unigrams = table.unigrams.astype(float)
    kept = [
        count - table.discounts[0][min(int(count), 3) - 1] if count else 0 for count in unigrams
    ]
    p = np.array(kept) / unigrams.sum()
    p += (1 - p.sum()) / len(p)
    place, matched = 0, 0
    for order, known in enumerate(table.contexts, start=1):
        token = context[-order]
        key = place * (BOUNDARY + 1) + token
        if token == NO_TOKEN or key not in known.keys.tolist():
            break
        place, matched = known.keys.tolist().index(key), order
        start = int(known.ends[place - 1]) if place else 0
        d = np.zeros(len(p))
        for entry in range(start, int(known.ends[place])):
            count = int(known.counts[entry])
            discount = table.discounts[order][min(count, 3) - 1]
            d[known.tokens[entry]] = (count - discount) / int(known.totals[place])
        p = d + (1 - d.sum()) * p
    return p, matched


@pytest.mark.parametrize("most_rows", [0, 40, 1 << 20])
def test_probabilities_are_those_of_the_formula(table, monkeypatch, most_rows):
    """However many short contexts have dense rows."""
    monkeypatch.setattr(module, "MOST_ROWS", most_rows)
    positions = np.arange(1, 400)
    ids = np.array([BOUNDARY, *IDS])
    contexts = contexts_before(ids, positions, 4, 1, [BOUNDARY])
    matched, ratios = table.log_ratios(contexts)
    p = np.exp(ratios.astype(float))
    p /= p.sum(axis=-1, keepdims=True)

    for row, context in enumerate(contexts.tolist()):
        expected, order = by_hand(table, context)
        assert matched[row] == order
        assert p[row] == pytest.approx(expected, rel=1e-4)
    for start in range(0, 399, 3):  # a few are looked up in another way
        few_matched, few_ratios = table.log_ratios(contexts[start : start + 3])
        assert few_matched.tolist() == matched[start : start + 3].tolist()
        assert few_ratios == pytest.approx(ratios[start : start + 3], abs=1e-5)


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(0, BOUNDARY - 1), min_size=4, max_size=50),
    context=st.lists(st.integers(NO_TOKEN, BOUNDARY), min_size=3, max_size=3),
)
def test_every_context_gives_every_token_a_probability(ids, context):
    _, ratios = table_of(ids, 3).log_ratios(np.array([context] * 2)[:, :3])

    assert np.isfinite(ratios).all()


def test_contexts_after_ids_are_those_before_the_next():
    ids = np.array([BOUNDARY, 0, 1, BOUNDARY, 2, 3, 4])
    before = contexts_before(ids, np.array([1, 2, 3]), 3, 1, [BOUNDARY])
    after = contexts_after(np.full((1, 3), NO_TOKEN), ids[None], BOUNDARY)

    assert after.shape == (1, 7, 3)
    assert after[0, :3].tolist() == before.tolist()
    assert after[0, 5].tolist() == [BOUNDARY, 2, 3]
    assert after[0, 6].tolist() == [2, 3, 4]
    with_prefix = contexts_before(ids, np.array([1, 2]), 4, 1, [BOUNDARY, 5])
    assert with_prefix.tolist() == [[-1, -1, BOUNDARY, 5], [-1, BOUNDARY, 5, 0]]
    assert contexts_after(np.empty((1, 0), int), ids[None], BOUNDARY).shape == (1, 7, 0)


def test_what_is_written_is_read_again(table):
    again = from_arrays(to_arrays(table), outputs=BOUNDARY, boundary_id=BOUNDARY)
    contexts = contexts_before(np.array([BOUNDARY, *IDS]), np.arange(1, 99), 4, 1, [BOUNDARY])

    assert again.order == 4
    for one, other in zip(table.log_ratios(contexts), again.log_ratios(contexts), strict=True):
        assert np.array_equal(one, other)


LIES = {
    "unigrams": lambda a: a[:-1],
    "discounts": lambda a: a + 4,
    "weights": lambda a: a * np.nan,
    "1.keys": lambda a: a[::-1],
    "2.keys": lambda a: a + 200,
    "2.ends": lambda a: a[::-1],
    "3.ends": lambda a: a - 1,
    "2.totals": lambda a: a * 0,
    "2.tokens": lambda a: a * 0,
    "3.tokens": lambda a: a + BOUNDARY,
    "3.counts": lambda a: a * 0,
    "4.counts": lambda a: a[1:],
    "4.totals": lambda a: a[None],
    "1.tokens": lambda a: a.astype(np.float32),
}


@pytest.mark.parametrize("name", LIES)
def test_a_damaged_table_is_refused(table, name):
    arrays = to_arrays(table)
    arrays[name] = LIES[name](arrays[name])

    with pytest.raises(ConfigError, match="its n-grams are damaged"):
        from_arrays(arrays, outputs=BOUNDARY, boundary_id=BOUNDARY)


@pytest.mark.parametrize("name", ["weights", "2.keys", "4.counts"])
def test_an_incomplete_table_is_refused(table, name):
    arrays = to_arrays(table)
    del arrays[name]

    with pytest.raises(ConfigError, match="its n-grams are incomplete"):
        from_arrays(arrays, outputs=BOUNDARY, boundary_id=BOUNDARY)
