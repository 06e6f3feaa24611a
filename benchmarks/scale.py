"""Measure what several processes gain on this machine, and plan training on many machines.

    python benchmarks/scale.py book.txt
    python benchmarks/scale.py --plan --nodes 64 --gbit 1 10 100

The first command measures a step of `charlm train` in 1, 2 and 4 processes under torchrun, all with
the same batch. It also predicts the step: from separate trainings side by side, each with the
streams of one process, plus gloo's all-reduce of the gradients. Nothing else should run meanwhile.
Options that this script does not have go to `charlm train`, such as --num-layers 2.

The second command prints the tables of docs/scaling.md. They follow from the options and from the
assumptions below; nothing is measured. Nodes compute, then wait for the network: nothing overlaps,
because the gradient of a recurrent matrix is complete only at the first token of the window.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.parameters import parameters

FLOAT32, BFLOAT16 = 4, 2  # bytes
FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20  # bytes of gradients that DistributedDataParallel sums
SMALL_REDUCTIONS = 3  # clock and stop request; counts of targets; map of the parameters in use
BYTES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
SECONDS = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "days": 86_400}

# Assumptions of the plan, in seconds, bytes and tokens.
NETWORKS = ((1, 512), (2, 1024), (4, 4096))  # layers, units
NODES = {"processors": (1e12, 32), "accelerators": (5e13, 256)}  # FLOP/s achieved, streams
VOCAB_SIZE, BPTT_LENGTH, CORPUS = 1000, 64, 1e12  # a byte of the corpus is a token
LATENCY = 50e-6  # of one message
STATE_COPIES = 4  # last network, best network, two moments of AdamW
DISK_SPEED, RESTART = 2e8, 60.0
READ_SPEED, PASSES_AT_START = 5e8, 3  # check and hash, find the held-out part, fingerprint
TIME_BETWEEN_FAILURES = 180 * 86_400.0  # of one node
# Steps of local SGD (Lin et al. 2018, https://arxiv.org/abs/1808.07217); efficiency to reach.
AVERAGING_INTERVAL, GOAL = 8, 0.9

STREAMS = 32  # of all processes together
FIRST_REPORTS = 3  # of ten steps each; left out, because a training begins slowly
REPETITIONS = 15  # of the all-reduces of a step
WORKER = "--all-reduce"  # torchrun starts this file with it
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def parameters_of(num_layers: int, hidden_size: int) -> tuple[int, int]:
    """Return an LSTM's number of parameters, and the number without the input embedding."""
    config = ModelConfig(num_layers=num_layers, hidden_size=hidden_size)
    sizes = {parameter.name: parameter.size for parameter in parameters(config, VOCAB_SIZE)}
    total = sum(sizes.values())
    return total, total - sizes["embedding.weight"]


def ring_bytes(payload: float, nodes: int) -> float:
    """Return the bytes that each node sends to sum `payload` bytes over all nodes.

    No algorithm sends less (Patarasuk & Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002).
    """
    return 2 * (nodes - 1) / nodes * payload


def bucket_sizes(payload: int) -> list[int]:
    """Return the bytes of each bucket of gradients (Li et al. 2020, arxiv.org/abs/2006.15704)."""
    ends = [*range(FIRST_BUCKET, payload, BUCKET), payload]
    return [end - start for start, end in itertools.pairwise([0, *ends])]


def reduction_count(total: int) -> int:
    """Return the number of all-reduces in a step with `total` gradients."""
    return len(bucket_sizes(total * FLOAT32)) + SMALL_REDUCTIONS


def exchange_seconds(total: int, value_bytes: int, nodes: int, gbit: float) -> float:
    """Return the seconds of a step in which nodes wait for `total` gradients and the small sums."""
    messages = 2 * (nodes - 1) * reduction_count(total)
    return messages * LATENCY + 8 * ring_bytes(total * value_bytes, nodes) / (gbit * 1e9)


def compute_seconds(multiplied: int, tokens: float, flops: float) -> float:
    """Return the seconds that a node takes to train on `tokens` tokens.

    A token takes 2 operations a parameter forward and 4 backward (Kaplan et al. 2020,
    https://arxiv.org/abs/2001.08361).
    """
    return 6 * multiplied * tokens / flops


def efficiency(compute: float, exchange: float, interval: int = 1) -> float:
    """Return the share of the time that nodes compute; they exchange every `interval` steps."""
    return compute / (compute + exchange / interval)


