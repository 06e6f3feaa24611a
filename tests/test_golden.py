"""A model of every released format generates and scores as it did when it was trained.

`data/ferry-format-1.safetensors` was trained on the ferry tales: two layers of 40 units, before
there was a choice of cells and tasks. `data/places-format-1.safetensors` was trained on the place
names as lines: a GRU of 40 units, tied, with SentencePiece's subwords.
"""

from pathlib import Path

import pytest

import charlm

MODEL = Path(__file__).parent / "data" / "ferry-format-1.safetensors"
PLACES = MODEL.with_name("places-format-1.safetensors")


def test_format_1_generates_the_same_text():
    model = charlm.load(MODEL)

    assert (
        model.generate("asked Tam", length=54, temperature=0)
        == 'sin.\n\n"I have was the bank and the bank and the bank a'
    )


def test_format_1_scores_the_same():
    score = charlm.load(MODEL).score("So the lamp was turned down, and the tide went out.\n")

    assert score.nats == pytest.approx(54.0286, abs=1e-3)
    assert score.tokens == 52


def test_format_1_has_lines_subwords_and_other_cells():
    model = charlm.load(PLACES)
    score = model.score("Ferry Reach\nOld Marrow\n")

    assert model.generate("New ", temperature=0) == "Fore"
    assert score.nats == pytest.approx(45.6878, abs=1e-3)
    assert (score.tokens, score.characters) == (16, 23)
