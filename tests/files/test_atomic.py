"""A file is replaced whole or not at all."""

import errno
import itertools
import os
import stat
import subprocess
import sys
from functools import partial

import pytest

from charlm.errors import CheckpointError
from charlm.files.atomic import check_writable, write_atomically


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


def test_somebody_elses_temporary_of_the_same_name_is_left_alone(path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    theirs = path.with_name(f".{path.name}.{os.getpid()}.00000000.tmp")
    theirs.write_bytes(b"theirs")
    for write in (check_writable, partial(write_atomically, data=b"new")):
        with pytest.raises(CheckpointError, match="cannot be written: File exists"):
            write(path)

    assert theirs.read_bytes() == b"theirs"
    assert not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_that_leads_to_itself_is_told(path):
    path.symlink_to(path)
    for write in (check_writable, partial(write_atomically, data=b"new")):
        with pytest.raises(CheckpointError, match="cannot be written: Too many levels"):
            write(path)


READ_AGAIN_AND_AGAIN = """
import sys
from pathlib import Path
from charlm.checkpoint import Checkpoint
count = changes = 0
before, known = "", set()
while count < 300 or changes < 10:
    found = Checkpoint.load(Path(sys.argv[1])).weights_sha256
    count, changes, before = count + 1, changes + (found != before), found
    known.add(found)
print(count, *known)
"""


@pytest.mark.skipif(os.name == "nt", reason="an open file is not replaced there")
def test_who_reads_while_another_saves_reads_one_of_the_two(random_checkpoint, path):
    checkpoints = [random_checkpoint(), random_checkpoint(scale=2.0)]
    checkpoints[0].save(path)
    with subprocess.Popen(
        [sys.executable, "-c", READ_AGAIN_AND_AGAIN, path], stdout=subprocess.PIPE, text=True
    ) as process:
        for checkpoint in itertools.cycle(checkpoints):
            checkpoint.save(path)
            if process.poll() is not None:
                break
        count, *read = process.stdout.read().split()

    assert process.returncode == 0
    assert int(count) >= 300
    assert set(read) == {checkpoint.weights_sha256 for checkpoint in checkpoints}


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)], ids=oct)
def test_a_new_file_has_the_mode_that_the_umask_gives(path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(path, b"new")
        assert path.stat().st_mode & 0o777 == mode
        path.chmod(0o640)
        write_atomically(path, b"newer")
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened")
def test_a_folder_that_knows_no_fsync_is_written_to_all_the_same(path, monkeypatch):
    """As on some file systems in user space; any other error is told."""
    fsync = os.fsync

    def refuse(code):
        def flush(descriptor):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(code, os.strerror(code))
            fsync(descriptor)

        return flush

    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(CheckpointError, match="Input/output error"):
        write_atomically(path, b"newer")