def averaging_interval(compute: float, exchange: float, goal: float) -> int:
    """Return the fewest steps between exchanges that reach the efficiency `goal`."""
    return max(1, math.ceil(exchange / compute * goal / (1 - goal) * (1 - 1e-12)))


def young_interval(save: float, time_between_failures: float) -> float:
    """Return the seconds between saves that lose least (Young 1974, 10.1145/361147.361115)."""
    return math.sqrt(2 * save * time_between_failures)


def added_share(every: float, save: float, between_failures: float, restart: float) -> float:
    """Return what saves and failures add to the training time, as a share of it."""
    return save / every + (every / 2 + restart) / between_failures


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first are aligned right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def in_units(number: float, units: Mapping[str, float]) -> str:
    """Return a number of bytes or seconds in three digits, such as "5.39 MB" or "43.1 ms"."""
    smallest, *larger = units
    unit = max((unit for unit in larger if number >= units[unit]), key=units.get, default=smallest)
    value = number / units[unit]
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def print_plan(nodes: int, gbits: Sequence[float]) -> None:
    """Print the tables of docs/scaling.md."""
    print(f"What each node sends at each step\n\n{size_table(nodes)}\n")
    for name, (flops, streams) in NODES.items():
        print(f"{nodes} {name}\n\n{step_table(flops, streams, nodes, gbits)}\n")
    print(f"Restarts\n\n{restart_table(nodes)}")


def size_table(nodes: int) -> str:
    """Return the bytes and reductions of a step, and the bytes of a run's state."""
    header = ["layers × units", "parameters", "float32", "bfloat16", "state", "reductions a step"]
    rows = []
    for layers, units in NETWORKS:
        total, _ = parameters_of(layers, units)
        sent = ring_bytes(total * FLOAT32, nodes)
        sizes = [in_units(size, BYTES) for size in (sent, sent / 2, STATE_COPIES * FLOAT32 * total)]
        row = [f"{layers} × {units}", f"{total / 1e6:,.1f} million", *sizes]
        rows.append([*row, str(reduction_count(total))])
    return table(header, rows)


def step_table(flops: float, streams: int, nodes: int, gbits: Sequence[float]) -> str:
    """Return how long nodes compute and wait, for each network and speed of the link."""
    header = ["layers × units", "Gbit/s", "computing", "waiting", "efficiency", "bfloat16"]
    header += [f"averaged every {AVERAGING_INTERVAL}", "one pass", "one pass, averaged"]
    header += [f"for {GOAL:.0%} every"]
    tokens = streams * BPTT_LENGTH
    steps = CORPUS / (tokens * nodes)
    rows = []
    for (layers, units), gbit in itertools.product(NETWORKS, gbits):
        total, multiplied = parameters_of(layers, units)
        compute = compute_seconds(multiplied, tokens, flops)
        full, half = (exchange_seconds(total, size, nodes, gbit) for size in (FLOAT32, BFLOAT16))
        averaged = full / AVERAGING_INTERVAL
        row = [f"{layers} × {units}", f"{gbit:g}"]
        row += [in_units(seconds, SECONDS) for seconds in (compute, full)]
        row += [f"{efficiency(compute, wait):.0%}" for wait in (full, half, averaged)]
        row += [in_units(steps * (compute + wait), SECONDS) for wait in (full, averaged)]
        rows.append([*row, str(averaging_interval(compute, full, GOAL))])
    return table(header, rows).replace("%", " %")


def restart_table(nodes: int) -> str:
    """Return what saves and failures add, at today's interval and at the best one."""
    header = ["layers × units", "a save", "added, every 60 s", "best interval", "added then"]
    between_failures = TIME_BETWEEN_FAILURES / nodes
    restart = RESTART + PASSES_AT_START * CORPUS / READ_SPEED
    rows = []
    for layers, units in NETWORKS:
        save = STATE_COPIES * FLOAT32 * parameters_of(layers, units)[0] / DISK_SPEED
        best = young_interval(save, between_failures)
        today, least = (added_share(every, save, between_failures, restart) for every in (60, best))
        times = (f"{today:.1%}", in_units(best, SECONDS), f"{least:.1%}")
        rows.append([f"{layers} × {units}", in_units(save, SECONDS), *times])
    return table(header, rows).replace("%", " %")


