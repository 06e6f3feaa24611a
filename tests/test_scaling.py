"""What a cluster would take is worked out by formulas, whose numbers are known by hand here."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAN = "<!-- benchmarks/scale.py --plan -->\n\n"  # before each of its tables in the docs


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("cluster")


@pytest.fixture
def scale(cluster):
    return importlib.import_module("scale")


def test_a_ring_sends_nearly_twice_what_is_summed(cluster):
    """Of four nodes each sends three quarters to be summed, and three quarters of the sums."""
    link = cluster.Link(bits_per_second=8e6, latency=1e-3)

    assert cluster.ring_bytes(8, 2) == 8
    assert cluster.ring_bytes(100, 4) == 150
    assert cluster.ring_bytes(100, 1) == 0
    assert cluster.ring_seconds(1e6, 4, link) == pytest.approx(6e-3 + 1.5)


def test_gradients_are_summed_in_buckets(cluster):
    mebibyte = 1 << 20
    sizes = [1, mebibyte, mebibyte + 1, 26 * mebibyte, 26 * mebibyte + 1]

    assert list(map(cluster.bucket_count, sizes)) == [1, 1, 2, 2, 3]


def test_the_input_embedding_is_sent_and_not_multiplied(cluster):
    """3 tokens and the boundary of 64 units; then 8 × 64 + 8 × 2 + 8 of the LSTM, 3 × 2 + 3."""
    network = cluster.network_of(1, 2, 3)

    assert network.parameters == 256 + 536 + 9
    assert network.multiplied == 545
    assert cluster.compute_seconds(network, 10, 1000.0) == pytest.approx(32.7)


def test_a_step_waits_for_gradients_and_three_small_sums(cluster):
    """Two nodes: 4 kB at 1 kB/s, and twice half a second for each of four reductions."""
    network = cluster.Network(name="", parameters=1000, multiplied=1000)
    link = cluster.Link(bits_per_second=8000, latency=0.5)

    assert cluster.wire_seconds(network, 2, link, cluster.FLOAT32) == pytest.approx(4 + 4)
    assert cluster.wire_seconds(network, 2, link, cluster.BFLOAT16) == pytest.approx(2 + 4)


def test_efficiency_is_the_share_of_computing(cluster):
    assert cluster.efficiency(3.0, 1.0) == 0.75
    assert cluster.efficiency(1.0, 4.0, every=4) == 0.5
    assert cluster.efficiency(1.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("compute", "wire", "wanted", "interval"),
    [(1.0, 1.0, 0.9, 9), (1.0, 1.0, 0.5, 1), (1.0, 0.01, 0.9, 1), (2.0, 1.0, 0.75, 2)],
)
def test_averages_are_as_rare_as_the_efficiency_asks(cluster, compute, wire, wanted, interval):
    found = cluster.averaging_interval(compute, wire, wanted)

    assert found == interval
    assert cluster.efficiency(compute, wire, found) >= wanted - 1e-9


def test_bfloat16_saves_two_bytes_for_twelve_of_memory_traffic(cluster):
    """Two nodes send a value once: 2 bytes less on the wire take as long as 12 in memory."""
    assert cluster.bf16_break_even(2, memory_bandwidth=12.0) == 8 * 2


def test_a_critical_batch_takes_twice_the_tokens(cluster):
    assert cluster.tokens_factor(100, 100) == 2
    assert cluster.speed_up(4, batch=1, critical=4, share=1.0) == 4 * 1.25 / 2
    assert cluster.speed_up(4, batch=1, critical=4, share=0.5) == 1.25
    assert cluster.speed_up(1, batch=9, critical=4, share=1.0) == 1


def test_two_segments_in_a_part_bring_it_to_three_of_four_nodes_of_two(cluster):
    assert cluster.share_of_parts(2, 2) == 0.75
    assert cluster.share_of_parts(1, 64) == pytest.approx(1 / 64)


def test_the_best_interval_of_saves_loses_least(cluster):
    """Saves of 2 s, a failure every 100 s: every 20 s, which adds 2/20 + (10 + 10)/100."""
    best = cluster.young_interval(2.0, 100.0)
    added = cluster.added_share(best, 2.0, 100.0, restart=10.0)

    assert best == 20
    assert added == pytest.approx(0.3)
    assert all(cluster.added_share(each, 2.0, 100.0, restart=10.0) > added for each in (19, 21))


def test_numbers_are_written_in_three_digits(cluster):
    assert cluster.in_bytes(5_390_000) == "5.39 MB"
    assert cluster.in_bytes(12) == "12.0 B"
    assert cluster.in_time(0.0431) == "43.1 ms"
    assert cluster.in_time(86_400 * 3200) == "3,200 days"
    assert cluster.in_time(0.0) == "0 µs"


def test_a_line_is_found_through_times_that_lie_on_one(cluster):
    sizes = [8, 1024, 1 << 20, 1 << 26]
    latency, per_byte = cluster.fit_line(sizes, [2e-4 + size * 1e-9 for size in sizes])

    assert latency == pytest.approx(2e-4)
    assert per_byte == pytest.approx(1e-9)


def test_a_short_message_counts_as_much_as_a_long_one(cluster):
    """At each of two sizes the line passes where the squares of shares are least."""
    latency, per_byte = cluster.fit_line([0, 0, 1e6, 1e6], [0.5, 2.0, 0.5e6, 2e6])

    assert latency == pytest.approx((2 + 0.5) / (4 + 0.25))  # Σ 1/t over Σ 1/t²
    assert per_byte == pytest.approx((2 + 0.5) / (4 + 0.25), rel=1e-5)


def reports(*facts):
    return [{"split": split, "step": step, "seconds": seconds} for split, step, seconds in facts]


def test_a_step_is_timed_from_report_to_report_without_the_first_and_validations(scale):
    lines = reports(
        ("train", 10, 5.0),
        ("train", 20, 9.0),
        ("train", 30, 10.0),
        ("train", 40, 11.0),
        ("validation", 40, 30.0),
        ("train", 50, 31.0),
        ("train", 55, 31.5),
        ("train", 65, 33.5),
    )

    assert scale.step_seconds(lines) == pytest.approx(0.1)  # of 0.1, 0.1 and 0.2
    with pytest.raises(ValueError, match="more --steps"):
        scale.step_seconds(lines[:3])


def test_a_step_is_predicted_from_computing_and_reducing(scale):
    by_size = {size: 0.25 + size / 1e6 for size in (8, 1024, 1 << 20)}
    reduction = scale.Reduction(float32=by_size, bfloat16=by_size)
    reducing = reduction.step_seconds(parameters=1000)  # one bucket and three small sums
    rows = [
        scale.Steps(
            processes=processes, streams=4, alone=1.0, beside=2.0, reducing=reducing, measured=each
        )
        for processes, each in ((1, 9.012), (2, 6.008))
    ]
    *_, last = scale.steps_table(rows).splitlines()

    assert reducing == pytest.approx(4 * 0.25 + 0.004)
    assert last == "| 2 | 4 | 1000.0 | 2000.0 | 1004.0 | 3004.0 | 6008.0 | 2.00 | 1.50 |"
    assert "| 256 | 251.02 | 251.02 | 251.02 |" in scale.reductions_table({2: reduction})


def test_processes_here_sum_numbers(scale, monkeypatch):
    monkeypatch.setattr(scale, "SIZES", (8, 4096))
    reduction = scale.reduce_between(2)

    assert list(reduction.float32) == list(reduction.bfloat16) == [8, 4096]
    assert all(each > 0 for each in reduction.float32.values())


def test_this_machine_is_measured_in_tables(scale, verse_path, monkeypatch, capsys):
    monkeypatch.setattr(scale, "READ_BYTES", 1000)
    arguments = ["--processes", "1", "--rounds", "1", "--steps", "60", "--hidden-size", "8"]
    arguments += ["--batch-size", "2", "--bptt-length", "8", "--embedding-size", "4"]
    monkeypatch.setattr(sys, "argv", ["scale.py", str(verse_path), *arguments])
    scale.main()
    output = capsys.readouterr().out
    (row,) = (line for line in output.splitlines() if line.startswith("| 1 | 2 |"))

    assert row.endswith("| 1.00 |")
    assert "--embedding-size 4" in output
    assert "| encode, byte |" in output


def plan_of(scale, monkeypatch, capsys, *options):
    monkeypatch.setattr(sys, "argv", ["scale.py", "--plan", *options])
    scale.main()
    return capsys.readouterr().out


def test_a_plan_follows_from_what_it_is_told(scale, monkeypatch, capsys):
    """Two nodes and a link as fast as computing: half the time is waited, a fifth when averaged."""
    network = scale.network_of(1, 512, 1000)
    flops = 6 * network.multiplied * 64
    bits = network.parameters * 4 * 8
    plan = plan_of(
        scale,
        monkeypatch,
        capsys,
        *("--nodes", "2", "--sizes", "1x512", "--gbit", str(bits / 1e9), "--latency", "0"),
        *("--node", f"desks: {flops} 1 1e9", "--corpus", str(2 * 64 * 86_400)),
    )
    (row,) = (line for line in plan.splitlines() if "1.00 s | 1.00 s" in line)

    assert row.split(" | ")[4:] == ["50 %", "67 %", "89 %", "2.00 days", "1.12 days", "9 |"]


def test_every_table_of_the_docs_is_as_printed(scale, monkeypatch, capsys):
    plan = plan_of(scale, monkeypatch, capsys)
    _, *blocks = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").split(PLAN)
    tables = [block.split("\n\n")[0].strip() for block in blocks]

    assert len(tables) == plan.count("| --- |")
    assert [table for table in tables if table not in plan] == []


def test_what_a_plan_does_not_know_is_refused(scale, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scale.py", "--plan", "--node-count", "3"])
    with pytest.raises(SystemExit, match="node-count"):
        scale.main()
