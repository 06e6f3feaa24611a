"""A line has the same score in any batch, at any length, and in a stream."""

import math
import re

import numpy as np
import pytest

from charlm.checkpoint import MOST_LINE_SCORES
from charlm.errors import ConfigError, CorpusError
from charlm.inference import line_scores as lines_module
from charlm.inference.line_scores import batches_of, line_scores
from charlm.inference.model import Model
from charlm.inference.scoring import Score

HALF = math.log(2)


@pytest.fixture
def verse(verse_checkpoint):
    return Model(verse_checkpoint)


def nats(scores):
    return [score.nats for score in scores]


def per_token(scores):
    return [score.nats_per_token for score in scores]


def test_a_line_of_text_is_its_characters_and_its_end(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.25, "\n": 0.25})

    for line in ("ab", "ab\n"):
        [score] = model.score_lines([line])
        assert (score.tokens, score.characters, score.bytes) == (3, 3, 3)
        assert score.bits == pytest.approx(1 + 2 + 2, rel=1e-6)


def test_a_model_of_lines_predicts_the_end_of_each_line(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.25, None: 0.25}, task="lines")

    for line in ("ab", "ab\n", "ab\r\n"):
        [score] = model.score_lines([line])
        assert score == model.score("ab")
        assert score.bits == pytest.approx(1 + 2 + 2, rel=1e-6)


def test_only_the_target_of_a_pair_is_scored(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.25, None: 0.25}, task="pairs")
    [score] = model.score_lines(["aaaa\tb\n"])

    assert score.bits == pytest.approx(2 + 2, rel=1e-6)
    assert score.characters == 2
    batches = model.score_batches([["a\tb", "", "b\ta"], ["a\tb", "ab", "a\tb"]], name="few.tsv")
    assert [len(next(batches)), len(next(batches))] == [3, 1]  # those before the wrong one
    with pytest.raises(CorpusError, match=r"few\.tsv, line 5, has no tab"):
        next(batches)


@pytest.mark.parametrize("task", ["text", "lines", "pairs"])
def test_an_empty_line_has_score_0_in_its_position(unigram_model, task):
    end = "\n" if task == "text" else None
    model = unigram_model({"a": 0.5, end: 0.5}, task=task)
    line = "a\ta" if task == "pairs" else "a"
    empty, full, *rest = model.score_lines(["", line, "\n", line])

    assert empty == rest[0] == Score()
    assert (empty.bits_per_character, empty.perplexity) == (0.0, 1.0)
    assert full == rest[1] != empty


def test_a_line_of_text_is_scored_as_a_text_of_one_line(verse):
    line = "where did the dog go? the dog went home."
    [score] = verse.score_lines([line])
    whole, tokens = verse.score(f"{line}\n"), verse.score_tokens(f"{line}\n")

    assert score.nats == pytest.approx(whole.nats, abs=1e-4)
    assert tokens.nats.sum() == pytest.approx(whole.nats, abs=1e-4)
    assert tokens.by_word().nats.sum() == pytest.approx(whole.nats, abs=1e-4)


def test_a_score_does_not_depend_on_other_lines_or_their_order(verse):
    lines = ["the cat sat", "x" * 300, "", "客", "where did the dog go?", "the" * 40]
    alone = [per_token(verse.score_lines([line]))[0] for line in lines]

    assert per_token(verse.score_lines(lines)) == pytest.approx(alone, abs=1e-4)
    assert per_token(verse.score_lines(lines[::-1])) == pytest.approx(alone[::-1], abs=1e-4)
    assert per_token(verse.score_lines(lines * 70)) == pytest.approx(alone * 70, abs=1e-4)


