"""`charlm train --from` goes on from a model, on another text."""

import json

import pytest

from charlm.checkpoint import Checkpoint

OTHER = (
    "the fox ran to the den, and the owl flew to the elm.\nwhere did the fox go? ¿adónde?\n" * 40
)
ONCE = ("--precision", "fp32", "--max-steps", 1, "--learning-rate", 1e-12, "--weight-decay", 0)


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text(OTHER)
    return path


def test_training_starts_from_the_model_itself(charlm, verse_model_path, other, tmp_path):
    """The learning rate is so small that the scores before and after one step are the same."""
    before = Checkpoint.load(verse_model_path)
    result = charlm("train", other, "--from", verse_model_path, "-o", "new", *ONCE)
    after = Checkpoint.load(tmp_path / "new")
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(OTHER[round(len(OTHER) * 0.9) :])
    scores = [
        json.loads(charlm("eval", held_out, "-m", path, "--json").stdout)["bits_per_character"]
        for path in (verse_model_path, tmp_path / "new")
    ]

    assert result.returncode == 0
    assert f"step 0: validation {scores[0]:.3f} bits per character" in result.stderr.decode()
    assert scores[1] == pytest.approx(scores[0], rel=1e-5)
    assert after.config == before.config
    assert after.tokenizer.to_json() == before.tokenizer.to_json()
    assert after.provenance["from"]["weights_sha256"] == before.weights_sha256
    assert after.provenance["from"]["corpus"][0]["name"] == "verse.txt"
    assert after.provenance["corpus"][0]["name"] == "other.txt"


def test_another_text_is_learnt_and_its_new_characters_are_bytes(charlm, verse_model_path, other):
    result = charlm("train", other, "--from", verse_model_path, "-o", "new", "--max-steps", 150)
    figures = json.loads(charlm("eval", other, "-m", "new", "--json").stdout)
    description = charlm("info", "new").stdout.decode()
    generated = charlm("generate", "-m", "new", "--seed", "¿", "--length", 7, "--temperature", 0)

    assert result.returncode == 0, result.stderr.decode()
    assert "note: 7 % of the text's tokens are bytes" in result.stderr.decode()
    assert "\nfrom        a model of verse.txt, weights sha256 " in description
    assert "\nchosen      dropout 0.5 for a text that is read " in description
    assert figures["bits_per_character"] < 0.5
    assert figures["tokens"] == figures["characters"] + 2 * 40  # ¿ and ó, two bytes each; x is one
    assert generated.stdout.decode().rstrip("\n") == "¿adónde?"


def test_a_model_of_words_keeps_its_vocabulary(charlm, other, tmp_path):
    charlm("train", other, "-o", "a", "--tokenizer", "word", "--lines", "--max-steps", 5)
    result = charlm("train", other, "--from", "a", "-o", "b", "--lines", "--max-steps", 5)
    model = Checkpoint.load(tmp_path / "b")

    assert result.returncode == 0, result.stderr.decode()
    assert (model.config.task, model.tokenizer.kind) == ("lines", "word")
    assert model.provenance["training"]["bptt_length"] == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hidden-size", 64], "--hidden-size 64 is not what the model of --from has: 48"),
        (["--tokenizer", "byte"], "--tokenizer byte is not what the model of --from has: char"),
        (["--lines"], "the model of --from is one of text, not of lines"),
        (["--document-separator", r"\n\n"], " is not what the model of --from has: None"),
        (["--initialisation", "identity"], "--initialisation has no meaning with --from"),
        (["--vocab-size", 9], "--vocab-size has no meaning with --from"),
        (["--tie-weights"], "--tie-weights True is not what the model of --from has: False"),
    ],
)
def test_options_that_contradict_the_model_are_refused(
    charlm, verse_model_path, other, tmp_path, options, message
):
    result = charlm("train", other, "--from", verse_model_path, "-o", "new", *options)

    assert result.returncode == 2
    assert message in result.stderr.decode()
    assert not (tmp_path / "new").exists()


def test_options_that_agree_with_the_model_are_allowed(charlm, verse_model_path, other):
    options = ("--hidden-size", 48, "--tokenizer", "char", "--cell", "lstm")
    result = charlm("train", other, "--from", verse_model_path, "-o", "new", *options, *ONCE)

    assert result.returncode == 0, result.stderr.decode()


def test_a_missing_model_is_an_error(charlm, other):
    result = charlm("train", other, "--from", "nothing.safetensors")

    assert result.returncode == 1
    assert result.stderr.decode() == (
        "error: there is no model at nothing.safetensors\n\n"
        "hint: name a model with --from, or leave it out to train a new one\n"
    )


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_each_direction_keeps_its_weights(charlm, other, tmp_path, direction):
    small = ("--hidden-size", 16, "--direction", direction)
    charlm("train", other, "-o", "a", "--max-steps", 5, *small)
    result = charlm("train", other, "--from", "a", "-o", "b", *ONCE)
    one, two = (Checkpoint.load(tmp_path / name) for name in "ab")

    assert result.returncode == 0, result.stderr.decode()
    assert set(one.arrays) == set(two.arrays)
    for name, array in one.arrays.items():
        assert two.arrays[name] == pytest.approx(array, abs=1e-6)
