"""A table of n-grams over six tokens, for several tests."""

import numpy as np

from charlm.ngram import count_ngrams

BOUNDARY = 6
IDS = np.random.default_rng(1).choice(6, 3000, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])


def table_of(ids, order):
    ids = np.array([BOUNDARY, *ids])
    return count_ngrams(ids, ids != BOUNDARY, order=order, outputs=BOUNDARY, boundary_id=BOUNDARY)
