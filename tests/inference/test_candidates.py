"""Which candidates are kept, and in which order the texts come."""

import math

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.config import CandidateFilter, ModelConfig
from charlm.errors import ConfigError
from charlm.fingerprint import Fingerprint
from charlm.inference import generation
from charlm.inference.model import Model
from charlm.parameters import parameters
from charlm.tokenizers import WordTokenizer

LETTERS = {"a": 0.5, "b": 0.25, "c": 0.25}


def texts(model, seeds=("",), *, rng_seed=0, batches=None, **more):
    selection = CandidateFilter(
        **{key: more.pop(key) for key in CandidateFilter.__dataclass_fields__ if key in more}
    )
    how = {"candidate_filter": selection, "rng_seed": rng_seed, "temperature": 1.0, **more}
    return list(
        model.generate_many(seeds, **how)
        if batches is None
        else model.generate_from_batches(batches, **how)
    )


def test_texts_come_in_the_order_of_their_seeds(unigram_model):
    model = unigram_model({"a": 0.6, None: 0.4}, task="lines")
    seeds = [f"{number}," for number in range(300)]
    found = texts(model, seeds, count=2)

    assert [text.seed for text in found] == [seed for seed in seeds for _ in range(2)]
    assert [text.number for text in found] == list(range(600))
    assert len({len(text.text) for text in found}) > 5  # some end early, some late


@pytest.mark.parametrize("side_by_side", [1, 3, 64])
def test_a_text_does_not_depend_on_those_beside_it(random_checkpoint, monkeypatch, side_by_side):
    model = Model(random_checkpoint(scale=2.0, num_layers=2, task="lines"))
    how = {"count": 40, "length": 20, "allow_chars": "abcdefgh"}
    together = texts(model, ["", "abc", "b"], **how)
    monkeypatch.setattr(generation, "MOST_SIDE_BY_SIDE", side_by_side)

    assert len({len(text.text) for text in together}) > 5
    assert texts(model, ["", "abc", "b"], **how) == together
    alone = model.generate(temperature=1.0, rng_seed=0, length=20, allow_chars="abcdefgh")
    assert together[0].text == alone


def test_a_batch_is_requested_when_the_texts_before_it_are_complete(unigram_model):
    model = unigram_model(LETTERS)
    asked, made = [], []

    def batches():
        for batch in (["1", "2"], [], ["3"]):
            asked.append((batch, len(made)))
            yield batch

    for text in model.generate_from_batches(batches(), length=3, rng_seed=0):
        made.append(text.seed)

    assert made == ["1", "2", "3"]
    assert asked == [(["1", "2"], 0), ([], 2), (["3"], 2)]


def test_nats_are_those_of_the_model_itself(unigram_model):
    """At any temperature a costs one bit and each other letter two."""
    [text] = texts(unigram_model(LETTERS), length=50, is_scored=True, temperature=3.0)
    bits = sum(1 if letter == "a" else 2 for letter in text.text)

    assert text.tokens == 50
    assert text.nats == pytest.approx(bits * math.log(2), rel=1e-5)
    assert sum(text.character_nats) == pytest.approx(text.nats)
    assert len(text.character_nats) == 50


def test_the_characters_of_a_token_share_its_nats():
    """Every token of 259 costs as much; a word has three or four characters."""
    tokenizer = WordTokenizer([" cat", " the", "dog"])
    config = ModelConfig(embedding_size=2, hidden_size=2)
    arrays = {
        each.name: np.zeros(each.shape, np.float32)
        for each in parameters(config, tokenizer.vocab_size)
    }
    model = Model(Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays))
    [text] = texts(model, length=300, is_scored=True, allow_chars="acdeghot ")
    shares = {round(nats / math.log(259), 6) for nats in text.character_nats}

    assert shares == {1.0, round(1 / 3, 6), 0.25}
    assert text.nats == pytest.approx(text.tokens * math.log(259), rel=1e-5)
    assert text.nats - math.log(259) < sum(text.character_nats) < text.nats + 1e-3


@pytest.mark.parametrize("rng_seed", range(6))
def test_the_best_of_some_is_not_one_that_was_kept_meanwhile(unigram_model, rng_seed):
    """The best is the shortest line, which both find at once, while longer ones are being made."""
    model = unigram_model({"a": 0.2, None: 0.8}, task="lines")
    found = texts(model, count=2, best_of=20, unique=True, rng_seed=rng_seed)

    assert found[0].text == "a"
    assert found[1].text.startswith("aa")


def test_unique_texts_differ_until_there_are_no_more(unigram_model):
    found = texts(unigram_model(LETTERS), length=1, count=5, unique=True, attempts=60)

    assert sorted(text.text for text in found[:3]) == ["a", "b", "c"]
    assert [(text.text, text.finish_reason) for text in found[3:]] == [(None, "attempts")] * 2


def test_texts_match(unigram_model):
    found = texts(unigram_model(LETTERS), ["x"], length=3, count=20, match="^xa.*c")

    assert all(text.text[0] == "a" and "c" in text.text for text in found)
    assert texts(unigram_model(LETTERS), length=3, match="z")[0].text is None