@pytest.mark.parametrize("task", ["text", "lines", "pairs"])
def test_a_long_line_is_cut_and_has_the_score_of_one_stream(random_checkpoint, task, monkeypatch):
    model = Model(random_checkpoint(task=task, scale=0.5))
    line = "abcdefgh" * 700
    line = f"{line}\t{line}" if task == "pairs" else line
    [cut] = model.score_lines([line])
    monkeypatch.setattr("charlm.corpus.windows.SEGMENT_LENGTH", 1 << 40)
    [whole] = model.score_lines([line])

    assert cut.tokens == whole.tokens == 5601
    assert cut.nats == pytest.approx(whole.nats, abs=1e-4 * cut.tokens)


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_lines_with_carried_state_add_up_to_the_text(random_model, kind):
    text = "the cat sat on the mat.\n\n\nwhere did it go?\r\n\r\n客 home\n\n"
    model = random_model(kind, text * 4)
    lines = re.findall(".*\n|.+", text)
    scores = list(model.score_lines(lines, carry=True))
    total = sum(scores, Score())
    whole = model.score(text)

    assert len(scores) == 7
    assert total.characters == len(text)
    assert total.nats == pytest.approx(whole.nats, abs=1e-4 * whole.tokens)
    assert (total.tokens, total.characters, total.bytes) == (
        whole.tokens, whole.characters, whole.bytes,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram"])
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_line_ends_that_are_one_token_add_up_wherever_a_pipe_is_cut(random_model, kind, size):
    """Several line ends are one token of words and subwords."""
    text = ("the cat sat on the mat.\n\n\nwhere did it go?\n\n" + "\n" * 17 + "home\n\n") * 3
    model = random_model(kind, text * 4)
    lines = re.findall(".*\n|.+", text)
    batches = [lines[start : start + size] for start in range(0, len(lines), size)]
    scores = [score for batch in model.score_batches(batches, carry=True) for score in batch]
    total, whole = sum(scores, Score()), model.score(text)

    assert len(scores) == len(lines)
    assert (total.tokens, total.characters) == (whole.tokens, whole.characters)
    assert total.nats == pytest.approx(whole.nats, abs=1e-4 * whole.tokens)


@pytest.mark.parametrize("size", [1, 3, 400])
def test_the_state_is_carried_from_batch_to_batch(verse, size):
    lines = ["the cat sat on the mat.\n", "where did the dog go?\n", "\n"] * 100
    batches = [lines[start : start + size] for start in range(0, len(lines), size)]
    found = [score for batch in verse.score_batches(batches, carry=True) for score in batch]

    whole = verse.score("".join(lines))
    assert math.fsum(nats(found)) == pytest.approx(whole.nats, abs=1e-4 * whole.tokens)


def test_a_carried_state_changes_the_score_of_later_lines(verse):
    lines = ["where did the dog go? the dog went home.\n"] * 3
    fresh, carried = (nats(verse.score_lines(lines, carry=carry)) for carry in (False, True))

    assert fresh[0] == pytest.approx(fresh[2], rel=1e-6)
    assert carried[2] != pytest.approx(carried[0], abs=1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"task": "lines"}, "a model of lines starts each one from the zero state"),
        ({"document_separator": "%"}, "a model of documents starts each one from the zero state"),
        ({"direction": "backward"}, "reads backward"),
    ],
)
def test_models_that_cannot_carry_their_state_are_refused(random_checkpoint, config, message):
    with pytest.raises(ConfigError, match=message):
        Model(random_checkpoint(**config)).score_lines(["a"], carry=True)


