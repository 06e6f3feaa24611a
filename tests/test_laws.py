"""The laws of CONTRIBUTING, one test each at least.

Here each has one plain case on a trained model. The tests of the modules go further.
"""

import json
import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import charlm
from charlm import tokenizers
from charlm.checkpoint import Checkpoint
from charlm.corpus.windows import prefix_of
from charlm.errors import CheckpointError
from charlm.inference.combination import network_of
from charlm.inference.model import Model
from charlm.training.scoring import Scorer

pytestmark = pytest.mark.repetitive


@pytest.fixture(scope="module")
def model(verse_checkpoint):
    return Model(verse_checkpoint)


TOKENIZERS = [
    tokenizers.train(kind, ["the cat sat on the café's mat.\n" * 9], vocab_size=30)
    for kind in ("char", "byte", "word", "bpe", "unigram")
]


@given(text=st.text(st.characters(codec=None, exclude_categories=())))
def test_law_1_lossless(text):
    for tokenizer in TOKENIZERS:
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("seen", ["", "the", "客"])
def test_law_2_the_probabilities_of_all_continuations_sum_to_one(
    model, verse_checkpoint, score_segments, seen
):
    """p(seen + one more token) over all tokens, each scored as a text, is p(seen)."""
    runtime = network_of(verse_checkpoint)
    ids, start = list(model.tokenizer.encode(seen)), model.tokenizer.boundary_id
    prefix = prefix_of(model.tokenizer, model.config)
    continued = [
        score_segments(runtime, np.array([*ids, token]), start, count=1, prefix=prefix)
        for token in range(model.tokenizer.vocab_size)
    ]

    assert math.fsum(math.exp(-nats) for nats in continued) == pytest.approx(
        math.exp(-model.score(seen).nats), rel=1e-4
    )


def test_law_2_every_character_is_predicted_the_first_included(model):
    assert model.score("the cat").tokens == 7
    assert model.score("t").nats > 0


def test_law_3_one_score_wherever_a_stream_was_cut(model, verse_path, score_segments):
    ids = model.tokenizer.encode(verse_path.read_text(encoding="utf-8"))
    uncut, *scores = (
        score_segments(model.runtime(), ids, model.tokenizer.boundary_id, count=count)
        for count in (1, 2, 3, 17)
    )

    for score in scores:
        assert abs(score - uncut) / len(ids) < 1e-4


def test_law_3_one_score_in_numpy_and_in_pytorch(model, verse_checkpoint, verse_path):
    text = verse_path.read_text(encoding="utf-8")
    in_torch, in_numpy = (
        Scorer(verse_checkpoint, torch.device("cpu")).score(text),
        model.score(text),
    )

    assert replace(in_torch, nats=0) == replace(in_numpy, nats=0)
    assert abs(in_torch.nats - in_numpy.nats) / in_numpy.tokens < 1e-4


def test_law_4_self_contained(verse_model_path, tmp_path, charlm):
    """A copy generates elsewhere, alone in its directory."""
    shutil.copy(verse_model_path, tmp_path / "model.safetensors")
    here = charlm("generate", "-m", verse_model_path, "-n", 40, "--rng-seed", 1, cwd="/")
    there = charlm("generate", "-n", 40, "--rng-seed", 1, cwd=tmp_path)

    assert there.returncode == 0
    assert there.stdout == here.stdout


def test_law_5_same_in_same_out(charlm, verse_path):
    """Two trainings, down to the last bit of the weights, and two texts."""
    for name in ("a", "b"):
        result = charlm(
            "train",
            verse_path,
            "-o",
            name,
            "--max-steps",
            30,
            "--hidden-size",
            16,
            "-q",
            env={"PYTHONHASHSEED": "random"},  # a process of its own
        )
        assert result.returncode == 0, result.stderr
    one, other = (
        charlm("generate", "-m", name, "-n", 200, "--rng-seed", 5).stdout for name in ("a", "b")
    )
    hashes = [
        json.loads(charlm("info", name, "--json").stdout)["weights_sha256"] for name in ("a", "b")
    ]

    assert one == other
    assert hashes[0] == hashes[1]


def test_law_6_nothing_is_overwritten_that_was_not_named(
    charlm, verse_path, verse_model_path, tmp_path
):
    shutil.copy(verse_model_path, tmp_path / "model.safetensors")
    result = charlm("train", verse_path, "--max-steps", 1)

    assert result.returncode == 2
    assert b"--overwrite" in result.stderr
    assert (tmp_path / "model.safetensors").read_bytes() == verse_model_path.read_bytes()


def test_law_6_the_model_path_always_holds_a_whole_file(verse_checkpoint, tmp_path, monkeypatch):
    """A save that dies before its rename leaves the model that was there."""
    path = tmp_path / "model.safetensors"
    verse_checkpoint.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError()))
    with pytest.raises(CheckpointError):
        verse_checkpoint.save(path)

    assert path.read_bytes() == before


def test_law_7_data_on_stdout_the_rest_on_stderr(charlm, verse_path):
    train = charlm("train", verse_path, "--max-steps", 20, "--hidden-size", 8)
    generate = charlm("generate", "--seed", "the", "-n", 50)
    scores = charlm("eval", "--json", stdin=b"another text than that")

    assert train.stdout == b""
    assert b"\x1b" not in train.stderr and b"\r" not in train.stderr
    assert len(generate.stdout.decode("utf-8")) == 53
    assert json.loads(scores.stdout)["tokens"] > 0
    assert generate.stderr == scores.stderr == b""


def test_law_8_a_file_is_data(verse_model_path, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    data = bytearray(verse_model_path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(CheckpointError, match="do not match their SHA-256"):
        Checkpoint.load(damaged)

    assert charlm.load(verse_model_path).config.hidden_size == 48
