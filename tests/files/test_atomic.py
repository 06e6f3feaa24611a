"""A file is replaced whole or not at all."""

import errno
import itertools
import os
import random
import stat
import subprocess
import sys
import time
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


def test_an_unwritable_path_is_found_in_advance(tmp_path):
    with pytest.raises(CheckpointError, match="is a directory"):
        check_writable(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        check_writable(tmp_path / "nowhere" / "model")
    with pytest.raises(CheckpointError, match="- is not a regular file"):
        check_writable(type(tmp_path)("-"))
    check_writable(tmp_path / "model")

    assert os.listdir(tmp_path) == []


def test_a_temporary_file_of_the_same_name_is_left_alone(path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    theirs = path.with_name(f".{path.name}.{os.getpid()}.00000000.tmp")
    theirs.write_bytes(b"theirs")
    for write in (check_writable, partial(write_atomically, data=b"new")):
        with pytest.raises(CheckpointError, match="cannot be written: File exists"):
            write(path)

    assert theirs.read_bytes() == b"theirs"
    assert not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_itself_is_an_error(path):
    path.symlink_to(path)
    for write in (check_writable, partial(write_atomically, data=b"new")):
        with pytest.raises(CheckpointError, match="cannot be written: Too many levels"):
            write(path)


READ_REPEATEDLY = """
import sys
from pathlib import Path
from charlm.checkpoint import Checkpoint
count = changes = 0
before, seen = "", set()
while count < 300 or changes < 10:
    sha256 = Checkpoint.load(Path(sys.argv[1])).weights_sha256
    count, changes, before = count + 1, changes + (sha256 != before), sha256
    seen.add(sha256)
print(count, *seen)
"""


@pytest.mark.skipif(os.name == "nt", reason="an open file is not replaced there")
def test_a_reader_during_a_save_gets_one_of_the_two_models(random_checkpoint, path):
    checkpoints = [random_checkpoint(), random_checkpoint(scale=2.0)]
    checkpoints[0].save(path)
    with subprocess.Popen(
        [sys.executable, "-c", READ_REPEATEDLY, path], stdout=subprocess.PIPE, text=True
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
def test_a_folder_without_fsync_is_written_to(path, monkeypatch):
    """As on some file systems in user space. Any other error is raised."""
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


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_symbolic_link_stays_one(saved, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(saved)
    write_atomically(link, b"new")

    assert link.is_symlink()
    assert saved.read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_never_replaced(path):
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="is not a regular file, so nothing is written"):
        write_atomically(path, b"new")

    assert stat.S_ISFIFO(path.stat().st_mode)


WRITE_REPEATEDLY = """
import sys
from pathlib import Path
from charlm.files.atomic import write_atomically
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        write_atomically(Path(sys.argv[1]), 1_000_000 * letter)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_after_kill_9_at_any_instant_the_file_is_whole(path):
    delays = random.Random(0)
    write_atomically(path, 1_000_000 * b"a")
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_REPEATEDLY, path], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(delays.uniform(0, 0.02))
            process.kill()

        assert path.read_bytes() in (1_000_000 * b"a", 1_000_000 * b"b")


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(saved, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CheckpointError, match="cannot be written: Input/output error") as caught:
        write_atomically(saved, b"new")

    assert caught.value.hint == "choose another path"
    assert os.listdir(saved.parent) == [saved.name]
    assert saved.read_bytes() == b"old"
