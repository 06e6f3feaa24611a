"""A checkpoint comes back whole or not at all."""

import hashlib
import io
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from charlm import tokenizers
from charlm.checkpoint import KIND, Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError, ConfigError
from charlm.files.tensor_file import opened
from charlm.fingerprint import Fingerprint
from charlm.parameters import parameters


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(random_checkpoint, path):
    random_checkpoint().save(path)
    return path


def parts(path):
    """Take a safetensors file apart: its header as JSON, its data as bytes."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put_together(path, header, data):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_what_was_saved_is_loaded(random_checkpoint, path):
    saved = random_checkpoint(num_layers=2)
    saved.save(path)
    loaded = Checkpoint.load(path)

    assert loaded.config == saved.config
    assert loaded.tokenizer.pieces == saved.tokenizer.pieces
    assert loaded.arrays.keys() == saved.arrays.keys()
    assert all((loaded.arrays[name] == saved.arrays[name]).all() for name in saved.arrays)


def test_fingerprints_travel_in_the_file(random_checkpoint, path):
    known = Fingerprint.of_lines([["Anna", "Bob"]], 2), Fingerprint.of_texts([["long " * 20]], 100)
    replace(random_checkpoint(), fingerprints=known).save(path)
    lines, windows = Checkpoint.load(path).fingerprints

    assert [lines.holds(name) for name in ("Anna", "Bob", "Eve")] == [True, True, False]
    assert windows.holds("long " * 12) and not windows.holds("short " * 12)


def test_a_fingerprint_that_is_none_is_damage(random_checkpoint, path):
    known = replace(Fingerprint.of_lines([["Anna"]], 1), hashes=0)
    replace(random_checkpoint(), fingerprints=[known]).save(path)

    with pytest.raises(CheckpointError, match="is damaged: its fingerprint"):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0, 2.0, 2.0], None),
        ([2.0, 1.0], "line_scores are not in order"),
        ([1.0, np.nan], "line_scores are not in order"),
        ([[1.0, 2.0]], "line_scores is F32 of shape"),
        (np.arange(1002.0), "line_scores is F32 of shape"),
    ],
)
def test_line_scores_travel_in_the_file_if_they_are_some(random_checkpoint, path, scores, message):
    scores = np.array(scores, np.float32)
    replace(random_checkpoint(), line_scores=scores).save(path)
    if message is None:
        assert np.array_equal(Checkpoint.load(path).line_scores, scores)
        return
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.load(path)


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_a_tokenizer_of_any_kind_travels_in_the_file(path, kind):
    text = "the cat sat on the mat, and the dog sat on the log.\n" * 9
    tokenizer = tokenizers.learn(kind, [text], vocab_size=50)
    config = ModelConfig(embedding_size=2, hidden_size=2, task="lines", tie_weights=True)
    arrays = {
        parameter.name: np.zeros(parameter.shape, np.float32)
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays).save(path)
    loaded = Checkpoint.load(path)

    assert loaded.config == config
    assert loaded.tokenizer.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert loaded.arrays.keys() == arrays.keys()


def test_a_damaged_sentencepiece_model_is_refused_before_it_is_used(path):
    tokenizer = tokenizers.learn("bpe", ["the cat sat on the mat. " * 9], vocab_size=50)
    config = ModelConfig(embedding_size=2, hidden_size=2)
    arrays = {
        parameter.name: np.zeros(parameter.shape, np.float32)
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays).save(path)
    data = bytearray(path.read_bytes())
    place = data.index(tokenizer.binary)
    data[place + 20] ^= 1
    path.write_bytes(data)

    with pytest.raises(CheckpointError, match="SentencePiece model does not match its SHA-256"):
        Checkpoint.load(path)


def test_a_setting_that_a_file_does_not_know_has_its_default():
    assert ModelConfig.from_json({"hidden_size": 7}) == ModelConfig(hidden_size=7)
    for value in ({}, {"hidden_size": 7, "heads": 8}, {"hidden_size": 7, "task": "poems"}):
        with pytest.raises(ConfigError):
            ModelConfig.from_json(value)


def test_the_same_model_makes_the_same_file(random_checkpoint, tmp_path):
    for name in ("a", "b"):
        random_checkpoint().save(tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_tool_that_knows_safetensors_opens_it(saved):
    from safetensors.numpy import load_file

    assert load_file(saved)["output.bias"].shape == (256 + 8,)


def test_the_length_of_a_header_may_look_like_a_pickle(random_checkpoint, path):
    """Lengths of 640, 896, 1,152 and 1,408 begin with the bytes of pickles."""
    for pad in range(0, 512, 8):
        replace(random_checkpoint(), provenance={"note": "x" * pad}).save(path)
        Checkpoint.load(path)
        if path.read_bytes()[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            return
    pytest.fail("no header had such a length")


def test_a_missing_model_is_an_error_with_the_cure(path):
    with pytest.raises(CheckpointError, match="there is no model at") as caught:
        Checkpoint.load(path)

    assert "charlm train" in caught.value.hint


def test_every_truncation_is_refused(saved):
    data = saved.read_bytes()
    for length in range(0, len(data), 97):
        saved.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            Checkpoint.load(saved)


def test_a_flip_of_any_bit_is_refused(saved):
    data = bytearray(saved.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    for place in [*range(0, header, 13), *range(header, len(data), 499)]:
        data[place] ^= 1 << place % 8
        saved.write_bytes(data)
        with pytest.raises(CheckpointError):
            Checkpoint.load(saved)
        data[place] ^= 1 << place % 8


def edited(change):
    """Return a mutation that edits the header; its name is the test's."""

    def mutate(header, data):
        change(header)
        return header, data

    return mutate


