"""A file is replaced whole or not at all."""

import os
import stat

import pytest

from charlm.atomic import check_writable, write_atomically
from charlm.errors import CheckpointError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path):
    path.write_bytes(b"old")
    return path


def test_file_and_directory_reach_the_disk_before_and_after_the_rename(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    kind = {True: "directory", False: "file"}
    monkeypatch.setattr(
        os, "fsync", lambda fd: (calls.append(kind[stat.S_ISDIR(os.fstat(fd).st_mode)]), fsync(fd))
    )
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    write_atomically(path, b"data")

    assert calls == ["file", "rename", "directory"]


def test_an_unwritable_place_is_found_before_anything_is_done(tmp_path):
    with pytest.raises(CheckpointError, match="is a directory"):
        check_writable(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        check_writable(tmp_path / "nowhere" / "model")
    with pytest.raises(CheckpointError, match="- is not a regular file"):
        check_writable(type(tmp_path)("-"))
    check_writable(tmp_path / "model")

    assert os.listdir(tmp_path) == []
