"""A model file comes back whole or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from charlm import tokenizers
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.fingerprint import Fingerprint
from charlm.parameters import parameters

LINE_FINGERPRINT = {"kind": "lines", "entries": 1, "stride": 1, "hashes": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(random_checkpoint, path):
    random_checkpoint().save(path)
    return path


def checkpoint_of_zeros(tokenizer, **config):
    config = ModelConfig(embedding_size=2, hidden_size=2, **config)
    arrays = {
        parameter.name: np.zeros(parameter.shape, np.float32)
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    return Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)


def test_what_was_saved_is_loaded(random_checkpoint, path):
    saved = replace(random_checkpoint(num_layers=2), provenance={"steps": 7})
    saved.save(path)
    loaded = Checkpoint.load(path)

    assert loaded.config == saved.config
    assert loaded.tokenizer.pieces == saved.tokenizer.pieces
    assert loaded.provenance == saved.provenance
    assert loaded.arrays.keys() == saved.arrays.keys()
    assert all((loaded.arrays[name] == saved.arrays[name]).all() for name in saved.arrays)
    assert loaded.weights_sha256 == saved.weights_sha256


def test_the_same_model_makes_the_same_file(random_checkpoint, tmp_path):
    for name in ("a", "b"):
        random_checkpoint().save(tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_fingerprints_are_saved_with_the_model(random_checkpoint, path):
    fingerprints = (
        Fingerprint.of_lines([["Anna", "Bob"]], 2),
        Fingerprint.of_texts([["long " * 20]], 100),
    )
    replace(random_checkpoint(), fingerprints=fingerprints).save(path)
    lines, shingles = Checkpoint.load(path).fingerprints

    assert [lines.holds(name) for name in ("Anna", "Bob", "Eve")] == [True, True, False]
    assert shingles.holds("long " * 12) and not shingles.holds("short " * 12)


def test_a_malformed_fingerprint_is_damage(random_checkpoint, path):
    malformed = replace(Fingerprint.of_lines([["Anna"]], 1), hashes=0)
    replace(random_checkpoint(), fingerprints=[malformed]).save(path)

    with pytest.raises(CheckpointError, match="is damaged: its fingerprint"):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0, 2.0, 2.0], None),
        ([2.0, 1.0], "line_scores are not in ascending order"),
        ([1.0, np.nan], "line_scores are not finite, or too large"),
        ([-3e38, 3e38], "line_scores are not finite, or too large"),
        ([[1.0, 2.0]], "line_scores is F32 of shape"),
        (np.arange(1002.0), "line_scores is F32 of shape"),
    ],
)
def test_line_scores_are_saved_in_ascending_order(random_checkpoint, path, scores, message):
    scores = np.array(scores, np.float32)
    replace(random_checkpoint(), line_scores=scores).save(path)
    if message is None:
        assert np.array_equal(Checkpoint.load(path).line_scores, scores)
        return
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.load(path)


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_a_tokenizer_of_any_kind_is_saved_with_the_model(path, kind):
    text = "the cat sat on the mat, and the dog sat on the log.\n" * 9
    tokenizer = tokenizers.train(kind, [text], vocab_size=50, reserved="\n")
    saved = checkpoint_of_zeros(tokenizer, task="lines", tie_weights=True)
    saved.save(path)
    loaded = Checkpoint.load(path)

    assert loaded.config == saved.config
    assert loaded.tokenizer.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert loaded.arrays.keys() == saved.arrays.keys()


def test_a_damaged_sentencepiece_model_is_refused_before_it_is_used(path):
    tokenizer = tokenizers.train("bpe", ["the cat sat on the mat. " * 9], vocab_size=50)
    checkpoint_of_zeros(tokenizer).save(path)
    data = bytearray(path.read_bytes())
    data[data.index(tokenizer.binary) + 20] ^= 1
    path.write_bytes(data)

    with pytest.raises(CheckpointError, match="SentencePiece model does not match its SHA-256"):
        Checkpoint.load(path)


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
@pytest.mark.parametrize(("task", "piece"), [("lines", "\n"), ("pairs", "\n"), ("pairs", "\t")])
def test_no_piece_of_a_tokenizer_may_hold_what_ends_an_example(path, kind, task, piece):
    """Training reserves these characters; a crafted file could make every line's score wrong."""
    config = ModelConfig(embedding_size=2, hidden_size=2, task=task)
    text = f"ab{piece}{piece}" * 50
    tokenizer = tokenizers.train(kind, [text], vocab_size=None if kind == "char" else 40)
    arrays = {
        parameter.name: np.zeros(parameter.shape, np.float32)
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays).save(path)
    with pytest.raises(CheckpointError, match=f"a piece with the end of one of its {task}"):
        Checkpoint.load(path)


def test_a_missing_model_is_an_error_with_the_cure(path):
    with pytest.raises(CheckpointError, match="there is no model at") as caught:
        Checkpoint.load(path)

    assert "charlm train" in caught.value.hint


