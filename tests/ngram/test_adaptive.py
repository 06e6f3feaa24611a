"""Counts learn a text while it is read, and never before it is predicted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlm.ngram.adaptive import LONGEST, MATCH_ORDER, AdaptiveCounts


def shares_of(increments, position):
    """Return {token: share} of a position; a token may have several shares."""
    shares = {}
    rows = zip(increments.owners, increments.tokens, increments.shares, strict=True)
    for owner, token, share in rows:
        if owner == position:
            shares[int(token)] = shares.get(int(token), 0.0) + float(share)
    return shares


def test_what_followed_a_context_before_is_predicted_after_it():
    ids = np.array([0, 1, 2, 3, 9, 0, 1, 2, 3])
    increments = AdaptiveCounts(ids).read(0, len(ids), 0)

    assert not shares_of(increments, 3)
    assert shares_of(increments, 8).keys() == {3}
    assert increments.orders.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_new_token_weakens_the_others_after_its_context():
    counts = AdaptiveCounts(np.array([*[0, 1, 2, 3] * 3, 0, 1, 2, 4, 0, 1, 2, 5]))
    shares = shares_of(counts.read(0, 20, 0), 19)

    assert 0 < shares[3] < 3 * shares[4]  # it followed three times


def test_a_repeated_passage_is_predicted_ever_more_surely():
    passage = np.random.default_rng(0).permutation(200)
    increments = AdaptiveCounts(np.concatenate([passage, passage])).read(0, 400, 0)
    sure = [shares_of(increments, 200 + place)[int(passage[place])] for place in (20, 60, 199)]

    assert sure[0] < sure[1] < sure[2]
    endless = AdaptiveCounts(np.tile(passage[:20], 2000)).read(0, 40_000, 0)
    assert np.isfinite(endless.shares).all()
    assert not shares_of(increments, 201)
    assert increments.orders.max() == 1  # a longer context is counted from the second time on


def test_contexts_begin_where_the_example_begins():
    ids = np.array([0, 1, 2, 3, 9, 0, 1, 2, 3])
    counts = AdaptiveCounts(ids)
    counts.read(0, 5, 0)

    assert not shares_of(counts.read(5, 9, 7), 3)


def test_long_contexts_are_counted_step_by_step():
    ids = np.array([0, 1, 2, 3, 4, 5, 6, 7] * 8)
    increments = AdaptiveCounts(ids).read(0, len(ids), 0)

    assert increments.orders[-1] == LONGEST - 2


@given(
    ids=st.lists(st.integers(0, 3), min_size=MATCH_ORDER + 2, max_size=80),
    cut=st.integers(1, 79),
    other=st.integers(0, 3),
)
def test_a_prediction_depends_on_nothing_after_it(ids, cut, other):
    """Reading in two parts, and another token at the place predicted, change no prediction."""
    cut = min(cut, len(ids) - 1)
    whole = AdaptiveCounts(np.array(ids)).read(0, len(ids), 0)
    counts = AdaptiveCounts(np.array([*ids[:cut], other, *ids[cut + 1 :]]))
    counts.read(0, cut, 0)
    next_one = counts.read(cut, cut + 1, 0)

    assert shares_of(whole, cut) == shares_of(next_one, 0)
    assert whole.orders[cut] == next_one.orders[0]
    assert (whole.shares > 0).all()
