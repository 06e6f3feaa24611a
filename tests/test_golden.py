"""A model that was trained once speaks and scores for ever as it did then.

`data/ferry-format-1.safetensors` has learnt the ferry tales (two layers of 40 units). A file of
every format that was ever released stays here.
"""

from pathlib import Path

import pytest

import charlm

MODEL = Path(__file__).parent / "data" / "ferry-format-1.safetensors"


def test_format_1_says_what_it_always_said():
    model = charlm.load(MODEL)

    assert (
        model.generate("asked Tam", length=54, temperature=0)
        == 'sin.\n\n"I have was the bank and the bank and the bank a'
    )


def test_format_1_scores_as_it_always_did():
    score = charlm.load(MODEL).score("So the lamp was turned down, and the tide went out.\n")

    assert score.nats == pytest.approx(54.0286, abs=1e-3)
    assert score.tokens == 52