def measure(text: Path, options: argparse.Namespace, train_options: Sequence[str]) -> None:
    """Train with each number of processes, in turn, and print the times of a step."""
    cores = os.cpu_count() or 1
    common = [str(text), "--hidden-size", "512", "--bptt-length", str(BPTT_LENGTH)]
    common += ["--max-steps", str(options.steps), "--dropout", "0", *train_options]
    beside, together = defaultdict(list), defaultdict(list)
    for _, processes in itertools.product(range(options.rounds), options.processes):
        flags = [*common, "--batch-size", str(-(-STREAMS // processes))]
        flags += ["--threads", str(max(1, cores // processes))]
        beside[processes].append(train([sys.executable], flags, runs=processes)[0])
        flags = [*common, "--batch-size", str(STREAMS)]
        seconds, total = train([*TORCHRUN, str(processes)], flags, runs=1)
        together[processes].append(seconds)
    rows = []
    medians = {processes: statistics.median(seconds) for processes, seconds in together.items()}
    for processes, measured in medians.items():
        computing = statistics.median(beside[processes])
        reducing = reduction_seconds(total, processes) if processes > 1 else 0.0
        times = (computing, reducing, computing + reducing, measured)
        milliseconds = [f"{1000 * seconds:.1f}" for seconds in times]
        gain = medians[options.processes[0]] / measured
        rows.append([str(processes), *milliseconds, f"{gain:.2f}"])
    print(f"{text.name}, {total:,} parameters, {cores} cores; milliseconds a step\n")
    header = ["processes", "side by side", "all-reduce", "predicted", "measured", "gain"]
    print(table(header, rows))


def train(python: Sequence[str], flags: Sequence[str], *, runs: int) -> tuple[float, int]:
    """Train in `runs` runs at once; return the step seconds of the slowest, and its parameters."""
    command = [*python, "-m", "charlm", "train", *flags, "--quiet", "--save-every", "1h"]
    command += ["--validation-fraction", "0.01", "--metrics", "metrics.jsonl"]
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(TemporaryDirectory())) for _ in range(runs)]
        processes = [subprocess.Popen(command, cwd=folder) for folder in folders]
        if sum(process.wait() for process in processes):
            raise SystemExit("a training failed")
        metrics = [(folder / "metrics.jsonl").read_text().splitlines() for folder in folders]
        arrays = Checkpoint.load(folders[0] / "model.safetensors").arrays
    seconds = max(step_seconds(map(json.loads, lines)) for lines in metrics)
    return seconds, sum(array.size for array in arrays.values())


def step_seconds(reports: Iterable[Mapping[str, Any]]) -> float:
    """Return the median seconds of a step, from one training report to the next."""
    training = [report for report in reports if report["split"] == "train"][FIRST_REPORTS:]
    return statistics.median(
        (after["seconds"] - before["seconds"]) / (after["step"] - before["step"])
        for before, after in itertools.pairwise(training)
    )


def reduction_seconds(total: int, processes: int) -> float:
    """Return the seconds of gloo's all-reduces of a step with `total` gradients, measured here."""
    command = [*TORCHRUN, str(processes), __file__, WORKER, str(total)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def reduce_here(total: int) -> None:
    """Take part in the all-reduces of some steps; the first process prints their median time."""
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    sizes = [size // FLOAT32 for size in bucket_sizes(total * FLOAT32)] + [2] * SMALL_REDUCTIONS
    tensors, seconds = [torch.zeros(size) for size in sizes], []
    for _ in range(REPETITIONS):
        distributed.barrier()
        started = time.perf_counter()
        for tensor in tensors:
            distributed.all_reduce(tensor)
        seconds.append(time.perf_counter() - started)
    if distributed.get_rank() == 0:
        print(statistics.median(seconds), flush=True)
    distributed.destroy_process_group()


def main() -> None:
    """Print a plan, or measure and print a table."""
    if sys.argv[1:2] == [WORKER]:
        reduce_here(int(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(
        usage="scale.py TEXT [options], or scale.py --plan [options]", allow_abbrev=False
    )
    parser.add_argument("text", nargs="?", type=Path, metavar="TEXT")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4], metavar="N")
    parser.add_argument("--steps", type=int, default=150, help="steps of each training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", action="store_true", help="print the plan, measure nothing")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--gbit", nargs="+", type=float, default=[1, 10, 100], help="Gbit/s")
    options, train_options = parser.parse_known_args()
    if options.plan and not train_options:
        print_plan(options.nodes, options.gbit)
    elif options.text and not options.plan:
        measure(options.text.resolve(), options, train_options)
    else:
        parser.error("name a text, or --plan without options of charlm train")


if __name__ == "__main__":
    main()
