"""The table holds what followed which context in the training text, and leaves out what is rare."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.ngram import count_ngrams, counting

BOUNDARY = 3
IDS = st.lists(st.integers(0, BOUNDARY), min_size=1, max_size=60)


@pytest.fixture
def unpruned(monkeypatch):
    monkeypatch.setattr(counting, "FEWEST_OCCURRENCES", 1)


def table_of(ids, order, *, predicts_boundary=True, **more):
    ids = np.array([BOUNDARY, *ids])
    is_counted = np.ones(len(ids), np.bool_) if predicts_boundary else ids != BOUNDARY
    is_counted[0] = False
    outputs = BOUNDARY + predicts_boundary
    return count_ngrams(ids, is_counted, order=order, outputs=outputs, boundary_id=BOUNDARY, **more)


def listed(table):
    """Return {context: {token: count}} of a table, the tokens of a context in reading order."""
    result, parents = {}, [()]
    for known in table.contexts:
        contexts = []
        for place, key in enumerate(known.keys.tolist()):
            parent, token = divmod(key, table.boundary_id + 1)
            contexts.append((token, *parents[parent]))
            start = int(known.ends[place - 1]) if place else 0
            entries = slice(start, int(known.ends[place]))
            tokens, counts = known.tokens[entries].tolist(), known.counts[entries].tolist()
            result[contexts[-1]] = dict(zip(tokens, counts, strict=True))
        parents = contexts
    return result


def counted_by_hand(ids, order):
    """Return what followed each context of up to `order` tokens that reaches no boundary."""
    ids = [BOUNDARY, *ids]
    followed = defaultdict(Counter)
    for position in range(1, len(ids)):
        for length in range(1, min(order, position) + 1):
            context = tuple(ids[position - length : position])
            followed[context][ids[position]] += 1
            if context[0] == BOUNDARY:
                break
    return followed


@given(ids=IDS)
def test_the_longest_contexts_have_counts_and_shorter_ones_what_stands_before_them(ids):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "FEWEST_OCCURRENCES", 1)
        table = listed(table_of(ids, 3))
    by_hand = counted_by_hand(ids, 3)
    longest = max(map(len, by_hand))

    assert table.keys() == by_hand.keys()
    for context, following in by_hand.items():
        if len(context) == longest or context[0] == BOUNDARY:
            assert table[context] == following
            continue
        for token in following:
            before = {longer[0] for longer, tokens in by_hand.items()
                      if longer[1:] == context and token in tokens}  # fmt: skip
            assert table[context][token] == max(1, len(before))


def test_a_context_that_occurs_once_is_left_out():
    table = listed(table_of([0, 1, 0, 1, 0, 2], 2))

    assert (0, 1) in table and (1, 0) in table
    assert (0, 2) not in table and (BOUNDARY, 0) not in table


def test_after_long_contexts_what_occurs_once_is_left_out_but_keeps_its_mass():
    sentence = [0, 1, 2, 0, 2]
    table = table_of([*sentence, 1, BOUNDARY, *sentence, 1, BOUNDARY, *sentence, 0, BOUNDARY], 5)
    of_five = table.contexts[4]
    following = listed(table)[0, 1, 2, 0, 2]

    assert following == {1: 2}
    place = [key for key in listed(table) if len(key) == 5].index((0, 1, 2, 0, 2))
    assert of_five.totals[place] == 3


def test_a_context_never_reaches_over_a_boundary():
    table = listed(table_of([0, BOUNDARY, 1, BOUNDARY] * 5, 4))

    assert all(BOUNDARY not in context[1:] for context in table)
    assert (BOUNDARY,) in table and (BOUNDARY, 1) in table


def test_what_is_not_predicted_is_not_counted():
    table = table_of([0, BOUNDARY, 1, BOUNDARY] * 5, 2, predicts_boundary=False)

    assert table.outputs == BOUNDARY
    assert listed(table)[BOUNDARY,] == {0: 5, 1: 5}
    assert (0,) not in listed(table)


def test_the_size_bounds_the_length_of_contexts():
    ids = np.random.default_rng(0).integers(0, BOUNDARY, 5000)
    whole = table_of(ids, 6)
    size = sum(known.bytes for known in whole.contexts[:4])
    cut = table_of(ids, 6, most_bytes=2.2 * size)

    assert whole.order == 6
    assert 0 < cut.order < 6
    assert table_of(ids, 6, most_bytes=0).order == 0


def test_fragments_are_what_the_table_holds_of_the_text():
    table = table_of([0, 1, 2, BOUNDARY] * 4, 2)

    assert sorted(table.fragments(2)) == [
        ([0, 1, 2], 4), ([1, 2, BOUNDARY], 4), ([BOUNDARY, 0, 1], 4)
    ]  # fmt: skip
    assert list(table.fragments(0)) == list(table.fragments(3)) == []


def test_order_0_counts_tokens_alone():
    table = table_of([0, 0, 1], 0)

    assert table.unigrams.tolist() == [2, 1, 0, 0]
    assert table.order == 0
