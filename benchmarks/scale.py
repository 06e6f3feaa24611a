"""Measure what several processes gain on this machine, and work out what a cluster would take.

    python benchmarks/scale.py book.txt --processes 1 2 4
    python benchmarks/scale.py --plan

The first measures, in turn and some rounds, the steps of `charlm train` under torchrun with one
global batch; the steps of separate trainings that share nothing, each with a process's share of
the streams and its threads, alone and as many side by side; and gloo's all-reduce by its size. From
the last two it predicts the first, which is how far the formulas of the second can be trusted. It
ends with how fast one core reads and encodes the text. Options that it does not know go to
`charlm train`, such as --num-layers 2. Nothing else should run meanwhile.

The second prints what follows from the assumptions in `cluster.py` and the options below.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cluster import (
    FLOAT32,
    SMALL_REDUCTIONS,
    Cluster,
    Encoding,
    Link,
    Node,
    bucket_count,
    fit_line,
    in_bytes,
    in_time,
    network_of,
    print_plan,
    table,
)

from charlm import tokenizers
from charlm.checkpoint import Checkpoint
from charlm.config import TokenizerKind
from charlm.corpus.reading import examine, open_documents
from charlm.fingerprint import Fingerprint
from charlm.parameters import parameter_count

FIRST_REPORTS = 3  # of ten steps each; they are left out, for a training begins slowly
SIZES = (8, 1 << 12, 1 << 16, 1 << 20, 1 << 22, 1 << 24, 1 << 26)  # bytes
REPETITIONS = 15  # of each all-reduce
READ_BYTES = 1 << 28  # at least, when reading is timed
WORKER = "--all-reduce"  # what torchrun starts this file with
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """Seconds of gloo's all-reduce between some processes here.

    Attributes:
        float32: By bytes.
        bfloat16: Of as many values, by the bytes that they have in float32.
    """

    float32: Mapping[int, float]
    bfloat16: Mapping[int, float]

    @property
    def line(self) -> tuple[float, float]:
        """Latency in seconds, and seconds per byte, of float32."""
        return fit_line(list(self.float32), list(self.float32.values()))

    def step_seconds(self, parameters: int) -> float:
        """Return the seconds of a step's reductions: of all gradients, and the small ones."""
        latency, per_byte = self.line
        payload = parameters * FLOAT32
        return latency * (bucket_count(payload) + SMALL_REDUCTIONS) + payload * per_byte


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Seconds of a step with a number of processes.

    Attributes:
        processes: How many.
        streams: Of the process that has most.
        alone: Of one separate training with those streams, when nothing else runs.
        beside: Of the slowest of as many separate trainings side by side.
        reducing: Of the all-reduces of a step.
        measured: Of the processes together, as one training.
    """

    processes: int
    streams: int
    alone: float
    beside: float
    reducing: float
    measured: float

    @property
    def predicted(self) -> float:
        """Seconds of a step if processes compute side by side, and then reduce."""
        return self.beside + self.reducing


def main() -> None:
    """Print a plan, or measure and print tables."""
    if sys.argv[1:2] == [WORKER]:
        _reduce_here([int(size) for size in sys.argv[2:]])
        return
    options, more = _options()
    if options.plan:
        if more:
            raise SystemExit(f"not known: {shlex.join(more)}")
        print_plan(_cluster(options))
    elif options.text is None:
        raise SystemExit("name a text, or --plan")
    else:
        measure(options, more)


def measure(options: argparse.Namespace, more: Sequence[str]) -> None:
    """Train on this machine in all ways, in turn, and print what came of it."""
    flags = ["--hidden-size", str(options.hidden_size), "--bptt-length", str(options.bptt_length)]
    flags += ["--max-steps", str(options.steps), "--dropout", "0", *more]
    cores = os.cpu_count() or 1
    ways: dict[tuple[str, int], list[float]] = {}
    parameters = 0
    for number in range(options.rounds):
        for processes in options.processes:
            streams = -(-options.batch_size // processes)
            own = [*flags, "--batch-size", str(streams)]
            own += ["--threads", str(max(1, cores // processes))]
            together = [*flags, "--batch-size", str(options.batch_size)]
            found = {"alone": train_beside(options.text, own, 1)[0]}
            if processes > 1:
                found["beside"] = max(train_beside(options.text, own, processes))
            found["measured"], parameters = train_together(options.text, together, processes)
            for name, seconds in found.items():
                ways.setdefault((name, processes), []).append(seconds)
            print(f"round {number + 1}, {processes} processes: {found}", file=sys.stderr)
    several = [processes for processes in options.processes if processes > 1]
    reductions = {processes: reduce_between(processes) for processes in several}
    medians = {key: statistics.median(seconds) for key, seconds in ways.items()}
    rows = [
        Steps(
            processes=processes,
            streams=-(-options.batch_size // processes),
            alone=medians["alone", processes],
            beside=medians.get(("beside", processes), medians["alone", processes]),
            reducing=reductions[processes].step_seconds(parameters) if processes > 1 else 0.0,
            measured=medians["measured", processes],
        )
        for processes in options.processes
    ]
    print(
        f"{options.text.name}, `{shlex.join(flags)}`, {options.batch_size} streams in all; "
        f"{parameters:,} parameters; {cores} cores; medians of {options.rounds} rounds; "
        "milliseconds a step\n"
    )
    print(steps_table(rows))
    if reductions:
        print("\ngloo's all-reduce here, milliseconds\n")
        print(reductions_table(reductions))
    print("\nOne process reads and encodes the text\n")
    print(reading_table(options.text))


def step_seconds(lines: Iterable[Mapping[str, Any]]) -> float:
    """Return the median seconds of a step, from one report to the next.

    The first reports are left out, and those between which there was a validation.

    Args:
        lines: Of a metrics file.

    Raises:
        ValueError: If there are not two reports to compare.
    """
    found: list[float] = []
    reports = 0
    for before, after in pairwise(lines):
        reports += before["split"] == "train"
        if reports >= FIRST_REPORTS and before["split"] == after["split"] == "train":
            steps = after["step"] - before["step"]
            found.append((after["seconds"] - before["seconds"]) / steps)
    if not found:
        raise ValueError(f"fewer than {FIRST_REPORTS + 1} reports; more --steps are needed")
    return statistics.median(found)


def train_together(text: Path, flags: Sequence[str], processes: int) -> tuple[float, int]:
    """Train in processes under torchrun; return the seconds of a step, and the parameters."""
    with tempfile.TemporaryDirectory() as folder:
        _run([[*TORCHRUN, str(processes), "-m", *_charlm(text, flags, Path(folder))]])
        checkpoint = Checkpoint.load(Path(folder) / "model.safetensors")
        count = parameter_count(checkpoint.config, checkpoint.tokenizer.vocab_size)
        return step_seconds(_metrics(Path(folder))), count


def train_beside(text: Path, flags: Sequence[str], count: int) -> list[float]:
    """Train in so many separate processes at once; return the seconds of a step of each."""
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(count)]
        _run([[sys.executable, "-m", *_charlm(text, flags, folder)] for folder in folders])
        return [step_seconds(_metrics(folder)) for folder in folders]


def reduce_between(processes: int) -> Reduction:
    """Return the seconds of gloo's all-reduce between processes on this machine."""
    (output,) = _run(
        [[*TORCHRUN, str(processes), str(Path(__file__).resolve()), WORKER, *map(str, SIZES)]]
    )
    found = json.loads(output[output.index("{") : output.rindex("}") + 1])
    return Reduction(
        **{dtype: {int(size): each for size, each in by_size.items()}
           for dtype, by_size in found.items()}
    )  # fmt: skip


