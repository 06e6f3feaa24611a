"""Whatever ends a training, whenever: what it has saved is whole, and goes on to the same end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

PHASES = {
    "elsewhere", "reading", "planning", "training", "validating", "saving the model",
    "saving the state", "finishing",
}  # fmt: skip


def stop_again_and_again(number, stops, verse_path, folder):
    """Return what came of so many stops; see `crash_loop.py`."""
    program = Path(__file__).with_name("crash_loop.py")
    done = subprocess.run(
        [sys.executable, program, verse_path, folder, str(int(number)), str(stops)],
        capture_output=True,
        timeout=1200,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_nothing_was_lost(found, stops):
    assert found["wrong"] == []
    assert sum(found["landed"].values()) >= stops
    assert found["landed"].keys() >= PHASES - {"elsewhere"}  # a phase without a stop shows nothing
    assert found["runs"] >= 1  # each the same as one that was never stopped


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_in_every_phase_comes_to_the_same(number, verse_path, tmp_path):
    found = stop_again_and_again(number, 16, verse_path, tmp_path / "runs")

    assert_nothing_was_lost(found, 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "stops"), [(signal.SIGKILL, 400), (signal.SIGINT, 100), (signal.SIGTERM, 100)]
)
def test_hundreds_of_stops_lose_nothing(number, stops, verse_path, tmp_path):
    found = stop_again_and_again(number, stops, verse_path, tmp_path / "runs")
    print(f"{signal.Signals(number).name}: {found}")

    assert_nothing_was_lost(found, stops)
