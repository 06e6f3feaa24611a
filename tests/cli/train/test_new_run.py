"""`charlm train --from` goes on from a model, on another text."""

import json
from dataclasses import replace

import pytest
import typer

from charlm.checkpoint import Checkpoint
from charlm.cli import app
from charlm.cli.train.new_run import load_new_run
from charlm.errors import ConfigError
from charlm.inference.model import Model
from charlm.process_group import SINGLE_PROCESS

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
        Model(replace(model, ngrams={})).score(held_out.read_text()).bits_per_character
        for model in (before, after)
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
    result = charlm("train", other, "--from", verse_model_path, "-o", "new", "--max-steps", 250)
    figures = json.loads(charlm("eval", other, "-m", "new", "--json").stdout)
    description = charlm("info", "new").stdout.decode()
    generated = charlm("generate", "-m", "new", "--seed", "¿", "--length", 7, "--temperature", 0)

    assert result.returncode == 0, result.stderr.decode()
    assert "note: 7 % of the text's tokens are bytes" in result.stderr.decode()
    assert "\nfrom        a model of verse.txt, weights sha256 " in description
    assert "\nchosen      dropout 0.5 for " in description
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


def test_a_missing_model_is_an_error(charlm, other):
    result = charlm("train", other, "--from", "nothing.safetensors")

    assert result.returncode == 2
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


def settings_of(*options):
    """Return the settings of a command line."""
    command = typer.main.get_command(app).commands["train"]
    context = command.make_context("train", ["text", *map(str, options)])
    return load_new_run(context, SINGLE_PROCESS)


def test_options_are_the_fields_of_their_configs():
    run = settings_of(
        "--hidden-size", 9, "--lines", "--max-time", "2m", "--validation-fraction", 0.2,
        "--forget-bias", 2, "--embeddings", "vectors",
    )  # fmt: skip

    assert (run.model.hidden_size, run.model.task, run.corpus.task) == (9, "lines", "lines")
    assert (run.config.max_time, run.config.forget_bias) == (120.0, 2.0)
    assert run.corpus.validation_fraction == 0.2
    assert str(run.embeddings) == "vectors"
    assert not run.may_resize
    assert run.options["max_time"] == 120.0
    assert settings_of().may_resize


@pytest.mark.parametrize(
    ("options", "is_tied"),
    [
        (["--tokenizer", "word"], True),
        (["--tokenizer", "word", "--no-tie-weights"], False),
        ([], False),
        (["--tie-weights"], True),
    ],
)
def test_weights_are_tied_for_words_by_default(options, is_tied):
    assert settings_of(*options).model.tie_weights == is_tied


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cell", "gru", "--forget-bias", "2"], "forget-bias needs --cell lstm"),
        (["--residual"], "residual connections are between layers"),
        (["--dropout", "1"], "dropout must be at least 0 and below 1"),
        (["--vocab-size", 500], "vocab-size has no meaning for the char tokenizer"),
        (["--lines", "--document-separator", "%"], "document-separator is for running text"),
        (["--document-separator", ""], "document-separator must not be empty"),
        (["--embeddings", "x", "--embedding-size", 3], "--embeddings sets the embedding size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        settings_of(*options)


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
def test_options_that_contradict_the_model_are_refused(verse_model_path, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        settings_of("--from", verse_model_path, *options)

    assert caught.value.hint.startswith(f"leave out {options[0]}")


def test_options_that_agree_with_the_model_are_allowed(verse_model_path):
    options = ("--hidden-size", 48, "--tokenizer", "char", "--cell", "lstm")
    run = settings_of("--from", verse_model_path, *options)

    assert (run.model.hidden_size, run.tokenizer.kind, run.may_resize) == (48, "char", False)
