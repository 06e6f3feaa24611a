"""Accuracy, F1, AUC and spans."""

import pytest

from charlm.inference.class_scores import ClassScore, spans_of


def score_of(*pairs, classes=("a", "b", "c")):
    score = ClassScore(classes)
    for known, predicted in pairs:
        score.add(known, predicted)
    return score


def test_accuracy_and_f1_of_known_counts():
    """Of a: 2 right, 3 known, 2 predicted. Of b: 1 right, 1 known, 2 predicted."""
    score = score_of(("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"))

    assert score.accuracy == 0.75
    assert score.f1("a") == pytest.approx(2 * 2 / (3 + 2))
    assert score.f1("b") == pytest.approx(2 * 1 / (1 + 2))
    assert score.f1("c") == 0
    assert score.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    """Of the six pairs (0.9, 0.4) × (0.1, 0.4, 0.5), four are in order and one is equal."""
    score = ClassScore(("no", "yes"))
    score.second = [(0.9, True), (0.4, True), (0.1, False), (0.4, False), (0.5, False)]

    assert score.auc == pytest.approx(4.5 / 6)


def test_auc_needs_texts_of_both_labels():
    score = ClassScore(("no", "yes"))
    score.second = [(0.9, True)]

    assert score.auc is None


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], {(0, 2, "PER"), (3, 4, "LOC")}),
        (["B-PER", "B-PER"], {(0, 1, "PER"), (1, 2, "PER")}),
        (["I-PER", "I-LOC"], {(0, 1, "PER"), (1, 2, "LOC")}),
        (["O", "O"], set()),
    ],
)
def test_spans_of_bio_tags(tags, spans):
    assert spans_of(tags) == spans


def test_a_span_counts_if_it_is_right_as_a_whole():
    """One of two predicted spans and of two known ones is right."""
    score = ClassScore(("O", "B-PER", "I-PER", "B-LOC"))
    score.add_sentence(
        ["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O", "O", "B-LOC"], [False, True, False, True]
    )

    assert score.span_f1 == pytest.approx(0.5)
    assert score.sentences == {False: 1}
    assert score.unknown == {False: 1, True: 1}


def test_other_tags_have_no_spans():
    assert ClassScore(("NOUN", "VERB")).span_f1 is None
    assert ClassScore(("O",)).span_f1 is None
