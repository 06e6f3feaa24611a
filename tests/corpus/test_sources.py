"""What a name may stand for beside a file: pipes, devices, sockets."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

LINE = "the cat sat on the mat\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(LINE * 100)
    return path


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
@pytest.mark.parametrize(
    "command",
    [["train"], ["eval"], ["eval", "--per-line"], ["generate", "--seed-file"]],
    ids=" ".join,
)
def test_a_device_without_end_is_refused(charlm, verse_model_path, command, device):
    if not Path(device).exists():
        pytest.skip(f"the system has no {device}")
    result = charlm(*command, device, env={"CHARLM_MODEL": str(verse_model_path)}, timeout=30)

    assert result.returncode == 1
    assert result.stderr.decode().startswith(f"error: {device} is a device, not a text\n")


def test_the_null_device_is_an_empty_text(charlm, verse_model_path):
    result = charlm("eval", "-m", verse_model_path, os.devnull)

    assert result.returncode == 1
    assert b"there is no text to score" in result.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize(
    "redirected", ["/dev/stdin < text.txt", "<(cat text.txt)", "- < text.txt", "named"]
)
def test_every_pipe_is_the_file_that_it_is_fed_from(
    charlm, charlm_path, verse_model_path, text, redirected
):
    os.mkfifo(text.with_name("named"))
    feed = "cat text.txt > named &" * (redirected == "named")
    found = subprocess.run(
        ["bash", "-c", f"{feed} '{charlm_path}' eval -m '{verse_model_path}' {redirected}"],
        cwd=text.parent,
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert found.stdout == charlm("eval", "-m", verse_model_path, text).stdout


def test_a_full_temporary_directory_is_named_with_the_cure(charlm_path, tmp_path):
    pytest.importorskip("resource")
    limited = (
        "import resource, sys; sys.argv = ['charlm', 'train', '-'];"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from charlm.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited],
        input=LINE.encode() * 1000,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.decode() == (
        f"error: the text of stdin cannot be written to {tmp_path}: File too large\n\n"
        "hint: name a directory with more room in $TMPDIR\n"
    )


def test_a_socket_is_no_text(charlm, tmp_path):
    socket = pytest.importorskip("socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        result = charlm("train", "socket")

    assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)
    assert result.returncode == 1
    assert result.stderr.decode() == "error: socket cannot be read: No such device or address\n"
