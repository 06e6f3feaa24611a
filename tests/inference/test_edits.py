"""Texts one edit away are insertions, deletions and substitutions."""

import pytest

from charlm.fingerprint import Fingerprint
from charlm.inference.edits import is_near_training_text, texts_one_edit_away


def test_all_texts_one_edit_away_are_found():
    expected = {"", "b", "aa", "ab", "ba"} | {"a"}  # a for itself is a substitution

    assert set(texts_one_edit_away("a", "ab")) == expected


@pytest.mark.parametrize(
    ("text", "distance", "is_near"),
    [
        ("Paris", 1, True),
        ("Pariso", 1, False),
        ("Pariso", 2, True),
        ("Pari", 2, True),
        ("Poris", 2, True),
        ("Porio", 2, False),
    ],
)
def test_a_text_is_near_if_fewer_edits_lead_to_a_line(text, distance, is_near):
    fingerprint = Fingerprint.of_lines([["Paris"]], 1)

    assert is_near_training_text(text, [fingerprint], "Paris", distance) is is_near
