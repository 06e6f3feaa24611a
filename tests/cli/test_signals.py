"""Signals that stop a training, and what it still does then."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.training.state import TrainingState

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

SMALL = ["--hidden-size", "16", "--embedding-size", "8", "--batch-size", "8", "--max-time", "1h"]
STATE = "model.state.safetensors"


@pytest.fixture
def begin(charlm_path, tmp_path):
    """Begin a training whose stderr can be read."""
    processes = []

    def run(*arguments, **more):
        process = subprocess.Popen(
            [charlm_path, "train", *map(str, arguments)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(path):
    while not path.exists():
        time.sleep(0.01)


def cpu_seconds(process):
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_training_in_good_order(begin, verse_path, tmp_path, number, status):
    process = begin(verse_path, *SMALL)
    wait_for(tmp_path / STATE)
    process.send_signal(number)
    output = process.communicate(timeout=60)[1]

    assert process.returncode == status
    assert f"\nstopping: the run is saved in {STATE}\n" in output
    assert output.endswith(f"\nto go on: charlm train --resume {verse_path} {' '.join(SMALL)}\n")
    state = TrainingState.load(tmp_path / STATE)
    assert f"stopped as asked after {state.progress.step:,} step" in output
    assert Checkpoint.load(tmp_path / "model.safetensors").config == state.model
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors", STATE]


def test_a_second_signal_ends_at_once(begin, verse_path, tmp_path):
    """Also during a validation; the state is whole."""
    (tmp_path / "held-out.txt").write_bytes(verse_path.read_bytes() * 200)
    process = begin(verse_path, *SMALL, "--validation", "held-out.txt", "--threads", 1)
    wait_for(tmp_path / STATE)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[1]

    assert process.returncode == 143
    assert "Traceback" not in output
    assert "stopped at once; to go on from the last save: charlm train" in output
    assert TrainingState.load(tmp_path / STATE).progress.step >= 0


def test_two_signals_at_once_are_one_request(begin, verse_path, tmp_path):
    """As timeout(1) sends them, to the process and to its group."""
    process = begin(verse_path, *SMALL)
    wait_for(tmp_path / STATE)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[1]

    assert process.returncode in (130, 143)  # whichever is handled first
    assert "stopped as asked after" in output
    assert "stopped at once" not in output


def test_training_goes_on_when_its_stderr_is_closed(begin, verse_path, tmp_path):
    process = begin(verse_path, *SMALL[:-2], "--max-steps", 300)
    process.stderr.readline()
    process.stderr.close()

    assert process.wait(timeout=60) == 0
    assert TrainingState.load(tmp_path / STATE).progress.is_over


def test_a_signal_before_training_changes_nothing(begin, tmp_path):
    """The command waits for a text that never ends."""
    process = begin("-", *SMALL, stdin=subprocess.PIPE)
    wait_for(tmp_path / ".model.safetensors.lock")
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[1]

    assert process.returncode == 143
    assert output == "stopped before training began; nothing is saved\n"
    # The signal may come between the creation of the lock and its removal; it blocks no process.
    assert set(os.listdir(tmp_path)) <= {".model.safetensors.lock"}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_signal_stops_the_training_of_a_vocabulary(begin, tmp_path):
    """SentencePiece works for long on words that have nothing in common."""
    chance = np.random.default_rng(0)
    letters = chance.choice([*"abcdefghijklmnop"], (120_000, 9))
    words = ["".join(word) for word in letters]
    (tmp_path / "words.txt").write_text(
        "\n".join(
            f"{word} " * times
            for word, times in zip(words, chance.integers(1, 12, 120_000), strict=True)
        )
    )
    process = begin("words.txt", *SMALL, "--tokenizer", "unigram", "--vocab-size", 8000)
    while cpu_seconds(process) < 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[1]

    assert process.returncode == 130, output
    assert output == "stopped before training began; nothing is saved\n"
    assert {"words.txt"} <= set(os.listdir(tmp_path)) <= {"words.txt", ".model.safetensors.lock"}


UNRAISABLE = """
import time
from charlm.cli.signals import stop_signals
class Deaf:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(1000)
with stop_signals() as stop:
    stop.exit_message = "gone"
    deaf = Deaf()
    del deaf
    time.sleep(1000)
"""


def test_an_interrupt_where_nothing_can_be_raised_ends_without_a_traceback():
    with subprocess.Popen(
        [sys.executable, "-c", UNRAISABLE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[1]

    assert (process.returncode, output) == (130, "gone\n")


BUSY = """
import hashlib
from charlm.cli.signals import stop_signals
with stop_signals() as stop:
    stop.exit_message = "gone"
    {}
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.parametrize(("before", "signals"), [("", 1), ("stop.defer('gone')", 2)])
def test_a_call_that_does_not_return_to_python_is_ended(before, signals):
    """One call that takes a quarter of an hour; while training, the first signal may wait."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY.format(before)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        time.sleep(0.5)  # until it is in that call
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        output = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert output == "gone\n"


def test_a_training_that_ignores_hangups_goes_on(begin, verse_path, tmp_path):
    """As under nohup."""
    process = begin(
        verse_path, *SMALL[:-2], "--max-steps", 300,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    wait_for(tmp_path / STATE)
    process.send_signal(signal.SIGHUP)
    output = process.communicate(timeout=60)[1]

    assert process.returncode == 0
    assert "done after 300 steps" in output


def test_training_survives_a_terminal_that_is_closed(charlm_path, verse_path, tmp_path):
    """Without nohup it ends, but first it saves; with nohup it goes on to its end."""
    pexpect = pytest.importorskip("pexpect")
    for line, expected in (
        (f"exec '{charlm_path}' train '{verse_path}' {' '.join(SMALL)}", False),
        (f"nohup '{charlm_path}' train '{verse_path}' --hidden-size 8 --max-steps 200 -o b", True),
    ):
        child = pexpect.spawn("sh", ["-c", line], cwd=tmp_path, timeout=60, encoding="utf-8")
        name = "b" if expected else "model"
        state = tmp_path / ("b.state" if expected else STATE)
        wait_for(state)
        child.close(force=False)
        wait_for(tmp_path / ("b" if expected else "model.safetensors"))
        for _ in range(3000):
            if not (tmp_path / f".{name}.lock").exists():
                break
            time.sleep(0.01)
        assert TrainingState.load(state).progress.is_over == expected


INTERRUPTED_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(name, *more):
        if name == "charlm.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
from charlm.__main__ import main
main()
"""


def test_ctrl_c_during_imports_prints_nothing():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True)

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