def rewrite(path, change):
    """Change a file's header and data, without a new hash."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    data = change(header, data) or data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def with_metadata(**changes):
    def change(header, data):
        metadata = json.loads(header["__metadata__"]["charlm"])
        header["__metadata__"]["charlm"] = json.dumps({**metadata, **changes})

    return change


def with_config(**changes):
    def change(header, data):
        metadata = json.loads(header["__metadata__"]["charlm"])
        metadata["config"].update(changes)
        header["__metadata__"]["charlm"] = json.dumps(metadata)

    return change


def with_name(name):
    """Rename the tensor of the output's bias."""
    return lambda header, data: header.update({name: header.pop("output.bias")})


def with_fingerprints(count):
    """Add fingerprints of a byte each."""

    def change(header, data):
        with_metadata(fingerprints=[LINE_FINGERPRINT] * count)(header, data)
        for number in range(count):
            offsets = [len(data) + number, len(data) + number + 1]
            header[f"fingerprint.{number}"] = {
                "dtype": "U8", "shape": [1], "data_offsets": offsets,
            }  # fmt: skip
        return data + bytes(count)

    return change


MUTATIONS = {
    "no config": with_metadata(config=None),
    "a config that is a list": with_metadata(config=[1, 2]),
    "a huge hidden size": with_config(hidden_size=10**9),
    "a hidden size that is not its shape": with_config(hidden_size=8),
    "a billion layers": with_config(num_layers=10**9),
    "no layer": with_config(num_layers=-1),
    "a fraction of a layer": with_config(num_layers=1.5),
    "a layer that is true": with_config(num_layers=True),
    "an unknown setting": with_config(path="/etc/passwd"),
    "an empty separator": with_config(document_separator=""),
    "a flag that is a number": with_config(tie_weights=0),
    "a tokenizer of an unknown kind": with_metadata(tokenizer={"kind": "os.system"}),
    "another vocabulary": with_metadata(tokenizer={"kind": "byte"}),
    "a provenance that is a list": with_metadata(provenance=[]),
    "another provenance": with_metadata(provenance={"steps": 1}),
    "a missing fingerprint": with_metadata(fingerprints=[LINE_FINGERPRINT]),
    "fingerprints that are a number": with_metadata(fingerprints=1),
    "too many fingerprints": with_fingerprints(257),
    "a SentencePiece model of numbers": with_name("tokenizer.model"),
    "a fingerprint of numbers": with_name("fingerprint.0"),
    "a tensor of another name": with_name("../../evil"),
    "a missing tensor": lambda header, data: header.pop("output.bias") and None,
    "a tensor of another type": lambda header, data: header["output.bias"].update(dtype="I32"),
    "a transposed shape": lambda header, data: header["output.weight"]["shape"].reverse(),
}


def test_a_false_header_is_an_error_on_one_line(saved):
    good = saved.read_bytes()
    rewrite(saved, lambda header, data: None)
    assert Checkpoint.load(saved).config.hidden_size == 7
    for name, change in MUTATIONS.items():
        saved.write_bytes(good)
        rewrite(saved, change)
        with pytest.raises(CheckpointError, match="is damaged: ") as caught:
            Checkpoint.load(saved)
            pytest.fail(name)
        assert "\n" not in caught.value.message, name


def test_weights_that_are_not_finite_are_damage(random_checkpoint, path):
    for value in (np.nan, np.inf):
        broken = random_checkpoint()
        broken.arrays["output.bias"][3] = value
        broken.save(path)

        with pytest.raises(CheckpointError, match=r"output\.bias has weights that are not finite"):
            Checkpoint.load(path)


def test_weights_that_could_overflow_are_damage(random_checkpoint, path):
    large = random_checkpoint()
    large.arrays["output.weight"][3] = -1e6
    large.save(path)
    assert Checkpoint.load(path).arrays["output.weight"].min() == -1e6
    large.arrays["output.weight"][3] = -1.1e6
    large.save(path)

    with pytest.raises(CheckpointError, match="or exceed 1,000,000"):
        Checkpoint.load(path)


def test_learning_rates_for_dynamic_evaluation_are_above_0(random_checkpoint, path):
    checkpoint = random_checkpoint()
    rates = {name: np.zeros(len(array), np.float32) for name, array in checkpoint.arrays.items()}
    replace(checkpoint, dynamic_rates=rates).save(path)

    with pytest.raises(CheckpointError, match="learning rates for dynamic evaluation must be"):
        Checkpoint.load(path)
    for array in rates.values():
        array += 1e-4
    replace(checkpoint, dynamic_rates=rates).save(path)
    assert Checkpoint.load(path).dynamic_rates.keys() == rates.keys()


def test_each_direction_is_a_model_by_itself_with_the_same_embedding(random_checkpoint):
    both = random_checkpoint(direction="both")
    models = {direction: both.for_direction(direction) for direction in both.config.directions}
    rated = both.with_dynamic_rates({way: model.arrays for way, model in models.items()})

    assert models["backward"].arrays["output.bias"] is both.arrays["backward.output.bias"]
    assert models["backward"].arrays["embedding.weight"] is both.arrays["embedding.weight"]
    assert models["forward"].for_direction("forward") is models["forward"]
    assert rated.dynamic_rates == dict(both.arrays)
    assert len({model.weights_sha256 for model in (both, *models.values())}) == 3
    with pytest.raises(KeyError):
        models["forward"].for_direction("backward")
