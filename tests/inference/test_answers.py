"""Answers of a model of pairs: exact matches and edits, against several targets."""

import pytest

from charlm.inference.answers import AnswerScore, answers_of, edit_distance


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("same", "same", 0),
        ("ab", "ba", 2),
        (["a", "bc"], ["a", "d", "bc"], 1),
    ],
)
def test_the_edit_distance_is_that_of_levenshtein(first, second, distance):
    assert edit_distance(first, second) == distance


@pytest.fixture
def answers(unigram_model):
    """Of a model whose likeliest token is always the end, so that it answers nothing."""
    model = unigram_model({"a": 0.2, " ": 0.2, None: 0.6}, task="pairs")

    def run(pairs, **options):
        return list(answers_of(model, pairs, **options))

    return run


def test_the_nearest_of_several_targets_counts(answers):
    [one, other] = answers([("x", "aaa"), ("y", "a"), ("x", "a"), ("x", "aa")])

    assert (one.source, one.target, one.answer, one.edits, one.symbols) == ("x", "a", "", 1, 1)
    assert (other.source, other.edits) == ("y", 1)


def test_symbols_may_be_what_stands_between_separators(answers):
    [plain], [parted] = (answers([("x", "aa a")], separator=mark) for mark in (None, " "))

    assert (plain.edits, plain.symbols) == (4, 4)
    assert (parted.edits, parted.symbols) == (2, 2)


def test_scores_are_sums(answers):
    score = AnswerScore.of(answers([("x", "aaa"), ("y", ""), ("z", "a")]))

    assert (score.sources, score.exact, score.edits, score.symbols) == (3, 1, 4, 4)
    assert score.exact_match == pytest.approx(1 / 3)
    assert score.symbol_error_rate == 1.0
    assert AnswerScore().exact_match == AnswerScore().symbol_error_rate == 0.0
