"""Train configurations at equal budgets, one after the other, and print the score of each.

A configuration is a name and options of `charlm train`. Without --configuration and --peer, the
default runs in turn with fixed configurations.

    python benchmarks/learn.py book.txt --configuration "small: --hidden-size 256 --dropout 0"

A peer's command runs in turn with the others, so that all use one machine at one time. {text} and
{seconds} stand for the file and the budget. The last match of --peer-score in the output of the
command is its score, in nats per character:

    --peer "nanoGPT: sh nanogpt.sh {text}" --peer-score "val loss ([0-9.]+)"

charlm's models score the held-out tenth, as one stream and in cold windows of 256 characters. A
cold window starts without a state, which is nearly how nanoGPT measures. "network" is the network
without its counts, and "adaptive" lets the counts learn what they have scored, as compressors do.
Where zpaq is installed, the row of `zpaq -m5` says what the held-out tenth adds to the compressed
size of the rest.
"""

import argparse
import itertools
import json
import os
import re
import shlex
import shutil
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
from charlm.inference.adaptive import adaptive_score
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
    "text", "budget", "configuration", "nats", "from … to", "bits", "network", "adaptive",
    "cold windows", "epochs", "characters/s", "wall time", "peak memory",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The score and the cost of one run."""

    nats: float  # per character of the held-out tenth, as one stream
    network: float | None = None  # the same without counts
    adaptive: float | None = None  # the same with counts that learn
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
        if shutil.which("zpaq"):
            results["zpaq -m5, adaptive"] = [run_zpaq(text)]
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
    network = score["nats"] / score["characters"]
    gain = loaded.provenance.get("counts", {}).get("gain_in_bits_per_character", 0)
    held_out = text.read_bytes().decode()[-score["characters"] :]
    cold = adaptive = None
    if loaded.config.task == "text":
        cold = cold_windows(loaded, held_out)
        checkpoint = loaded.single_direction()
        adaptive = adaptive_score(checkpoint, held_out, name=str(text)).nats / len(held_out)
    return Result(
        nats=network - gain * float(np.log(2)),
        network=network,
        adaptive=adaptive,
        cold=cold,
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


def run_zpaq(text: Path) -> Result:
    """Return what the held-out tenth adds to the size of the rest, compressed by zpaq."""
    whole = text.read_bytes().decode()
    held_out = min(500_000, round(len(whole) / 10))
    with tempfile.TemporaryDirectory() as folder:
        sizes = []
        for name, part in (("rest", whole[:-held_out]), ("whole", whole)):
            (Path(folder) / name).write_text(part, encoding="utf-8", newline="")
            archive = Path(folder) / f"{name}.zpaq"
            command = ["zpaq", "a", str(archive), str(Path(folder) / name), "-m5"]
            _, seconds, memory = timed(command)
            sizes.append(archive.stat().st_size)
    nats = 8 * (sizes[1] - sizes[0]) * float(np.log(2)) / held_out
    return Result(nats=nats, seconds=seconds, memory=memory)


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
        median("network", ".4f"),
        median("adaptive", ".4f"),
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
