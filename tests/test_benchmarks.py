"""The benchmarks run on tiny inputs, and their peers compute the same."""

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from charlm.inference.model import Model

LEARN = Path(__file__).resolve().parent.parent / "benchmarks" / "learn.py"


def test_configurations_and_peers_are_in_one_table(verse_path):
    command = [sys.executable, LEARN, verse_path, "--budget", 2, "--rng-seeds", 0, 1]
    command += ["--configuration", "small: --hidden-size 16 --batch-size 4 --max-steps 30"]
    command += ["--reach", 99, "--peer", "peer: echo step 1: loss 3.5 step 2: loss 1.25"]
    command += ["--peer-score", "loss ([0-9.]+)"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=120, check=False
    )
    header, _, ours, peer, *_ = (line.split(" | ") for line in result.stdout.splitlines())
    cell = dict(zip(header, ours, strict=True))
    low, high = map(float, cell["from … to"].split(" … "))

    assert dict(zip(header, peer, strict=True))["nats"] == "1.2500"
    assert float(cell["by NumPy"]) == pytest.approx(float(cell["network"]), abs=1e-3)
    assert float(cell["reached"]) >= 0
    assert low < high < 3.3  # ln of 28 different characters
    assert low <= float(cell["nats"]) <= high
    assert float(cell["bits"]) == pytest.approx(float(cell["nats"]) / 0.6931, abs=1e-3)
    assert "rng seed 1" in result.stderr


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_cold_window_is_scored_without_a_state(random_checkpoint, direction, monkeypatch):
    monkeypatch.syspath_prepend(LEARN.parent)
    learn = importlib.import_module("learn")
    model = Model(random_checkpoint(direction=direction))
    text = "abcdefgh" * 50
    one_by_one = model.score(text[:256]).nats + model.score(text[256:]).nats

    assert learn.cold_windows(model, text) == pytest.approx(one_by_one / 400, rel=1e-6)


def test_generation_is_measured_beside_pytorch_and_a_peer(verse_model_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(LEARN.parent)
    generate = importlib.import_module("generate")
    for name, value in (("ROUNDS", 1), ("STREAM_LENGTH", 40), ("TEXT_LENGTH", 5), ("TEXTS", 8)):
        monkeypatch.setattr(generate, name, value)
    monkeypatch.setattr(
        sys, "argv", ["generate.py", str(verse_model_path), "--peer", "peer: echo text"]
    )
    generate.main()
    rows = dict(
        line.split(" | ", 1) for line in capsys.readouterr().out.splitlines() if " | " in line
    )

    assert float(rows["peer"].split(" | ")[0]) >= 0
    assert float(rows["charlm, 2,000 characters"].split(" | ")[1]) == 1.0
    assert {"one text", "one text by torch.nn.LSTM", "8 texts"} <= rows.keys()


def test_the_peer_in_pytorch_has_the_same_weights(verse_checkpoint, monkeypatch):
    """Its loop takes the likeliest characters, and comes to the text that the model generates."""
    import torch

    monkeypatch.syspath_prepend(LEARN.parent)
    generate = importlib.import_module("generate")
    seen = []
    monkeypatch.setattr(
        torch, "softmax", lambda logits, dim: seen.append(logits.clone()) or logits.softmax(dim)
    )
    monkeypatch.setattr(torch, "multinomial", lambda p, _: p.argmax(-1, keepdim=True))
    generate._torch_loop(verse_checkpoint)(30)
    text = Model(verse_checkpoint).generate(length=30, temperature=0)
    pieces = verse_checkpoint.tokenizer.pieces

    assert "".join(pieces[int(logits.argmax())] for logits in seen) == text


def test_scoring_is_measured_beside_pytorch(
    verse_model_path, verse_path, verse_checkpoint, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(LEARN.parent)
    score = importlib.import_module("score")
    for name, value in (("ROUNDS", 1), ("LINES", 20), ("TORCH_LENGTH", 300), ("TORCH_CHUNK", 90)):
        monkeypatch.setattr(score, name, value)
    monkeypatch.setattr(sys, "argv", ["score.py", str(verse_path), str(verse_model_path)])
    score.main()
    names = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()]

    assert {"torch.nn.LSTM, one stream", "the text as a whole", "lines of 40 characters"} <= {
        *names
    }
    text = verse_path.read_text(encoding="utf-8")[:300]
    peer = score._torch_score(verse_checkpoint, text)()
    network = Model(replace(verse_checkpoint, ngrams={}))
    assert peer == pytest.approx(network.score(text).nats, rel=1e-5)


def test_many_lines_are_sent_through_the_command(verse_model_path, verse_path, monkeypatch, capfd):
    monkeypatch.syspath_prepend(LEARN.parent)
    score = importlib.import_module("score")
    monkeypatch.setattr(score, "PIPED_LINES", 60)
    monkeypatch.setattr(score, "LONG_LINE", 5000)
    arguments = ["score.py", str(verse_path), str(verse_model_path), "--pipe"]
    monkeypatch.setattr(sys, "argv", arguments)
    score.main()

    assert "60 lines" in capfd.readouterr().out