def facts_edited(change):
    """Return a mutation that edits charlm's own object in the header's metadata."""

    def edit(header):
        metadata = json.loads(header["__metadata__"]["charlm"])
        change(metadata)
        header["__metadata__"]["charlm"] = json.dumps(metadata)

    return edited(edit)


def with_fact(name, value):
    return facts_edited(lambda metadata: metadata.update({name: value}))


def with_config(**changes):
    return facts_edited(lambda metadata: metadata["config"].update(changes))


def with_metadata(text):
    return edited(lambda header: header["__metadata__"].update(charlm=text))


def fingerprinted(header, data, count):
    """Add fingerprints of a byte each."""
    fact = {"kind": "lines", "entries": 1, "stride": 1, "hashes": 1}
    header, data = with_fact("fingerprints", [fact] * count)(header, data)
    for number in range(count):
        place = len(data) + number
        offsets = [place, place + 1]
        header[f"fingerprint.{number}"] = {"dtype": "U8", "shape": [1], "data_offsets": offsets}
    return header, data + bytes(count)


MUTATIONS = {
    "no metadata": edited(lambda header: header.pop("__metadata__")),
    "metadata that is no JSON": with_metadata("{"),
    "metadata that is a list": with_metadata("[1, 2]"),
    "metadata that says a thing twice": with_metadata('{"format": 1, "format": 1}'),
    "metadata that is deep": with_metadata("[" * 100_000),
    "metadata that is not a number": with_metadata('{"format": NaN}'),
    "a newer format": with_fact("format", 2),
    "a format that is a list": with_fact("format", [1]),
    "no config": facts_edited(lambda metadata: metadata.pop("config")),
    "a config of another form": with_fact("config", [1, 2]),
    "a huge hidden size": with_config(hidden_size=10**9),
    "a hidden size that is not its shape": with_config(hidden_size=8),
    "a billion layers": with_config(num_layers=10**9),
    "no layer": with_config(num_layers=-1),
    "a fraction of a layer": with_config(num_layers=1.5),
    "a layer that is true": with_config(num_layers=True),
    "a config that says more": with_config(path="/etc/passwd"),
    "a tokenizer of an unknown kind": with_fact("tokenizer", {"kind": "os.system"}),
    "another vocabulary": with_fact("tokenizer", {"kind": "byte"}),
    "a provenance that is a list": with_fact("provenance", []),
    "another provenance": with_fact("provenance", {"steps": 1}),
    "a fingerprint that is not there": with_fact(
        "fingerprints", [{"kind": "lines", "entries": 1, "stride": 1, "hashes": 1}]
    ),
    "fingerprints that are a number": with_fact("fingerprints", 1),
    "a separator that is empty": with_config(document_separator=""),
    "a flag that is a number": with_config(tie_weights=0),
    "more fingerprints than may be asked": lambda header, data: fingerprinted(header, data, 257),
    "a SentencePiece model of numbers": edited(
        lambda header: header.update({"tokenizer.model": header.pop("output.bias")})
    ),
    "a tensor that poses as a fingerprint": edited(
        lambda header: header.update({"fingerprint.0": header.pop("output.bias")})
    ),
    "a hash of something else": with_fact("sha256", hashlib.sha256(b"").hexdigest()),
    "no hash": facts_edited(lambda metadata: metadata.pop("sha256")),
    "a tensor too few": edited(lambda header: header.pop("output.bias")),
    "a tensor of another name": edited(
        lambda header: header.update({"../../evil": header.pop("output.bias")})
    ),
    "a tensor of another type": edited(lambda header: header["output.bias"].update(dtype="I32")),
    "a shape turned round": edited(lambda header: header["output.weight"]["shape"].reverse()),
    "an offset beyond the end": edited(
        lambda header: header["output.weight"].update(data_offsets=[0, 1 << 60])
    ),
    "negative offsets": edited(lambda header: header["output.weight"].update(data_offsets=[-4, 0])),
    "more data than is named": lambda header, data: (header, data + b"more"),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_a_lying_header_is_refused(saved, mutate):
    put_together(saved, *mutate(*parts(saved)))

    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(saved)

    assert "\n" not in caught.value.message


def test_a_newer_format_is_refused_with_both_numbers(saved):
    put_together(saved, *MUTATIONS["a newer format"](*parts(saved)))

    with pytest.raises(CheckpointError, match=r"has checkpoint format 2; this charlm reads 1$"):
        Checkpoint.load(saved)


def test_the_mutations_start_from_a_file_that_loads(saved):
    put_together(saved, *parts(saved))

    assert Checkpoint.load(saved).config.hidden_size == 7


def test_weights_that_are_not_numbers_are_refused(random_checkpoint, path):
    broken = random_checkpoint()
    broken.arrays["output.bias"][3] = np.nan
    broken.save(path)

    with pytest.raises(CheckpointError, match=r"output\.bias holds weights that are not finite"):
        Checkpoint.load(path)


def test_weights_that_could_overflow_are_refused(random_checkpoint, path):
    large = random_checkpoint()
    large.arrays["output.weight"][3] = -1e6
    large.save(path)
    assert Checkpoint.load(path).arrays["output.weight"].min() == -1e6
    large.arrays["output.weight"][3] = -1.1e6
    large.save(path)

    with pytest.raises(CheckpointError, match="or above 1,000,000"):
        Checkpoint.load(path)


def test_learning_rates_are_above_0(random_checkpoint, path):
    rated = random_checkpoint()
    rates = {name: np.zeros(len(array), np.float32) for name, array in rated.arrays.items()}
    replace(rated, dynamic_rates=rates).save(path)

    with pytest.raises(CheckpointError, match="learning rates that are not above 0"):
        Checkpoint.load(path)
    for array in rates.values():
        array += 1e-4
    replace(rated, dynamic_rates=rates).save(path)
    assert Checkpoint.load(path).dynamic_rates.keys() == rates.keys()


@pytest.mark.parametrize("depth", [30, 31])
def test_facts_are_no_deeper_than_what_reads_them_can_bear(random_checkpoint, path, depth):
    deep = json.loads("[" * depth + "]" * depth)
    replace(random_checkpoint(), provenance={"deep": deep}).save(path)
    if depth == 30:
        assert Checkpoint.load(path).provenance == {"deep": deep}
        return
    with pytest.raises(CheckpointError, match="nested more than 32 deep"):
        Checkpoint.load(path)


def test_a_file_larger_than_the_memory_is_refused_unread(saved, monkeypatch):
    monkeypatch.setattr("charlm.files.tensor_file._memory", lambda: 1000)

    with pytest.raises(CheckpointError, match="bytes, more than this machine's memory"):
        Checkpoint.load(saved)


def test_where_the_system_tells_no_memory_files_may_have_any_size(saved, monkeypatch):
    monkeypatch.delattr("os.sysconf", raising=False)

    assert Checkpoint.load(saved).config.hidden_size == 7


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (pickle.dumps({"a": 1}), "a Python pickle"),
        (zipped(), "a zip archive"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (save({"a": np.zeros(3, np.float32)}), "a safetensors file, but not a charlm model"),
        (b"", "is empty, not a charlm model"),
        (b"Once upon a time there was a text.", "is text, not a charlm model"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "damaged"),
    ],
)
def test_a_foreign_file_is_called_by_its_name(path, data, name):
    path.write_bytes(data)

    with pytest.raises(CheckpointError, match=name):
        Checkpoint.load(path)


