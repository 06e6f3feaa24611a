"""The benchmark trains what it is told to, and tells what came of it."""

import subprocess
import sys
from pathlib import Path

import pytest

LEARN = Path(__file__).resolve().parent.parent / "benchmarks" / "learn.py"


def test_configurations_and_peers_stand_in_one_table(verse_path):
    command = [sys.executable, LEARN, verse_path, "--budget", 2, "--rng-seeds", 0, 1]
    command += ["--configuration", "small: --hidden-size 16 --batch-size 4 --max-steps 30"]
    command += ["--peer", "peer: echo step 1: loss 3.5 step 2: loss 1.25"]
    command += ["--peer-score", "loss ([0-9.]+)"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=120, check=False
    )
    header, _, ours, peer = (line.split(" | ") for line in result.stdout.splitlines())
    cell = dict(zip(header, ours, strict=True))
    low, high = map(float, cell["from … to"].split(" … "))

    assert dict(zip(header, peer, strict=True))["nats"] == "1.2500"
    assert low < high < 3.3  # ln of 28 different characters
    assert low <= float(cell["nats"]) <= high
    assert float(cell["bits"]) == pytest.approx(float(cell["nats"]) / 0.6931, abs=1e-3)
    assert float(cell["cold windows"]) > 0
    assert "rng seed 1" in result.stderr