def steps_table(rows: Sequence[Steps]) -> str:
    """Return the table of steps, in milliseconds; the gain is over the first row."""
    header = ["processes", "streams each", "alone", "side by side", "all-reduce", "predicted"]
    header += ["measured", "measured / predicted", "gain"]
    return table(
        header,
        [
            [
                str(row.processes),
                str(row.streams),
                *(
                    f"{1000 * each:.1f}"
                    for each in (
                        row.alone, row.beside, row.reducing, row.predicted, row.measured
                    )
                ),
                f"{row.measured / row.predicted:.2f}",
                f"{rows[0].measured / row.measured:.2f}",
            ]
            for row in rows
        ],
    )  # fmt: skip


def reductions_table(reductions: Mapping[int, Reduction]) -> str:
    """Return the table of all-reduces by their size: measured, as fitted, and as bfloat16."""
    header = ["values"]
    for processes in reductions:
        header += [f"{processes} processes", "fitted", "bfloat16"]
    rows = []
    for size in next(iter(reductions.values())).float32:
        row = [f"{size // FLOAT32:,}"]
        for reduction in reductions.values():
            latency, per_byte = reduction.line
            seconds = reduction.float32[size], latency + size * per_byte, reduction.bfloat16[size]
            row += [f"{1000 * each:.2f}" for each in seconds]
        rows.append(row)
    fitted = ["latency; float32 bytes/s"]
    for reduction in reductions.values():
        latency, per_byte = reduction.line
        speed = f"{in_bytes(1 / per_byte)}/s" if per_byte else "–"
        fitted += ["", f"{in_time(latency)}; {speed}", ""]
    return table(header, [*rows, fitted])


