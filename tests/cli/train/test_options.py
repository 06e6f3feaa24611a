"""The help of `charlm train` says what the code does."""

import re

import pytest

from charlm.cli.options import parse_duration
from charlm.config import DEFAULT_MAX_TIME, DEFAULT_SAVE_EVERY, ModelConfig, TrainingConfig
from charlm.parameters import recurrent_count
from charlm.training.optimizer import OUTPUT_RATE
from charlm.training.plan import make_plan


@pytest.fixture(scope="module")
def help_text(charlm_path):
    """The text of `charlm train --help`, on one line."""
    import os
    import subprocess

    output = subprocess.run(
        [charlm_path, "train", "--help"],
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    return " ".join(output.split())


def test_every_default_that_depends_is_shown(help_text):
    """In square brackets of our own they would be taken for markup, and vanish."""
    for default in ("5m, if no other budget", "20,000 words", "one per core", "others 0", "sgd 2"):
        assert default in help_text


def test_the_durations_of_the_help_are_the_defaults(help_text):
    shown = re.findall(r"\[default: \(([\d.]+[hms])[,)]", help_text)

    assert list(map(parse_duration, shown)) == [DEFAULT_SAVE_EVERY, DEFAULT_MAX_TIME]


def test_the_dropout_of_the_help_is_that_of_the_plan(help_text, corpus_of):
    default = help_text.partition("by epochs × recurrent weights / training tokens: ")[2]
    shown = {
        int(least): float(share)
        for least, share in re.findall(r"from (\d+) ([\d.]+)", default.partition(")")[0])
    }
    corpus, model = corpus_of("the cat sat on the mat. " * 99), ModelConfig(hidden_size=16)
    planned = set()
    for max_steps in (1, 5, 100, 400, 1000, 3000):
        plan = make_plan(corpus, model, TrainingConfig(max_steps=max_steps, device="cpu"))
        strain = plan.epochs * recurrent_count(model) / plan.tokens
        assert plan.config.dropout == [shown[least] for least in shown if least <= strain][-1]
        planned.add(plan.config.dropout)

    assert planned == set(shown.values())


def test_the_learning_rates_of_the_help_are_those_of_the_plan(help_text, corpus_of):
    rates = {
        cell: make_plan(
            corpus_of("the cat sat. " * 400),
            ModelConfig(hidden_size=8, cell=cell),
            TrainingConfig(max_steps=1, device="cpu"),
        ).config.learning_rate
        for cell in ("gru", "rnn")
    }

    assert f"adamw {rates['gru']:g}, " in help_text
    assert rates["rnn"] == pytest.approx(rates["gru"] / 4, rel=0.01)
    assert "a quarter for --cell rnn with tanh" in help_text
    assert OUTPUT_RATE == 2
    assert "an untied output matrix gets twice that" in help_text
