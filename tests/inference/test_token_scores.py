"""The scores of tokens are known beforehand and add up to the score of the text."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.formatting import token_name
from charlm.inference.model import Model

TEXT = "the cat sat on the mat.\n\nwhere did it go?\r\n客 went  home\n"


@pytest.fixture
def model_of(random_model):
    """Build a model with random weights and any tokenizer."""
    return lambda kind, **config: random_model(kind, TEXT * 4, **config)


def names(scores):
    return [token_name(scores.pieces[token]) for token in scores.ids]


def spans(scores):
    return [scores.text[start:stop] for start, stop in zip(scores.start, scores.stop, strict=True)]


def bits(nats):
    return (np.asarray(nats) / math.log(2)).tolist()


def test_surprisal_entropy_rank_and_top_tokens_are_those_of_the_prediction(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.25, "c": 0.125, "\n": 0.125})
    scores = model.score_tokens("acb", top_tokens=2)

    assert names(scores) == ["a", "c", "b"]
    assert bits(scores.nats) == pytest.approx([1, 3, 2], rel=1e-6)
    assert bits(scores.entropy) == pytest.approx([1.75] * 3, rel=1e-6)
    assert scores.rank.tolist() == [1, 3, 2]
    assert [[scores.pieces[token] for token in row] for row in scores.top_tokens] == [
        ["a", "b"]
    ] * 3
    assert bits(scores.top_nats[0]) == pytest.approx([1, 2], rel=1e-6)


def test_there_are_no_more_top_tokens_than_tokens(unigram_model):
    scores = unigram_model({"a": 0.5, "b": 0.5}).score_tokens("a", top_tokens=1000)

    assert scores.top_tokens.shape == scores.top_nats.shape == (1, 258)
    assert sorted(scores.top_tokens[0].tolist()) == list(range(258))


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("task", ["text", "lines"])
def test_tokens_add_up_to_the_text_and_have_their_positions(model_of, kind, direction, task):
    model = model_of(kind, direction=direction, task=task)
    scores = model.score_tokens(TEXT)
    whole = model.score(TEXT)

    assert len(scores.ids) == whole.tokens
    assert math.fsum(scores.nats) == pytest.approx(whole.nats, rel=1e-9)
    assert (np.diff(scores.start) >= 0).all()
    for name, text, token in zip(names(scores), spans(scores), scores.ids, strict=True):
        piece = scores.pieces[token]
        if piece is None:
            assert text in (("\n", "\r") if direction == "forward" else ("",))
        elif isinstance(piece, int):
            assert piece in text.encode(), name
        else:
            assert text == piece


@given(st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_covered_by_its_tokens(random_checkpoint, text):
    scores = Model(random_checkpoint(" abc客")).score_tokens(text)

    covered = {
        index
        for start, stop in zip(scores.start, scores.stop, strict=True)
        for index in range(start, stop)
    }
    assert covered == set(range(len(text)))
    assert "".join(spans(scores.by_character())) == text
    assert math.fsum(scores.character_nats()) == pytest.approx(scores.nats.sum(), rel=1e-9)


def test_documents_and_the_sources_of_pairs_keep_their_positions(random_checkpoint):
    documents = Model(random_checkpoint(document_separator="%%")).score_tokens("ab%%%%c%%")
    pairs = Model(random_checkpoint(task="pairs")).score_tokens("a\tbc\n\nde\tf")

    assert documents.start.tolist() == [0, 1, 6]
    assert pairs.start.tolist() == [2, 3, 4, 9, 10]
    assert names(pairs) == ["b", "c", "<end>", "f", "<end>"]


def test_the_bytes_of_a_character_are_one_entry(unigram_model):
    e, acute = "é".encode()
    model = unigram_model({"a": 0.5, e: 0.25, acute: 0.25})
    scores = model.score_tokens("aéa").by_character()

    assert spans(scores) == ["a", "é", "a"]
    assert bits(scores.nats) == pytest.approx([1, 4, 1], rel=1e-6)
    assert bits(scores.entropy) == pytest.approx([1.5, 3, 1.5], rel=1e-6)


def test_two_characters_in_bytes_stay_two_entries(random_checkpoint):
    assert spans(Model(random_checkpoint("a")).score_tokens("éé客").by_character()) == list("éé客")


def test_words_are_sums_of_their_tokens_and_hold_the_space_before_them(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.25, " ": 0.125, "\n": 0.125})
    words = model.score_tokens("ab  ba\nb \n").by_word()

    assert spans(words) == ["ab", "  ba", "\n", "b", " \n"]
    assert bits(words.nats) == pytest.approx([3, 9, 3, 2, 6], rel=1e-6)
    assert words.rank.tolist() == [2, 3, 3, 2, 3]  # of the most surprising token
    assert bits(words.entropy) == pytest.approx([2 * 1.75, 4 * 1.75, 1.75, 1.75, 3.5], rel=1e-6)


def test_the_end_of_a_line_is_not_part_of_a_word(unigram_model):
    model = unigram_model({"a": 0.5, " ": 0.25, None: 0.25}, task="lines")
    words = model.score_tokens("a a\na\n").by_word()

    assert spans(words) == ["a", " a", "\n", "a", "\n"]
    assert names(words)[2] == names(words)[4] == "<end>"


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_words_add_up_to_the_text_whatever_the_tokenizer(model_of, kind):
    model = model_of(kind)
    words = model.score_tokens(TEXT).by_word()

    assert [text.strip() for text in spans(words) if not text.isspace()] == TEXT.split()
    assert [text for text in spans(words) if text.isspace()] == ["\n\n", "\r\n", "\n"]
    assert math.fsum(words.nats) == pytest.approx(model.score(TEXT).nats, rel=1e-9)


def test_an_empty_text_has_no_tokens(random_checkpoint):
    scores = Model(random_checkpoint()).score_tokens("")

    assert len(scores.ids) == len(scores.by_word().ids) == len(scores.by_character().ids) == 0
    assert scores.character_nats() == []


def test_a_long_text_is_cut_and_adds_up(verse_checkpoint, verse_path):
    model = Model(verse_checkpoint)
    text = verse_path.read_text(encoding="utf-8") * 2
    scores, whole = model.score_tokens(text), model.score(text)

    assert len(scores.ids) == whole.tokens > 8192
    assert math.fsum(scores.nats) == pytest.approx(whole.nats, rel=1e-9)


def test_an_end_before_a_line_is_not_joined_with_its_first_character(random_checkpoint):
    model = Model(random_checkpoint("ab", direction="backward", task="lines"))
    scores = model.score_tokens("---\nb\n")

    assert names(scores.by_character()) == names(scores)
    assert names(scores)[0] == "<end>"
