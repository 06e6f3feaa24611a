"""The benchmarks run on tiny inputs, and their peers compute the same."""

import importlib
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from charlm.checkpoint import Checkpoint
from charlm.inference.model import Model

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
LEARN = BENCHMARKS / "learn.py"


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


def run_script(charlm_path, name, *arguments):
    """Return the lines that a benchmark of shell prints."""
    environment = os.environ | {"PATH": f"{Path(charlm_path).parent}:{os.environ['PATH']}"}
    command = ["bash", BENCHMARKS / name, *arguments]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, check=True
    )
    return result.stdout.splitlines()


def test_minimal_pairs_are_counted_by_field(charlm_path, verse_model_path, verse_path, tmp_path):
    good = verse_path.read_text().splitlines()[0]
    bad = good[::-1]
    rows = [("item", "field", "good", "bad"), ("1", "order", good, bad), ("2", "order", good, good)]
    rows += [("3", "mirror", bad, good)]
    (tmp_path / "pairs.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    lines = run_script(charlm_path, "minimal_pairs.sh", tmp_path / "pairs.tsv", verse_model_path)
    shares = {line.split()[0]: (line.split()[1], line.split()[3]) for line in lines}

    # Equal sentences are no right pair.
    assert shares == {"order": ("2", "0.5000"), "mirror": ("1", "0.0000"), "all": ("3", "0.3333")}


def test_alerts_unlike_all_lines_have_the_largest_auc(charlm_path, tmp_path):
    lines = [f"- {n} d p t p RAS KERNEL INFO cache parity error corrected\n" for n in range(400)]
    lines[250:260] = [f"APPSEV {n} d p t p RAS APP FATAL ciod: xyz % qqq !!\n" for n in range(10)]
    (tmp_path / "a.log").write_text("".join(lines))

    assert run_script(charlm_path, "odd_lines.sh", tmp_path / "a.log", 2) == [
        "no-alerts: 10 alerts in 200 lines, AUC 1.0000",
        "all-lines: 10 alerts in 200 lines, AUC 1.0000",
    ]


def test_reading_times_that_follow_from_the_surprisal_are_explained(
    verse_model_path, verse_path, tmp_path
):
    text = " ".join(verse_path.read_text().split()[:60])
    (tmp_path / "1.txt").write_text(text)
    words = Model(Checkpoint.load(verse_model_path)).score_tokens(text).by_word()
    names = ("story", "zone", "word", "mean_rt", "length", "unigram_surprisal")
    rows = [(*names, "bigram_surprisal", "trigram_surprisal")]
    for zone, (word, nats) in enumerate(zip(text.split(), words.nats, strict=True)):
        # Figures that have nothing to do with the time, but are not constant.
        others = (len(word), zone % 7, zone % 5, zone % 3)
        rows.append((1, zone, word, float(300 + 20 * nats / math.log(2)), *others))
    (tmp_path / "words.tsv").write_text("".join("\t".join(map(str, r)) + "\n" for r in rows))
    command = [sys.executable, BENCHMARKS / "reading_times.py", "words.tsv", ".", verse_model_path]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, check=True
    )
    [base] = re.findall(r"explain ([0-9.]+)", done.stdout)
    [gain] = re.findall(r"^model +adds ([0-9.]+)", done.stdout, re.MULTILINE)

    assert float(base) + float(gain) == pytest.approx(1, abs=2e-4)
