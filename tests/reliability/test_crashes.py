"""A run that is stopped at any instant loses nothing it has saved, and ends in the same weights."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import without_coverage

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

PHASES = {
    "elsewhere", "reading", "planning", "training", "validating", "saving the model",
    "saving the state", "finishing",
}  # fmt: skip
SIGNALS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]


def reports_of_stops(signals, stops, verse_path, folder):
    """Return a report for each signal, by name; see `crash_loop.py`."""
    program = Path(__file__).with_name("crash_loop.py")
    numbers = [str(int(number)) for number in signals]
    result = subprocess.run(
        [sys.executable, program, verse_path, folder, str(stops), *numbers],
        capture_output=True,
        env=without_coverage(),
        timeout=1200,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    reports = json.loads(result.stdout)
    return {signal.Signals(int(number)).name: report for number, report in reports.items()}


def assert_nothing_was_lost(report, stops):
    assert report["wrong"] == []
    assert sum(report["landed"].values()) >= stops
    assert report["landed"].keys() >= PHASES - {"elsewhere"}
    assert report["runs"] >= 1  # each ended like the run that was never stopped


def test_a_run_that_is_stopped_in_every_phase_ends_in_the_same_weights(verse_path, tmp_path):
    reports = reports_of_stops(SIGNALS, 8, verse_path, tmp_path / "runs")

    assert reports.keys() == {"SIGKILL", "SIGINT", "SIGTERM"}
    for report in reports.values():
        assert_nothing_was_lost(report, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "stops"), [(signal.SIGKILL, 400), (signal.SIGINT, 100), (signal.SIGTERM, 100)]
)
def test_hundreds_of_stops_lose_nothing(number, stops, verse_path, tmp_path):
    reports = reports_of_stops([number], stops, verse_path, tmp_path / "runs")
    print(reports)

    [report] = reports.values()
    assert_nothing_was_lost(report, stops)
