"""Whatever fails while a model is saved, the power or a call: the old is there, or the new."""

import errno
import itertools
import os
from functools import partial

import pytest
from faults import Disk, Fault, power_cuts

from charlm.checkpoint import Checkpoint
from charlm.errors import CheckpointError
from charlm.files.atomic import check_writable
from charlm.files.lock import single_writer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a Windows folder has no fsync")

BITE = 2000  # bytes; a model of these tests is some 10 kB
BEGINNING = ["stat model", "open temporary"]
END = ["fsync temporary", "close temporary", "replace temporary"]
FOLDER = ["open folder", "fsync folder", "close folder"]

REASONS = {
    "no space": partial(OSError, errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "a broken disk": partial(OSError, errno.EIO, os.strerror(errno.EIO)),
    "no permission": partial(OSError, errno.EACCES, os.strerror(errno.EACCES)),
    "a signal": partial(OSError, errno.EINTR, os.strerror(errno.EINTR)),
    "Ctrl-C": KeyboardInterrupt,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path.resolve() / "model"


@pytest.fixture(params=["a new file", "over an old one"])
def old(request, random_checkpoint, path):
    """Put a model there, or none; return what is there."""
    if request.param == "a new file":
        return None
    random_checkpoint().save(path)
    return path.read_bytes()


@pytest.fixture
def new(random_checkpoint):
    return random_checkpoint(scale=2.0)


@pytest.fixture
def new_bytes(new, tmp_path):
    new.save(tmp_path / "elsewhere")
    data = (tmp_path / "elsewhere").read_bytes()
    (tmp_path / "elsewhere").unlink()
    return data


def operations_of_a_save(old, length, bite):
    """Return what a save does, one after another."""
    writes = ["write temporary"] * -(-length // bite)
    return [*BEGINNING, *writes, *(["chmod temporary"] if old else []), *END, *FOLDER]


def contents(path):
    return path.read_bytes() if path.exists() else None


def put_back(path, old):
    path.unlink(missing_ok=True)
    if old is not None:
        path.write_bytes(old)


def temporaries(path):
    return [each for each in path.parent.iterdir() if each.suffix == ".tmp"]


def faulty_saves(new, path, old, error, *, for_ever, is_done):
    """Save again and again, the first operation failing, the second …, until one is unharmed."""
    for number in itertools.count(1):
        put_back(path, old)
        fault = Fault(number, error, for_ever=for_ever, is_done=is_done)
        caught = None
        with Disk(path.parent, fault=fault, bite=BITE) as disk:
            try:
                new.save(path)
            except (CheckpointError, KeyboardInterrupt) as raised:
                caught = raised
        yield disk, caught
        if not disk.failed:
            return


@pytest.mark.parametrize("is_done", [False, True], ids=["undone", "done all the same"])
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("reason", REASONS)
def test_whichever_operation_fails_the_old_or_the_new_is_there(
    path, old, new, new_bytes, reason, for_ever, is_done
):
    error = REASONS[reason]
    struck = []
    for disk, caught in faulty_saves(new, path, old, error, for_ever=for_ever, is_done=is_done):
        found = contents(path)
        assert found in (old, new_bytes)
        assert found is None or Checkpoint.load(path)
        assert disk.descriptors == {}
        if not disk.failed:
            assert (caught, found, temporaries(path)) == (None, new_bytes, [])
            break
        struck.append(disk.failed[0])
        renamed = any(each.name == "replace" for each in disk.done)
        assert found == (new_bytes if renamed else old)
        if reason == "Ctrl-C":
            assert isinstance(caught, KeyboardInterrupt)
        else:
            assert caught.message == f"{path} cannot be written: {error().strerror}"
        left = temporaries(path)
        assert not left or "unlink temporary" in disk.failed
        with single_writer(path):
            assert temporaries(path) == []
        _, wrong = power_cuts(disk.done, old, new_bytes, has_returned=False)
        assert wrong == set()

    assert struck == operations_of_a_save(old, len(new_bytes), BITE)


def test_a_temporary_that_cannot_be_removed_is_left_for_the_next_start(path, new):
    path.write_bytes(b"old")
    fault = Fault(5, REASONS["a broken disk"], for_ever=True)
    with Disk(path.parent, fault=fault) as disk, pytest.raises(CheckpointError):
        new.save(path)

    assert "unlink temporary" in disk.failed
    assert len(temporaries(path)) == 1
    with single_writer(path):
        assert temporaries(path) == []


def test_what_would_fail_later_fails_when_it_is_checked(path):
    wanted = ["stat model", "stat folder", "open temporary", "close temporary", "unlink temporary"]
    struck = []
    for number in itertools.count(1):
        with Disk(path.parent, fault=Fault(number, REASONS["no permission"])) as disk:
            try:
                check_writable(path)
            except CheckpointError as error:
                assert error.message == f"{path} cannot be written: Permission denied"
        assert os.listdir(path.parent) == []
        if not disk.failed:
            break
        struck.append(disk.failed[0])

    assert struck == [*wanted, *FOLDER]


@pytest.mark.parametrize("bite", [BITE, 1 << 30], ids=["short writes", "whole writes"])
def test_a_power_cut_at_any_time_leaves_the_old_or_the_new(path, old, new, new_bytes, bite):
    with Disk(path.parent, bite=bite) as disk:
        new.save(path)
    count, wrong = power_cuts(disk.done, old, new_bytes)

    assert disk.called == operations_of_a_save(old, len(new_bytes), bite)
    assert wrong == set()
    # After each write the temporary is not there, empty, whole, halved in two ways, or garbage.
    writes = disk.called.count("write temporary")
    others = [1, 2, 2, 2, 4, 4, 1, 1] if old is None else [1, 1, 2, 6, 2, 2, 4, 4, 1, 1]
    assert count == sum(others) + 6 * writes


def save_by_hand(path, data, order, *, flags=os.O_CREAT | os.O_EXCL):
    """Save by a protocol of one's own: its operations, in any order, some left out."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(path if "in place" in order else temporary, flags | os.O_WRONLY)
    folder = os.open(path.parent, os.O_RDONLY)
    operations = {
        "in place": lambda: None,
        "write": lambda: os.write(descriptor, data),
        "fsync": lambda: os.fsync(descriptor),
        "rename": lambda: os.replace(temporary, path),
        "fsync folder": lambda: os.fsync(folder),
    }
    for each in order:
        operations[each]()
    os.close(descriptor)
    os.close(folder)


@pytest.mark.parametrize(
    ("order", "flags", "wrong"),
    [
        (["write", "fsync", "rename", "fsync folder"], os.O_CREAT, set()),
        (["write", "rename", "fsync folder"], os.O_CREAT, {"torn"}),
        (["write", "rename", "fsync", "fsync folder"], os.O_CREAT, {"torn"}),
        (["fsync", "write", "rename", "fsync folder"], os.O_CREAT, {"torn"}),
        (["write", "fsync", "rename"], os.O_CREAT, {"late"}),
        (["write", "fsync", "fsync folder", "rename"], os.O_CREAT, {"late"}),
        (["in place", "write", "fsync", "fsync folder"], os.O_TRUNC, {"torn"}),
        (["in place", "write", "fsync", "fsync folder"], 0, {"torn"}),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else None,
)
def test_the_model_of_power_cuts_finds_what_is_wrong_with_other_orders(path, order, flags, wrong):
    told = {"torn": "neither the old nor the new", "late": "the old after the save"}
    old, new = b"old contents", b"the new one!"
    path.write_bytes(old)
    with Disk(path.parent) as disk:
        save_by_hand(path, new, order, flags=flags)

    assert path.read_bytes() == new
    assert power_cuts(disk.done, old, new)[1] == {told[each] for each in wrong}
