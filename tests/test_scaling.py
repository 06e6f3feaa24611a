"""benchmarks/scale.py: the numbers of these formulas are known by hand."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAN = "<!-- benchmarks/scale.py --plan -->\n\n"  # stands before each of its tables in the docs


@pytest.fixture
def scale(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("scale")


def test_a_ring_sends_nearly_twice_the_payload(scale):
    """Each of four nodes sends three quarters of the payload, then three quarters of the sums."""
    assert scale.ring_bytes(100, 4) == 150
    assert scale.ring_bytes(8, 2) == 8
    assert scale.ring_bytes(100, 1) == 0


def test_gradients_are_summed_in_buckets(scale):
    mebibyte = 1 << 20

    assert scale.bucket_sizes(mebibyte) == [mebibyte]
    assert scale.bucket_sizes(mebibyte + 1) == [mebibyte, 1]
    assert scale.bucket_sizes(27 * mebibyte) == [mebibyte, 25 * mebibyte, mebibyte]


def test_the_input_embedding_is_not_multiplied(scale, monkeypatch):
    """3 tokens and the boundary of 64 units; then 8 × 64 + 8 × 2 + 8 of the LSTM, 3 × 2 + 3."""
    monkeypatch.setattr(scale, "VOCAB_SIZE", 3)

    assert scale.parameters_of(1, 2) == (256 + 536 + 9, 545)
    assert scale.compute_seconds(545, 10, 1000.0) == pytest.approx(32.7)


def test_a_step_waits_for_gradients_and_three_small_sums(scale, monkeypatch):
    """Two nodes send 4 kB at 1 kB/s; four reductions are two messages of half a second each."""
    monkeypatch.setattr(scale, "LATENCY", 0.5)

    assert scale.exchange_seconds(1000, scale.FLOAT32, 2, gbit=8e-6) == pytest.approx(4 + 4)
    assert scale.exchange_seconds(1000, scale.BFLOAT16, 2, gbit=8e-6) == pytest.approx(2 + 4)


@pytest.mark.parametrize(
    ("compute", "exchange", "goal", "interval"),
    [(1.0, 1.0, 0.9, 9), (1.0, 1.0, 0.5, 1), (1.0, 0.01, 0.9, 1), (2.0, 1.0, 0.75, 2)],
)
def test_the_averaging_interval_reaches_the_efficiency(scale, compute, exchange, goal, interval):
    assert scale.averaging_interval(compute, exchange, goal) == interval
    assert scale.efficiency(compute, exchange, interval) >= goal - 1e-9


def test_the_best_interval_of_saves_loses_least(scale):
    """Saves of 2 s, a failure every 100 s: every 20 s, which adds 2/20 + (10 + 10)/100."""
    best = scale.young_interval(2.0, 100.0)

    assert best == 20
    assert scale.added_share(best, 2.0, 100.0, 10.0) == pytest.approx(0.3)
    assert all(scale.added_share(every, 2.0, 100.0, 10.0) > 0.3 for every in (19, 21))


def test_numbers_are_printed_in_three_digits(scale):
    assert scale.in_units(5_390_000, scale.BYTES) == "5.39 MB"
    assert scale.in_units(12, scale.BYTES) == "12.0 B"
    assert scale.in_units(0.0431, scale.SECONDS) == "43.1 ms"
    assert scale.in_units(86_400 * 3200, scale.SECONDS) == "3,200 days"


def test_a_step_is_timed_from_report_to_report_without_the_first_ones(scale):
    reports = [("train", 10, 5.0), ("train", 20, 9.0), ("train", 30, 10.0), ("train", 40, 11.0)]
    reports += [("validation", 40, 30.0), ("train", 50, 12.0), ("train", 60, 14.0)]
    lines = [dict(zip(("split", "step", "seconds"), report, strict=True)) for report in reports]

    assert scale.step_seconds(lines) == pytest.approx(0.15)  # of 0.1 and 0.2


def test_one_process_is_measured_here(scale, verse_path, monkeypatch, capsys):
    options = ["--processes", "1", "--rounds", "1", "--steps", "60"]
    options += ["--hidden-size", "8", "--bptt-length", "8"]  # for charlm train
    monkeypatch.setattr(scale, "STREAMS", 2)
    monkeypatch.setattr(sys, "argv", ["scale.py", str(verse_path), *options])
    scale.main()
    processes, _, reducing, *_, gain = capsys.readouterr().out.splitlines()[-1].split(" | ")

    assert (processes, reducing, gain) == ("| 1", "0.0", "1.00 |")


def test_processes_here_sum_numbers(scale):
    assert 0 < scale.reduction_seconds(1000, 2) < 60


def test_every_table_of_the_docs_is_as_printed(scale, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scale.py", "--plan"])
    scale.main()
    plan = capsys.readouterr().out
    _, *blocks = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").split(PLAN)
    tables = [block.split("\n\n")[0].strip() for block in blocks]

    assert len(tables) == plan.count("| --- |")
    assert [table for table in tables if table not in plan] == []