def reading_table(path: Path) -> str:
    """Return the table of what one process does to a text, in bytes per second.

    The first three are the passes over a corpus before a training: the text is repeated, and
    fingerprinted as a part of one of 1 TB is.
    """
    text = path.read_bytes().decode()
    size = path.stat().st_size
    times = -(-READ_BYTES // size)
    with open_documents([str(path)]) as (document,):

        def chunks() -> Iterator[str]:
            for _ in range(times):
                yield from document.read_text()

        work: dict[str, Callable[[], object]] = {
            "check, count and hash": lambda: [examine(document) for _ in range(times)],
            "find a cut": lambda: sum(len(chunk.encode()) for chunk in chunks()),
            "fingerprint": lambda: Fingerprint.of_texts([chunks()], 10**12),
        }
        rows = [
            [name, f"{in_bytes(size * times / _timed(run))}/s", ""] for name, run in work.items()
        ]
    kinds: tuple[TokenizerKind, ...] = ("char", "byte", "word", "bpe")
    for kind in kinds:
        tokenizer = tokenizers.train(kind, iter([text]), vocab_size=None, reserved="")
        started = time.perf_counter()
        tokens = len(tokenizer.encode(text))
        spent = time.perf_counter() - started
        rows.append([f"encode, {kind}", f"{in_bytes(size / spent)}/s", f"{tokens / size:.3f}"])
    return table(["what", "speed", "tokens a byte"], rows)


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _charlm(text: Path, flags: Sequence[str], folder: Path) -> list[str]:
    output = ["-o", str(folder / "model.safetensors"), "--metrics", str(folder / "metrics.jsonl")]
    rare = ["--save-every", "1h", "--validation-fraction", "0.01", "--quiet"]
    return ["charlm", "train", str(text), *rare, *output, *flags]


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _run(commands: Sequence[Sequence[str]]) -> list[str]:
    """Run commands at once; return what each wrote to stdout."""
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in commands]
        errors = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in commands]
        running = [
            subprocess.Popen(command, stdout=output, stderr=error)
            for command, output, error in zip(commands, outputs, errors, strict=True)
        ]
        statuses = [process.wait() for process in running]
        for command, status, error in zip(commands, statuses, errors, strict=True):
            if status:
                error.seek(0)
                raise SystemExit(f"{shlex.join(command)} failed:\n{error.read()}")
        for output in outputs:
            output.seek(0)
        return [output.read() for output in outputs]


