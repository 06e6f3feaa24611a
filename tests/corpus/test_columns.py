"""Lines with columns as examples."""

import pytest

from charlm.config import CorpusConfig
from charlm.corpus.columns import LineLayout, as_source, as_typed, with_columns
from charlm.corpus.examples import BOUNDARIES
from charlm.errors import ConfigError, CorpusError

CONLLU = """# text = The cat's here
1-2\tThe\t_\t_
1\tThe\tthe\tDET
2\tcat\tcat\tNOUN

1\tNo\tno\tINTJ
"""


def examples(layout, text):
    lines = text.split("\n")
    layout.check(lines, "FILE", first=1, hint="")
    return [example for part in layout.examples([lines]) for example in part]


def test_lines_of_tags_are_sentences_up_to_an_empty_line():
    layout = LineLayout("tags")

    assert examples(layout, "The\tDET\ncat\tNOUN\n\n\n#\tSYM\n") == [
        "The\tDET\ncat\tNOUN",
        "#\tSYM",
    ]


def test_comments_and_ranges_of_conllu_are_left_out():
    assert examples(LineLayout("tags", (2, 4)), CONLLU) == ["The\tDET\ncat\tNOUN", "No\tINTJ"]


def test_a_sentence_may_lie_across_batches():
    layout = LineLayout("tags")
    batches = [["a\tX"], ["b\tY", ""], ["c\tZ"]]

    assert list(layout.examples(batches)) == [[], ["a\tX\nb\tY"], [], ["c\tZ"]]


def test_features_are_part_of_the_source():
    layout = LineLayout("pairs", (1, 2, 3))

    assert examples(layout, "gel\tgeldi\tV;PST\n") == ["gel\x1fV;PST\tgeldi"]
    assert examples(LineLayout("pairs", (3, 1)), "a\tb\tc") == ["c\ta"]


def test_a_third_column_of_the_first_line_holds_features():
    config = CorpusConfig(task="pairs")

    assert with_columns(config, "a\tb\tc") == (1, 2, 3)
    assert with_columns(config, "a\tb") is None
    assert with_columns(CorpusConfig(task="labels"), "a\tb\tc") is None
    assert with_columns(CorpusConfig(task="pairs", columns=(2, 1)), "a\tb\tc") == (2, 1)


def test_a_source_is_written_with_a_tab_before_its_features():
    assert as_source("gel\tV;PST", (1, 2, 3)) == "gel\x1fV;PST"
    assert as_source("gel\tV", None) == "gel\tV"
    assert as_typed("gel\x1fV;PST") == "gel\tV;PST"


@pytest.mark.parametrize(
    ("task", "columns", "line", "problem"),
    [
        ("labels", None, "a text", "has no tab, but a line is a text, one tab and its label"),
        ("tags", None, "a\tb\tc", "has 2 tabs, but a line is a token, one tab and its tag"),
        ("tags", (2, 4), "1\ta\tb", "has 2 tabs, but column 4 is needed"),
        ("pairs", (1, 2, 3), "a\tb", "has 1 tab, but a line with features is a source"),
    ],
)
def test_a_line_without_the_columns_is_named(task, columns, line, problem):
    with pytest.raises(CorpusError, match=f"FILE, line 3, {problem}"):
        LineLayout(task, columns).check(["", "", line], "FILE", first=1, hint="")


@pytest.mark.parametrize("columns", [(1,), (1, 1), (0, 1), (1, 2, 3, 4), "12"])
def test_columns_are_two_or_three_different_numbers(columns):
    with pytest.raises(ConfigError, match="columns must be"):
        CorpusConfig(task="pairs", columns=columns)


def test_lines_have_no_columns():
    with pytest.raises(ConfigError, match="columns are for pairs"):
        CorpusConfig(task="lines", columns=(1, 2))


def test_a_label_and_its_text_are_one_example(corpus_of):
    corpus = corpus_of("some words\tyes\nothers\tno\n" * 10, task="labels")
    text = corpus.train

    assert corpus.tokenizer.pieces[corpus.tokenizer.first_symbol :] == ("no", "yes")
    assert (len(text.boundaries) - 1) // BOUNDARIES["labels"] == 18
    assert text.predictions == text.characters == 18


def test_the_boundaries_of_tags_are_the_ends_of_sentences(corpus_of):
    corpus = corpus_of("The\tDET\ncat\tNOUN\n\nNo\tINTJ\n\n" * 10, task="tags")
    text = corpus.train

    assert corpus.examples == 20
    assert len(text.boundaries) == 1 + 18
    assert (text.ids[text.boundaries] == corpus.tokenizer.boundary_id).all()
    assert text.predictions == 30 - 2  # the two sentences that are held out have one token each


@pytest.mark.parametrize("text", ["a\tyes\n" * 20, "a\tyes\nb\t\n" * 20])
def test_labels_are_two_or_more_and_not_empty(corpus_of, text):
    with pytest.raises(CorpusError, match=r"1 different labels|empty labels"):
        corpus_of(text, task="labels")


def test_targets_of_frequent_short_parts_are_symbols(corpus_of):
    phones = corpus_of("".join(f"w{n}\tw ə {'n' * (n % 2)}n\n" for n in range(40)), task="pairs")
    words = corpus_of("".join(f"w{n}\tword{n} word{n + 1}\n" for n in range(40)), task="pairs")
    letters = corpus_of("b\ta\n" * 40, task="pairs")

    assert phones.tokenizer.separator == " "
    assert words.tokenizer.separator is letters.tokenizer.separator is None


def test_a_separator_may_be_given(corpus_of):
    text = "".join(f"word{n}\tw-ə-{n % 3}\n" for n in range(40))

    assert corpus_of(text, task="pairs", separator="-").tokenizer.separator == "-"
    assert corpus_of(text, task="pairs").tokenizer.separator is None
    spaced = text.replace("-", " ")
    assert corpus_of(spaced, task="pairs", separator="").tokenizer.separator is None