def test_the_best_of_some_is_the_likeliest_a_token(unigram_model):
    model = unigram_model(LETTERS)
    plain = texts(model, length=4, count=30, is_scored=True)
    best = texts(model, length=4, count=30, best_of=40, is_scored=True)

    assert [text.text for text in best].count("aaaa") > 20  # one in 16 is
    assert [text.text for text in plain].count("aaaa") < 10
    assert sum(text.nats for text in best) < sum(text.nats for text in plain)


def test_new_lines_do_not_stand_in_the_training_text(unigram_model):
    known = Fingerprint.of_lines([["a", "ab"], ["ba", "bb", "aa"]], 5)
    model = unigram_model({"a": 0.4, "b": 0.4, None: 0.2}, task="lines", fingerprints=[known])
    found = [text.text for text in texts(model, count=200, novel=True)]

    assert not set(found) & {"a", "ab", "ba", "bb", "aa"}
    assert "b" in found  # which is new
    assert [text.text for text in texts(model, ["a"], count=50, novel=True)].count("b") == 0


def test_lines_keep_a_distance_from_the_training_text(unigram_model):
    """One edit away from "ab" are a, b, aab, bab, abb, aba, aa, bb; from "" only a and b."""
    known = Fingerprint.of_lines([["ab", "bbbb"]], 2)
    letters = {"a": 0.35, "b": 0.35, None: 0.3}
    model = unigram_model(letters, task="lines", fingerprints=[known])
    far = {text.text for text in texts(model, count=400, min_distance=2)}
    new = {text.text for text in texts(model, count=400, min_distance=1)}

    assert not far & {"ab", "a", "b", "aab", "bab", "abb", "aba", "aa", "bb", "bbb", "abbb"}
    assert {"ba", "aaa", "bba"} <= far
    assert "a" in new and not new & {"ab", "bbbb"}


def test_a_distance_is_for_lines(unigram_model):
    known = Fingerprint.of_lines([["ab"]], 1)
    with pytest.raises(ConfigError, match="needs a model of lines"):
        texts(unigram_model(LETTERS, fingerprints=[known]), min_distance=2)


def test_no_field_comes_twice(unigram_model):
    """The field is the letter after the first. A text without one is not kept."""
    model = unigram_model({"a": 0.3, "b": 0.3, "c": 0.1, None: 0.3}, task="lines")
    found = [text.text for text in texts(model, count=8, unique_by="^.(.)", attempts=300)]

    assert sorted(text[1] for text in found if text is not None) == ["a", "b", "c"]
    assert found.count(None) == 5


def test_a_field_is_new(unigram_model):
    model = unigram_model({"a": 0.3, "b": 0.3, None: 0.4}, task="lines")
    options = {"novel_by": "^(..?)$", "known_fields": frozenset({"aa", "b"})}

    assert {text.text for text in texts(model, count=100, **options)} == {"a", "bb", "ab", "ba"}


def test_new_lines_of_a_model_without_a_fingerprint_are_refused(unigram_model):
    with pytest.raises(ConfigError, match="has no fingerprint"):
        texts(unigram_model(LETTERS), novel=True)


def test_of_pairs_the_answer_counts(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.2, None: 0.3}, task="pairs")
    found = texts(model, ["x", "y"], match="^ab?$", unique=True)

    assert {text.text for text in found} == {"a", "ab"}


def test_a_mixture_is_novel_only_with_fingerprints_of_both_models(unigram_model):
    known = Fingerprint.of_lines([["a"]], 1)
    letters = {"a": 0.8, "b": 0.1, None: 0.1}
    model = unigram_model(letters, task="lines", fingerprints=[known])
    new = texts(model.mixed(model), ["", "a"], length=1, count=50, novel=True, attempts=100)

    assert "a" not in {text.seed + text.text for text in new}
    assert not model.mixed(unigram_model(letters, task="lines")).fingerprints


def test_no_line_is_empty(unigram_model):
    model = unigram_model({"a": 0.01, None: 0.99}, task="lines")

    assert {text.text for text in texts(model, count=50)} == {"a"}
    assert "" in {text.text for text in texts(model, ["x"], count=50)}


def test_all_filters_hold_at_once(unigram_model):
    model = unigram_model(dict.fromkeys("abcdefghij", 0.1))
    found = texts(
        model, length=2, count=8, best_of=3, unique=True, match="^[a-c][a-c]$", attempts=500
    )

    assert len({text.text for text in found}) == 8
    assert all(set(text.text) <= set("abc") for text in found)


def test_of_a_very_large_vocabulary_fewer_texts_are_side_by_side(unigram_model, monkeypatch):
    """The logits of all sequences together are bounded, and texts stay the same."""
    model = unigram_model({"a": 0.5, "b": 0.5})
    how = {"length": 20, "rng_seed": 1}
    expected = [text.text for text in model.generate_many([""] * 9, **how)]
    rows = []
    network = model.runtime()
    predict = network.predict
    monkeypatch.setattr(
        network, "predict", lambda ids, state: (rows.append(len(ids)), predict(ids, state))[1]
    )
    monkeypatch.setattr("charlm.inference.generation.MOST_LOGITS", 2 * 258 + 1)

    assert [text.text for text in model.generate_many([""] * 9, **how)] == expected
    assert max(rows) == 2
