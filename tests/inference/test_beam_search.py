"""The likeliest answers, with probabilities that are known beforehand."""

import itertools
import math

import pytest

from charlm.config import CandidateFilter, GenerationConfig
from charlm.errors import ConfigError
from charlm.inference.beam_search import likeliest_answers


def answers_of(model, source, count, **settings):
    settings = GenerationConfig(temperature=0, **settings)
    return likeliest_answers(model._generator(settings), source, count)


def test_the_likeliest_answers_come_first_with_their_probabilities(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.2, None: 0.3}, task="pairs")
    answers = answers_of(model, "ab", 4)

    assert [answer.text for answer in answers] == ["", "a", "aa", "b"]
    assert [math.exp(-answer.nats) for answer in answers] == pytest.approx(
        [0.3, 0.5 * 0.3, 0.5**2 * 0.3, 0.2 * 0.3], rel=1e-5
    )
    assert [answer.tokens for answer in answers] == [1, 2, 3, 2]


def test_the_search_finds_what_a_search_of_all_answers_finds(random_model):
    model = random_model("char", "ab", task="pairs", hidden_size=9)
    letters = "ab"
    every = [
        "".join(answer)
        for length in range(7)
        for answer in itertools.product(letters, repeat=length)
    ]
    scores = {answer: model.score(f"ba\t{answer}").nats for answer in every}
    found = [answer for answer in answers_of(model, "ba", 60) if set(answer.text) <= {*letters}]

    best = min(scores, key=scores.get)
    assert found[0].text == best
    assert found[0].nats == pytest.approx(scores[best], rel=1e-4)
    for answer in found:
        if answer.text in scores:
            assert answer.nats == pytest.approx(scores[answer.text], rel=1e-4)


def test_each_source_has_its_answers_and_a_blank_one_a_blank_answer(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.2, None: 0.3}, task="pairs")
    texts = list(model.generate_many(["ab", " ", "b"], candidate_filter=CandidateFilter(count=2)))

    assert [(text.seed, text.text) for text in texts] == [
        ("ab", ""), ("ab", "a"), (" ", ""), ("b", ""), ("b", "a"),
    ]  # fmt: skip
    assert model.generate("") == model.generate("\u00a0") == ""


def test_likeliest_answers_are_neither_filtered_nor_constrained(unigram_model):
    model = unigram_model({"a": 0.5, None: 0.5}, task="pairs")
    many = CandidateFilter(count=2, match="a")
    for settings in ({"candidate_filter": many}, {"allow_chars": "a"}, {"words": 1}):
        settings = {"candidate_filter": CandidateFilter(count=2), **settings}
        with pytest.raises(ConfigError, match="likeliest answers are not filtered"):
            list(model.generate_many(["a"], **settings))