def test_a_name_that_the_system_cannot_bear_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        Checkpoint.load(tmp_path / ("long" * 100))


def test_a_vocabulary_too_large_to_be_read_again_is_not_saved(random_checkpoint, path, monkeypatch):
    monkeypatch.setattr("charlm.files.tensor_file.LARGEST_HEADER", 500)
    with pytest.raises(CheckpointError, match="the vocabulary is too large for"):
        random_checkpoint().save(path)

    assert not path.exists()


def test_part_of_a_file_has_names_and_facts_of_its_own(saved):
    with opened(saved, KIND) as file:
        output = file.within("output.", {"step": 1})
        assert (output.names, output.metadata) == ({"weight", "bias"}, {"step": 1})
        assert output.kind("bias") == ("F32", (264,))
        assert (output.arrays()["bias"] == file.array("output.bias")).all()
    with (
        pytest.raises(CheckpointError, match="what it says of output is no JSON object"),
        opened(saved, KIND) as file,
    ):
        file.within("output.", [])


def test_each_direction_is_a_model_of_its_own_that_shares_the_embedding(random_checkpoint):
    both = random_checkpoint(direction="both")
    ways = {way: both.for_direction(way) for way in both.config.directions}
    again = both.with_dynamic_rates({way: each.arrays for way, each in ways.items()})

    assert ways["backward"].arrays["output.bias"] is both.arrays["backward.output.bias"]
    assert ways["backward"].arrays["embedding.weight"] is both.arrays["embedding.weight"]
    assert ways["forward"].for_direction("forward") is ways["forward"]
    assert again.dynamic_rates == dict(both.arrays)
    assert len({each.weights_sha256 for each in (both, *ways.values())}) == 3
    with pytest.raises(KeyError):
        ways["forward"].for_direction("backward")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="the system has no /dev/zero")
