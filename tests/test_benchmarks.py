"""The benchmark trains what it is told to, and tells what came of it."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from charlm.inference.model import Model

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
    assert "rng seed 1" in result.stderr


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_cold_windows_are_scored_each_from_nothing(random_checkpoint, direction, monkeypatch):
    monkeypatch.syspath_prepend(LEARN.parent)
    learn = importlib.import_module("learn")
    model = Model(random_checkpoint(direction=direction))
    text = "abcdefgh" * 50
    one_by_one = model.score(text[:256]).nats + model.score(text[256:]).nats

    assert learn.cold_windows(model, text) == pytest.approx(one_by_one / 400, rel=1e-6)