def test_backward_each_line_is_read_from_its_end(random_checkpoint):
    model = Model(random_checkpoint(direction="backward", task="lines"))
    lines = ["abc", "", "hgfedcba", "a"]

    expected = [model.score(line).nats for line in lines]
    assert nats(model.score_lines(lines)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("task", ["text", "lines"])
def test_a_line_end_within_a_line_is_refused(unigram_model, task):
    model = unigram_model({"a": 0.5, "\n" if task == "text" else None: 0.5}, task=task)
    with pytest.raises(ValueError, match="holds a line end before its own"):
        list(model.score_lines(["a\na"]))


def test_short_and_long_batches_carry_the_state_to_one_another(verse):
    lines = ["the cat sat on the mat.\n", "where did the dog go?\n"] * 250
    batches = [lines[:3], lines[3:300], lines[300:301], lines[301:303], lines[303:]]
    found = [score.nats for batch in verse.score_batches(batches, carry=True) for score in batch]
    one_by_one = [score.nats for score in verse.score_batches([lines[:1]], carry=True).__next__()]
    exact = [
        score.nats
        for batch in verse.score_batches([[line] for line in lines], carry=True)
        for score in batch
    ]

    assert found[0] == pytest.approx(one_by_one[0], abs=1e-4)
    assert found == pytest.approx(exact, abs=0.05)  # after a cut, 256 tokens stand for all before


def test_a_single_text_is_refused(verse):
    with pytest.raises(TypeError, match="several texts"):
        verse.score_lines("the cat")


def test_the_first_batches_are_small():
    requested = []
    batches = batches_of(requested.append(number) or str(number) for number in range(20_000))

    assert [len(next(batches)), len(requested)] == [1, 1]
    assert [len(next(batches)), len(requested)] == [2, 3]
    assert max(map(len, batches)) == 4096


def test_quantiles_are_the_scores_of_held_out_lines(unigram_model, corpus_of):
    corpus = corpus_of("aaaa\n" * 10 + "a\n\nab\nabb\n", validation_fraction=0.16)
    model = unigram_model({"a": 0.5, "b": 0.25, "\n": 0.25})
    found = line_scores(model.runtime(), model.tokenizer, corpus.validation)

    # Held out are the last 9 characters of 59: "\n", then "a", "" and so on, of which 3 are lines.
    assert found.tolist() == pytest.approx([3 / 2, 5 / 3, 7 / 4], rel=1e-6)


def test_many_lines_are_stored_as_quantiles(unigram_model, corpus_of, monkeypatch):
    lines = "".join("a" * (number % 7 + 1) + "\n" for number in range(4000))
    corpus = corpus_of(lines, task="lines", validation_fraction=0.5)
    model = unigram_model({"a": 0.5, None: 0.5}, task="lines")
    found = line_scores(model.runtime(), model.tokenizer, corpus.validation)

    assert found.shape == (MOST_LINE_SCORES,)
    assert found == pytest.approx(np.ones(MOST_LINE_SCORES), rel=1e-6)
    monkeypatch.setattr(lines_module, "MOST_CHARACTERS", 20)
    assert 2 <= len(line_scores(model.runtime(), model.tokenizer, corpus.validation)) <= 8


def test_one_long_line_does_not_hide_the_others(unigram_model, corpus_of):
    text = "a" * 200_000 + "\n" + "ab\n" * 50
    corpus = corpus_of("b\n" * 10 + text, task="lines", validation_fraction=0.99)
    model = unigram_model({"a": 0.5, "b": 0.25, None: 0.25}, task="lines")

    assert len(line_scores(model.runtime(), model.tokenizer, corpus.validation)) > 40


def test_a_very_long_text_is_sampled_in_parts(unigram_model, corpus_of, monkeypatch):
    monkeypatch.setattr(lines_module, "MOST_DECODED", 2000)
    monkeypatch.setattr(lines_module, "PART", 200)
    corpus = corpus_of("ab\n" * 4000, validation_fraction=0.5)
    model = unigram_model({"a": 0.5, "b": 0.25, "\n": 0.25})
    found = line_scores(model.runtime(), model.tokenizer, corpus.validation)

    assert 400 <= len(found) <= 700
    assert found == pytest.approx(np.full(len(found), 5 / 3), rel=1e-6)  # no line is cut


def test_a_single_held_out_line_has_no_quantiles(unigram_model, corpus_of):
    corpus = corpus_of("a" * 99 + "\naa\n", validation_fraction=0.03)
    model = unigram_model({"a": 0.5, "\n": 0.5})

    assert len(line_scores(model.runtime(), model.tokenizer, corpus.validation)) == 0


def test_a_percentile_is_the_share_of_held_out_lines_below(unigram_model):
    model = unigram_model({"a": 1.0})
    model.line_scores = np.array([1.0, 2.0, 3.0, 5.0, 9.0], np.float32)

    assert model.percentile(0.5) == 0
    assert model.percentile(1.0) == 0
    assert model.percentile(2.0) == pytest.approx(25, abs=0.01)
    assert model.percentile(2.5) == pytest.approx(37.5, abs=0.01)
    assert model.percentile(7.0) == pytest.approx(87.5, abs=0.01)
    assert model.percentile(9.001) == model.percentile(20.0) == 100


def test_a_line_as_common_as_the_highest_held_out_score_is_not_above_it(unigram_model):
    model = unigram_model({"a": 1.0})
    model.line_scores = np.float32([1, 2, 2, 2, 2])

    assert model.percentile(2.0) == pytest.approx(25, abs=0.01)
    assert model.percentile(2.001) == 100


def test_without_held_out_lines_there_are_no_percentiles(unigram_model):
    with pytest.raises(ConfigError, match="holds no scores of held-out lines"):
        unigram_model({"a": 1.0}).percentile(1.0)


def test_training_stores_the_scores_of_held_out_lines(verse, verse_checkpoint, verse_path):
    assert len(verse_checkpoint.line_scores) > 2
    text = verse_path.read_text(encoding="utf-8")
    scores = [score.bits_per_character for score in verse.score_lines(text.splitlines()[-3:])]

    assert 0 <= verse.percentile(min(scores)) < 100
    [odd] = verse.score_lines(["zq!! 9"])
    assert verse.percentile(odd.bits_per_character) == 100