def test_a_device_or_directory_is_refused_unread(tmp_path):
    for odd in (tmp_path, "/dev/zero"):
        with pytest.raises(CheckpointError, match="not a regular file"):
            Checkpoint.load(type(tmp_path)(odd))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_or_device_is_never_replaced(random_checkpoint, path):
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="is not a regular file, so nothing is written"):
        random_checkpoint().save(path)

    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_pickle_is_never_run(path, tmp_path):
    class Bait:
        def __reduce__(self):
            return (open, (str(tmp_path / "eaten"), "w"))

    path.write_bytes(pickle.dumps(Bait()))
    with pytest.raises(CheckpointError):
        Checkpoint.load(path)

    assert not (tmp_path / "eaten").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_the_mode_of_a_file_follows_the_umask_and_then_stays(random_checkpoint, path):
    before = os.umask(0o027)
    try:
        random_checkpoint().save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        random_checkpoint().save(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_symbolic_link_stays_one(random_checkpoint, saved, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(saved)
    random_checkpoint(scale=2.0).save(link)

    assert link.is_symlink()
    assert (
        Checkpoint.load(saved).arrays["output.bias"]
        == random_checkpoint(scale=2.0).arrays["output.bias"]
    ).all()


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from charlm.checkpoint import Checkpoint
path = Path(sys.argv[1])
checkpoint = Checkpoint.load(path)
print("ready", flush=True)
while True:
    checkpoint.save(path)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_after_kill_9_at_any_instant_the_model_is_whole(saved):
    generator = np.random.default_rng(0)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(saved)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(generator.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)

        assert Checkpoint.load(saved).config.hidden_size == 7
