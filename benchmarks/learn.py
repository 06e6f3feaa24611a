"""Train configurations at equal budgets, one after the other, and print the score of each.

A configuration is a name and options of `charlm train`. Without --configuration and --peer, the
default runs in turn with fixed configurations.

    python benchmarks/learn.py book.txt --configuration "small: --hidden-size 256 --dropout 0"

A peer's command runs in turn with the others, so that all use one machine at one time. {text} and
{seconds} stand for the file and the budget. The last match of --peer-score in the output of the
command is its score, in nats per character:

    --peer "nanoGPT: sh nanogpt.sh {text}" --peer-score "val loss ([0-9.]+)"

charlm's models score the held-out tenth, as one stream and in cold windows of 256 characters. A
cold window starts without a state, which is nearly how nanoGPT measures.
"""

import argparse
import itertools
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import charlm
from charlm.corpus.windows import Windows
from charlm.inference.context_length import ids_as_read
from charlm.inference.scoring import score_windows

WINDOW = 256  # characters
# charlm's own choice, char-rnn's default size, and plain sizes with one setting changed.
CONFIGURATIONS = (
    "default:",
    "two of 128: --num-layers 2 --hidden-size 128 --batch-size 50 --bptt-length 50 --dropout 0",
    "256: --hidden-size 256 --dropout 0",
    "512: --hidden-size 512 --dropout 0",
    "512, slower: --hidden-size 512 --dropout 0 --learning-rate 4e-3",
    "512, dropout 0.3: --hidden-size 512 --dropout 0.3",
)
HEADER = (
    "text", "budget", "configuration", "nats", "from … to", "bits", "cold windows", "epochs",
    "characters/s", "wall time", "peak memory",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The score and the cost of one run."""

    nats: float  # per character of the held-out tenth, as one stream
    cold: float | None = None  # nats per character in cold windows
    epochs: float | None = None
    characters_per_second: float | None = None
    seconds: float = 0.0  # of wall time, with the start of the program
    memory: float = 0.0  # peak, in MB


def main() -> None:
    """Run every configuration and peer on every text, and print a table."""
    options = _options()
    configurations = options.configuration or (() if options.peer else CONFIGURATIONS)
    runs = [(name, flags, False) for name, flags in map(_named, configurations)]
    runs += [(name, command, True) for name, command in map(_named, options.peer)]
    if len({name for name, _, _ in runs}) < len(runs):
        raise SystemExit("two configurations or peers have the same name")
    print(" | ".join(HEADER))
    print(" | ".join("---" for _ in HEADER))
    for text, budget in itertools.product(options.texts, options.budget):
        results: dict[str, list[Result]] = {name: [] for name, _, _ in runs}
        for rng_seed, (name, words, is_peer) in itertools.product(options.rng_seeds, runs):
            if is_peer:
                result = run_peer(words, options.peer_score, text, budget)
            else:
                result = run_charlm(text, budget, rng_seed, words)
            results[name].append(result)
            print(
                f"{text.name}, {budget:g} s, {name}, rng seed {rng_seed}: {result}", file=sys.stderr
            )
        for name, name_results in results.items():
            print(" | ".join(_row(text.name, budget, name, name_results)), flush=True)


def run_charlm(text: Path, budget: float, rng_seed: int, flags: str) -> Result:
    """Train on `text` for `budget` seconds and score the model."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        metrics = Path(folder) / "metrics.jsonl"
        command = [sys.executable, "-m", "charlm", "train", str(text), "--quiet"]
        command += ["--max-time", f"{budget}s", "--rng-seed", str(rng_seed)]
        command += ["-o", str(model), "--metrics", str(metrics), *shlex.split(flags)]
        _, seconds, memory = timed(command)
        loaded = charlm.load(model)
        lines = map(json.loads, metrics.read_text().splitlines())
        speeds = [line["characters_per_second"] for line in lines if line["split"] == "train"]
    score = loaded.provenance["validation"]
    held_out = text.read_bytes().decode()[-score["characters"] :]
    return Result(
        nats=score["nats"] / score["characters"],
        cold=cold_windows(loaded, held_out) if loaded.config.task == "text" else None,
        epochs=loaded.provenance["epochs"],
        characters_per_second=statistics.median(speeds),
        seconds=seconds,
        memory=memory,
    )


def run_peer(command: str, pattern: str, text: Path, budget: float) -> Result:
    """Run a peer's command, with {text} and {seconds} filled in, and read its score."""
    output, seconds, memory = timed(
        shlex.split(command.replace("{text}", str(text)).replace("{seconds}", f"{budget:g}"))
    )
    return Result(nats=float(re.findall(pattern, output)[-1]), seconds=seconds, memory=memory)


def timed(command: list[str]) -> tuple[str, float, float]:
    """Run a command; return its output, its seconds and its peak memory in MB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if status:
        raise SystemExit(f"{shlex.join(command)} failed:\n{text}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return text, seconds, usage.ru_maxrss * unit / 1e6


def cold_windows(model: charlm.Model, text: str) -> float:
    """Return nats per character of consecutive windows of `text`, each without a state before."""
    ids = ids_as_read(text, model.tokenizer, model.config)
    begin = np.arange(0, len(ids), WINDOW)
    prefix = None if model.config.begins_anywhere else ids[:0]
    stop = np.minimum(begin + WINDOW, len(ids))
    windows = Windows(ids, model.tokenizer.boundary_id, begin, begin, stop, prefix)
    return float(score_windows(model.runtime(), windows).sum()) / len(text)


def _row(text: str, budget: float, name: str, results: list[Result]) -> list[str]:
    nats = [result.nats for result in results]

    def median(attribute: str, format_spec: str) -> str:
        values = [getattr(result, attribute) for result in results]
        return "" if None in values else format(statistics.median(values), format_spec)

    return [
        text,
        f"{budget:g} s",
        name,
        median("nats", ".4f"),
        f"{min(nats):.4f} … {max(nats):.4f}",
        f"{statistics.median(nats) / np.log(2):.3f}",
        median("cold", ".4f"),
        median("epochs", ".2f"),
        median("characters_per_second", ",.0f"),
        median("seconds", ".1f") + " s",
        median("memory", ",.0f") + " MB",
    ]


def _named(text: str) -> tuple[str, str]:
    name, _, rest = text.partition(":")
    return name.strip(), rest.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXT")
    parser.add_argument("--budget", nargs="+", type=float, default=[10, 60], metavar="SECONDS")
    parser.add_argument("--rng-seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--configuration", action="append", metavar="NAME:FLAGS")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME:COMMAND")
    parser.add_argument("--peer-score", default=r"([0-9.]+)", metavar="REGEX")
    return parser.parse_args()


if __name__ == "__main__":
    main()
