"""One process at a time writes a model; temporary files of killed processes are removed."""

import errno
import itertools
import os
import subprocess
import sys

import pytest
from faults import Disk, Fault

from charlm.errors import CheckpointError
from charlm.files.lock import single_writer

fcntl = pytest.importorskip("fcntl", reason="the system has no such locks")

DEAD = 2**22 + 1  # more than Linux ever gives
HOLD = """
import sys
from pathlib import Path
from charlm.files.lock import single_writer
with single_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path.resolve() / "model"


@pytest.fixture
def lock(path):
    return path.with_name(".model.lock")


@pytest.fixture
def other(path):
    """Another process, which may write the model, until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def assert_free(path):
    with single_writer(path):
        assert path.with_name(".model.lock").read_text() == f"{os.getpid()}\n"
    assert os.listdir(path.parent) == []


def test_a_second_process_gets_an_error_that_names_the_first(path, lock, other):
    with pytest.raises(CheckpointError) as caught, single_writer(path):
        pytest.fail("two may write")

    assert caught.value.message == f"another training, process {other.pid}, is writing {path}"
    assert lock.read_text() == f"{other.pid}\n"
    other.communicate(timeout=60)
    assert other.returncode == 0
    assert not lock.exists()
    assert_free(path)


def test_a_process_that_has_not_written_its_number_is_unknown(path, lock, other):
    lock.write_bytes(b"")
    with pytest.raises(CheckpointError, match="another training, process unknown, is writing"):
        with single_writer(path):
            pytest.fail("two may write")


def test_a_symbolic_link_is_locked_where_it_leads(path, other):
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(CheckpointError, match=f"process {other.pid}, is writing .*/link"):
        with single_writer(link):
            pytest.fail("two may write")


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "notes", "pipe"])
def test_nothing_but_a_lock_is_touched(path, lock, tmp_path, kind):
    """A link in the lock's name leads to somebody's file; a file of that name is somebody's."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    match kind:
        case "symbolic link":
            lock.symlink_to(precious)
        case "hard link":
            lock.hardlink_to(precious)
        case "notes":
            lock.write_text("precious")
        case "pipe":
            os.mkfifo(lock)
    before = lock.lstat()
    with pytest.raises(CheckpointError, match="so it is left as it is"), single_writer(path):
        pass

    assert precious.read_text() == "precious"
    assert lock.lstat().st_ino == before.st_ino
    assert kind != "notes" or lock.read_text() == "precious"


def test_the_lock_of_a_killed_process_blocks_nobody(path, lock, other):
    other.kill()
    other.wait()

    assert lock.read_text() == f"{other.pid}\n"
    assert_free(path)


def test_an_error_while_it_is_held_releases_the_lock(path, lock):
    with pytest.raises(KeyError), single_writer(path):
        assert lock.exists()
        raise KeyError

    assert_free(path)


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "held by the next one"])
def test_a_lock_file_that_is_removed_before_it_is_locked_is_created_again(
    path, lock, monkeypatch, replaced
):
    flock, descriptors = fcntl.flock, []

    def removed_at_first(descriptor, operation):
        if not descriptors:
            lock.unlink()
            if replaced:
                lock.write_bytes(b"")
        descriptors.append(os.fstat(descriptor).st_ino)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_at_first)
    before = len(os.listdir("/dev/fd"))
    with single_writer(path):
        assert len(descriptors) == 2
        assert lock.stat().st_ino == descriptors[1]
        assert lock.read_text() == f"{os.getpid()}\n"
        assert len(os.listdir("/dev/fd")) == before + 1

    assert_free(path)


def test_temporary_files_of_dead_processes_are_removed_and_others_kept(path, other):
    other.communicate(timeout=60)
    names = {
        f".model.{DEAD}.0123abcd.tmp": False,
        f".model.{other.pid}.0123abcd.tmp": False,
        f".model.{os.getpid()}.0123abcd.tmp": False,  # of one before, whose number was the same
        f".model.{os.getppid()}.0123abcd.tmp": True,
        f".model.{10**30}.0123abcd.tmp": True,  # no process's number
        f".model.{DEAD}.0123abcd.tmp.txt": True,
        f".model.{DEAD}.0123.tmp": True,
        f"model.{DEAD}.0123abcd.tmp": True,
        f".model2.{DEAD}.0123abcd.tmp": True,
        f".modelx{DEAD}.0123abcd.tmp": True,
        "model": True,
    }
    for name in names:
        (path.parent / name).write_bytes(b"")
    with single_writer(path):
        pass

    assert set(os.listdir(path.parent)) == {name for name, is_kept in names.items() if is_kept}


def test_a_process_of_another_user_is_alive(path, monkeypatch):
    def refuse(process, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    theirs = path.with_name(f".model.{DEAD}.0123abcd.tmp")
    theirs.write_bytes(b"")
    with single_writer(path):
        pass

    assert theirs.exists()


def broken(*arguments):
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    "function", ["fcntl.flock", "os.open", "os.ftruncate", "os.write", "pathlib.Path.iterdir"]
)
def test_a_lock_that_fails_is_an_error_and_leaves_no_file(path, lock, monkeypatch, function):
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(function, broken)
        with pytest.raises(CheckpointError, match="model cannot be written: Input/output error"):
            with single_writer(path):
                pytest.fail("there is no lock")

    assert len(os.listdir("/dev/fd")) == before
    assert lock.exists() == (function == "fcntl.flock")  # then it may be another's
    assert_free(path)


@pytest.mark.parametrize("is_done", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_the_next_process_gets_the_lock_whichever_operation_failed(path, for_ever, is_done):
    expected = [
        *["open .model.lock", "stat .model.lock", "write .model.lock"],
        *["unlink temporary", "unlink .model.lock", "close .model.lock"],
    ]
    struck = []
    for number in itertools.count(1):
        path.with_name(f".model.{DEAD}.0123abcd.tmp").write_bytes(b"")
        fault = Fault(number, broken, for_ever=for_ever, is_done=is_done)
        is_refused = False
        with Disk(path.parent, fault=fault) as disk:
            try:
                with single_writer(path):
                    pass
            except CheckpointError as error:
                assert error.message == f"{path} cannot be written: Input/output error"
                is_refused = True
        assert disk.descriptors == {}
        assert_free(path)
        if not disk.failed:
            break
        struck.append(disk.failed[0])
        assert is_refused == (number <= 3)  # later ones do no harm

    assert struck == expected


def test_temporary_files_of_all_outputs_are_removed(path):
    """A run writes its model and its state, and may have died in either."""
    state = path.with_name("model.state")
    for name in (".model", ".model.state", ".other"):
        path.with_name(f"{name}.{DEAD}.0123abcd.tmp").touch()
    with single_writer(path, state):
        left = sorted(os.listdir(path.parent))

    assert left == [".model.lock", f".other.{DEAD}.0123abcd.tmp"]


def test_a_file_system_without_locks_blocks_nobody(path, lock, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with single_writer(path):
        assert lock.exists()
    assert not lock.exists()