def _reduce_here(sizes: Sequence[int]) -> None:
    """Take part in all-reduces of all sizes; the first process prints their medians as JSON."""
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    found: dict[str, dict[int, float]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        by_size = found.setdefault(str(dtype).removeprefix("torch."), {})
        for size in sizes:
            values = torch.zeros(size // FLOAT32, dtype=dtype)
            seconds = []
            for _ in range(REPETITIONS):
                distributed.barrier()
                started = time.perf_counter()
                distributed.all_reduce(values)
                seconds.append(time.perf_counter() - started)
            by_size[size] = statistics.median(seconds)
    if distributed.get_rank() == 0:
        print(json.dumps(found), flush=True)
    distributed.destroy_process_group()


def _cluster(options: argparse.Namespace) -> Cluster:
    return Cluster(
        nodes=options.nodes,
        kinds=options.node,
        links=[
            Link(bits_per_second=speed * 1e9, latency=options.latency) for speed in options.gbit
        ],
        networks=[network_of(layers, units, options.vocab_size) for layers, units in options.sizes],
        encodings=options.encoding,
        corpus=options.corpus,
        bptt_length=options.bptt_length,
        cores=options.cores,
        read_speed=options.read_speed,
        disk_speed=options.disk_speed,
        mean_time_between_failures=options.mean_time_between_failures * 86_400,
        restart=options.restart,
        critical_batches=options.critical_batches,
    )


def _node(text: str) -> Node:
    name, numbers = text.split(":")
    flops, streams, memory_bandwidth = numbers.split()
    return Node(
        name=name, flops=float(flops), streams=int(streams),
        memory_bandwidth=float(memory_bandwidth),
    )  # fmt: skip


def _encoding(text: str) -> Encoding:
    name, numbers = text.split(":")
    speed, tokens_per_byte, id_bytes = numbers.split()
    return Encoding(
        name=name, speed=float(speed), tokens_per_byte=float(tokens_per_byte),
        id_bytes=int(id_bytes),
    )  # fmt: skip


def _size(text: str) -> tuple[int, int]:
    num_layers, hidden_size = text.split("x")
    return int(num_layers), int(hidden_size)


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("text", nargs="?", type=Path, metavar="TEXT")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4], metavar="N")
    parser.add_argument("--batch-size", type=int, default=32, help="streams in all")
    parser.add_argument("--bptt-length", type=int, default=64)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=150, help="of each training")
    parser.add_argument("--rounds", type=int, default=3)
    plan = parser.add_argument_group("a cluster")
    plan.add_argument("--plan", action="store_true")
    plan.add_argument("--nodes", type=int, default=64)
    plan.add_argument("--corpus", type=float, default=1e12, help="bytes of text, one a token")
    plan.add_argument("--gbit", nargs="+", type=float, default=[1, 10, 100], help="Gbit/s")
    plan.add_argument("--latency", type=float, default=50e-6, help="seconds of a message")
    plan.add_argument(
        "--node",
        nargs="+",
        type=_node,
        default=[_node("processors: 1e12 32 2e10"), _node("accelerators: 5e13 256 1e12")],
        metavar="NAME:NUMBERS",
        help="kinds of nodes: FLOP/s, streams, bytes/s of memory",
    )
    plan.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        default=[(1, 512), (2, 1024), (4, 4096)],
        metavar="LAYERSxUNITS",
    )
    plan.add_argument("--vocab-size", type=int, default=1000)
    plan.add_argument(
        "--encoding",
        nargs="+",
        type=_encoding,
        default=[_encoding("char: 1.7e8 1 2"), _encoding("bpe: 9e6 0.4 2")],
        metavar="NAME:NUMBERS",
        help="tokenizers: bytes/s of a core, tokens a byte, bytes of an id",
    )
    plan.add_argument("--cores", type=int, default=16, help="of a node, for encoding")
    plan.add_argument("--read-speed", type=float, default=5e8, help="bytes/s of each pass")
    plan.add_argument("--disk-speed", type=float, default=2e8, help="bytes/s of a state")
    plan.add_argument(
        "--mean-time-between-failures", type=float, default=180, help="days, of one node"
    )
    plan.add_argument("--restart", type=float, default=60, help="seconds, without reading")
    plan.add_argument("--critical-batches", nargs="+", type=float, default=[1e4, 1e5, 1e6, 1e7])
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
