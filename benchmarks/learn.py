"""Train configurations at equal budgets, one process at a time, and print what each has learnt.

A configuration is a name and flags of `charlm train`; without any, and without a peer, the default
takes its turn with some fixed ones:

    python benchmarks/learn.py book.txt --configuration "small: --hidden-size 256 --dropout 0"

A peer's command, in which {text} and {seconds} are filled in, runs in turn with the others, so that
the comparison is of one machine at one time. The last match of --peer-score in its output is its
score, in nats per character:

    --peer "nanoGPT: sh nanogpt.sh {text}" --peer-score "val loss ([0-9.]+)"

charlm's models are scored on the held-out tenth, as one stream and in cold windows of 256
characters, each read from nothing, which is nearly how nanoGPT measures.
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
from charlm.inference.scoring import score_windows, windows_of

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
    """What one run has learnt, and what it took."""

    nats: float  # per character of the held-out tenth, read as one stream
    cold: float | None = None  # the same from cold windows
    epochs: float | None = None
    characters_per_second: float | None = None
    seconds: float = 0.0  # of wall time, start-up included
    memory: float = 0.0  # peak, in MB


def main() -> None:
    """Run everything asked for and print a table."""
    options = _options()
    configurations = options.configuration or (() if options.peer else CONFIGURATIONS)
    runs = [(name, flags, False) for name, flags in map(_named, configurations)]
    runs += [(name, command, True) for name, command in map(_named, options.peer)]
    if len({name for name, _, _ in runs}) < len(runs):
        raise SystemExit("every configuration and peer needs a name of its own")
    print(" | ".join(HEADER))
    print(" | ".join("---" for _ in HEADER))
    for text, budget in itertools.product(options.texts, options.budget):
        found: dict[str, list[Result]] = {name: [] for name, _, _ in runs}
        for rng_seed, (name, words, is_peer) in itertools.product(options.rng_seeds, runs):
            if is_peer:
                result = run_peer(words, options.peer_score, text, budget)
            else:
                result = run_charlm(text, budget, rng_seed, words)
            found[name].append(result)
            print(
                f"{text.name}, {budget:g} s, {name}, rng seed {rng_seed}: {result}", file=sys.stderr
            )
        for name, results in found.items():
            print(" | ".join(_row(text.name, budget, name, results)), flush=True)


def run_charlm(text: Path, budget: float, rng_seed: int, flags: str) -> Result:
    """Train on `text` for `budget` seconds and judge the model."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        metrics = Path(folder) / "metrics.jsonl"
        command = [sys.executable, "-m", "charlm", "train", str(text), "--quiet"]
        command += ["--max-time", f"{budget}s", "--rng-seed", str(rng_seed)]
        command += ["-o", str(model), "--metrics", str(metrics), *shlex.split(flags)]
        _, seconds, memory = timed(command)
        speaker = charlm.load(model)
        lines = map(json.loads, metrics.read_text().splitlines())
        speeds = [line["characters_per_second"] for line in lines if line["split"] == "train"]
    score = speaker.provenance["validation"]
    held_out = text.read_bytes().decode()[-score["characters"] :]
    return Result(
        nats=score["nats"] / score["characters"],
        cold=cold_windows(speaker, held_out) if speaker.config.task == "text" else None,
        epochs=speaker.provenance["epochs"],
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
    """Run a command; return its output, its seconds and the most memory it held, in MB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if status:
        raise SystemExit(f"{shlex.join(command)} failed:\n{text}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, elsewhere KiB
    return text, seconds, usage.ru_maxrss * unit / 1e6


def cold_windows(model: charlm.Model, text: str) -> float:
    """Return nats per character of consecutive windows of `text`, each read from nothing."""
    windows = [text[place : place + WINDOW] for place in range(0, len(text), WINDOW)]
    windows = windows_of(windows, model.tokenizer, model.config)
    return float(score_windows(model.runtime(), windows).sum()) / len(text)


def _row(text: str, budget: float, name: str, results: list[Result]) -> list[str]:
    nats = [result.nats for result in results]

    def median(attribute: str, task: str) -> str:
        values = [getattr(result, attribute) for result in results]
        return "" if None in values else format(statistics.median(values), task)

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
