"""What a mask matches is one mark to the model, in learning, scoring and seeds; never in print."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import ModelConfig
from charlm.corpus.masks import MARK, masked, masked_lines, offsets_of_masked
from charlm.errors import ConfigError
from charlm.inference.model import Model

DIGITS = "[0-9]+"
LATER = "07:15 door 3 opens"
MASKED = "□:□ door □ opens"


@pytest.fixture
def models(random_checkpoint):
    """The same weights with the mask, and without."""
    with_mask, plain = (
        random_checkpoint(" :denoprs□", task="lines", mask=mask) for mask in (DIGITS, None)
    )
    return Model(with_mask), Model(plain)


def test_a_match_becomes_one_mark_line_by_line():
    assert masked_lines(["12:30 a1", "", "b"], DIGITS) == ["□:□ a□", "", "b"]
    assert masked_lines(["12:30"], None) == ["12:30"]
    assert masked("id 7\r\nid 8\n9", "[0-9]$") == "id □\nid □\n□"


def test_a_mask_that_matches_the_empty_text_adds_no_marks():
    assert masked_lines(["a1b", ""], "[0-9]*") == ["a□b", ""]


@given(st.text("a1 \t", max_size=30))
def test_offsets_are_those_of_the_kept_characters(line):
    [offsets] = offsets_of_masked([line], DIGITS)
    result = masked(line, DIGITS)

    assert len(offsets) == len(result) + 1
    assert offsets[-1] == len(line)
    for character, offset in zip(result, offsets, strict=False):
        assert line[offset] == character or (character == MARK and line[offset] == "1")


def test_every_score_of_a_line_is_that_of_the_masked_line(models):
    model, plain = models
    expected = plain.score(MASKED)

    assert model.score(LATER) == expected
    assert list(model.score_lines([LATER])) == list(plain.score_lines([MASKED]))
    assert model.score_tokens(LATER).nats.sum() == pytest.approx(expected.nats)
    assert model.score_tokens(LATER).by_word().nats.sum() == pytest.approx(expected.nats)


def test_the_place_of_a_token_is_that_of_the_text_which_its_mark_stands_for(models):
    scores = models[0].score_tokens(f"{LATER}\n{LATER}\n")
    texts = [scores.text[a:b] for a, b in zip(scores.start, scores.stop, strict=True)]

    assert "".join(texts) == scores.text
    assert texts[:3] == ["07", ":", "15"]
    words = scores.by_word()
    assert [words.text[a:b] for a, b in zip(words.start, words.stop, strict=True)][:2] == [
        "07:15",
        " door",
    ]


def test_a_seed_text_is_read_with_masks(models):
    model, plain = models

    assert model.generate("12:59 ", rng_seed=3, length=20) == plain.generate(
        "□:□ ", rng_seed=3, length=20
    )


def test_the_corpus_holds_marks_in_both_parts(corpus_of):
    lines = [f"{hour:02}:{hour + 20} door {hour} opens" for hour in range(40)]
    corpus = corpus_of("\n".join(lines), task="lines", mask=DIGITS)

    for part in (corpus.train, corpus.validation):
        tokens = part.ids[part.ids != corpus.tokenizer.boundary_id]
        assert set(corpus.tokenizer.decode(tokens).split("s")) == {MASKED[:-1], ""}
    assert corpus.fingerprint.holds(MASKED)
    assert not np.isin(range(256), np.unique(corpus.train.ids)).any()


def test_a_mask_is_for_lines_and_must_be_a_regular_expression():
    with pytest.raises(ConfigError, match="a mask is for lines"):
        ModelConfig(mask=DIGITS)
    with pytest.raises(ConfigError, match="mask is not a valid regular expression"):
        ModelConfig(mask="[", task="lines")
    with pytest.raises(ConfigError, match="mask must be a text of at most 1,000 characters"):
        ModelConfig(mask="a" * 1001, task="lines")


def test_models_with_other_masks_cannot_be_mixed(models):
    with pytest.raises(ConfigError, match="only models with the same mask can be mixed"):
        models[0].mixed(models[1])
