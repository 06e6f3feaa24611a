"""A full disk or a refused call is one line of error, and the old model stays whole."""

import errno
import functools
import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from charlm.checkpoint import Checkpoint
from charlm.files.lock import single_writer

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

TRAIN = ["train", "verse.txt", "--max-steps", "20", "--hidden-size", "16", "--batch-size", "8"]

# Mounts a disk of 128 kB on `disk`, with the old model and a filler of $1 bytes; runs the command.
FULL_DISK = """
set -e
mount -t tmpfs -o size=128k none disk
if [ -e model ]; then cp model disk; fi
head -c "$1" /dev/zero > disk/filler 2> /dev/null || true
shift
status=0
"$@" || status=$?
ls -A disk
if [ -e model ]; then sha256sum < disk/model; fi
exit $status
"""
SMALL_FILES = 'ulimit -f 64; exec "$@"'  # blocks of 1,024 bytes


@functools.cache
def can_mount():
    if shutil.which("unshare") is None:
        return False
    probe = "mount -t tmpfs none /mnt"
    return (
        subprocess.run(["unshare", "-rm", "sh", "-c", probe], capture_output=True).returncode == 0
    )


@pytest.fixture
def shell(charlm_path, tmp_path, verse_path):
    """Run charlm through another command, in the directory of the text."""
    shutil.copy(verse_path, tmp_path / "verse.txt")

    def run(*before, arguments):
        return subprocess.run(
            [*before, charlm_path, *arguments],
            capture_output=True,
            cwd=tmp_path,
            # Coverage would write data of its own, where nothing can be written.
            env={**os.environ, "COLUMNS": "200", "COVERAGE_PROCESS_START": ""},
            timeout=120,
            text=True,
        )

    return run


def errors(result):
    return [line for line in result.stderr.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize(
    ("is_old", "filler", "name"),
    [(False, "90k", "model.state"), (True, "1M", "model")],
    ids=["a new file, with too little room", "over an old one, with no room at all"],
)
def test_a_full_disk_leaves_the_old_model(shell, tmp_path, random_checkpoint, is_old, filler, name):
    if not can_mount():
        pytest.skip("no disk can be mounted here")
    (tmp_path / "disk").mkdir()
    if is_old:
        random_checkpoint().save(tmp_path / "model")
    result = shell(
        *["unshare", "-rm", "bash", "-c", FULL_DISK, "bash", filler],
        arguments=[*TRAIN, "-o", "disk/model", *(["--overwrite"] if is_old else [])],
    )

    assert result.returncode == 2
    assert errors(result) == [f"error: disk/{name} cannot be written: No space left on device"]
    assert "Traceback" not in result.stderr
    listed = ["filler"]
    if is_old:
        digest = hashlib.sha256((tmp_path / "model").read_bytes()).hexdigest()
        listed = ["filler", "model", f"{digest}  -"]
    assert result.stdout.splitlines() == listed


def test_a_limit_of_file_sizes_leaves_the_old_model(shell, tmp_path, random_checkpoint):
    random_checkpoint().save(tmp_path / "model")
    old = (tmp_path / "model").read_bytes()
    result = shell(
        "bash", "-c", SMALL_FILES, "bash", arguments=[*TRAIN, "-o", "model", "--overwrite"]
    )

    assert result.returncode == 2
    assert errors(result) == ["error: model.state cannot be written: File too large"]
    assert "Traceback" not in result.stderr
    assert (tmp_path / "model").read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["model", "verse.txt"]


SAVE = """
import sys
from pathlib import Path
from charlm.checkpoint import Checkpoint
from charlm.errors import CheckpointError
target, source = map(Path, sys.argv[1:])
try:
    Checkpoint.load(source).save(target)
except CheckpointError as error:
    sys.exit(error.message)
"""
RENAME = "?rename,renameat,renameat2"  # some machines lack the first
CHMOD = "?chmod,fchmodat"


@functools.cache
def can_trace():
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-o", os.devnull, "-e", "inject=fsync:error=EIO", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def injected(random_checkpoint, tmp_path):
    """Save over a model while strace makes calls fail; return the result and the calls struck."""
    if not can_trace():
        pytest.skip("strace cannot be used here")
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "model"
    random_checkpoint().save(path)
    random_checkpoint(scale=2.0).save(tmp_path / "new")

    def run(injection):
        log = tmp_path / "strace.txt"
        result = subprocess.run(
            [
                *[
                    "strace",
                    "-f",
                    "-y",
                    "-o",
                    log,
                    "-e",
                    f"trace=write,fsync,{RENAME},{CHMOD}",
                    "-e",
                    injection,
                ],
                *[sys.executable, "-c", SAVE, path, tmp_path / "new"],
            ],
            capture_output=True,
            env={**os.environ, "COVERAGE_PROCESS_START": ""},
            timeout=60,
            text=True,
        )
        lines = log.read_text().splitlines()
        return result, [line for line in lines if "(INJECTED)" in line or "+++ killed" in line]

    return run, path, path.read_bytes(), (tmp_path / "new").read_bytes()


@pytest.mark.parametrize(
    ("injection", "on", "error"),
    [
        ("write:error=ENOSPC:when=1", ".tmp", errno.ENOSPC),
        ("fsync:error=EIO:when=1", ".tmp", errno.EIO),
        ("fsync:error=EIO:when=1+", ".tmp", errno.EIO),
        (f"{RENAME}:error=EACCES", ".tmp", errno.EACCES),
        ("fsync:error=EIO:when=2", "models", errno.EIO),
        (f"{CHMOD}:error=EPERM", ".tmp", errno.EPERM),
    ],
)
def test_a_call_that_the_system_refuses_leaves_a_whole_model(injected, injection, on, error):
    run, path, old, new = injected
    result, struck = run(f"inject={injection}")

    assert len(struck) == 1
    assert on in struck[0]
    assert result.returncode == 1
    assert result.stderr == f"{path} cannot be written: {os.strerror(error)}\n"
    assert path.read_bytes() == (new if on == "models" else old)
    assert os.listdir(path.parent) == ["model"]


def test_an_interrupted_write_is_repeated(injected):
    run, path, _, new = injected
    result, struck = run("inject=write:error=EINTR:when=1..3")

    assert len(struck) == 3
    assert (result.returncode, result.stderr) == (0, "")
    assert path.read_bytes() == new


@pytest.mark.parametrize("call", ["write", "fsync", RENAME])
def test_the_next_save_removes_what_a_killed_process_left(injected, call):
    run, path, old, new = injected
    result, struck = run(f"inject={call}:signal=SIGKILL:when=1")

    assert result.returncode == -9
    assert ["killed by SIGKILL" in line for line in struck] == [True]
    assert path.read_bytes() in (old, new)
    assert Checkpoint.load(path)
    with single_writer(path):
        pass
    assert os.listdir(path.parent) == ["model"]
