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
"reached" is when the network had the score of --reach NATS in a validation, in seconds.
The rows of PPMd (where pyppmd is installed) and `zpaq -m5` (where zpaq is) say what the held-out
tenth adds to the compressed size of the rest.
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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import charlm
from charlm.cli.eval.compressors import compressed_sizes
from charlm.config import CorpusConfig
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
    "text", "budget", "configuration", "nats", "from … to", "bits", "network", "by NumPy",
    "adaptive", "cold windows", "reached", "epochs", "characters/s", "wall time", "peak memory",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The score and the cost of one run."""

    nats: float  # per character of the held-out tenth, as one stream
    network: float | None = None  # the same without counts
    by_numpy: float | None = None  # the same, scored with NumPy from the model file
    adaptive: float | None = None  # the same with counts that learn
    cold: float | None = None  # nats per character in cold windows
    reached: float | None = None  # seconds until the network had the score of --reach
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
                result = run_charlm(text, budget, rng_seed, words, options.reach)
            results[name].append(result)
            print(
                f"{text.name}, {budget:g} s, {name}, rng seed {rng_seed}: {result}", file=sys.stderr
            )
        results |= {f"{name}, adaptive": [result] for name, result in run_compressors(text).items()}
        for name, name_results in results.items():
            print(" | ".join(_row(text.name, budget, name, name_results)), flush=True)


def run_charlm(text: Path, budget: float, rng_seed: int, flags: str, reach: float | None) -> Result:
    """Train on `text` for `budget` seconds and score the model.

    `reach` are nats per character of the network, whose time is looked for.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        metrics = Path(folder) / "metrics.jsonl"
        command = [sys.executable, "-m", "charlm", "train", str(text), "--quiet"]
        command += ["--max-time", f"{budget}s", "--rng-seed", str(rng_seed)]
        command += ["-o", str(model), "--metrics", str(metrics), *shlex.split(flags)]
        _, seconds, memory = timed(command)
        loaded = charlm.load(model)
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    score = loaded.provenance["validation"]
    network = score["nats"] / score["characters"]
    gain = loaded.provenance.get("counts", {}).get("gain_in_bits_per_character", 0)
    held_out = text.read_bytes().decode()[-score["characters"] :]
    cold = adaptive = by_numpy = None
    if loaded.config.task == "text":
        cold = cold_windows(loaded, held_out)
        checkpoint = loaded.single_direction()
        without_counts = charlm.Model(replace(checkpoint, ngrams={}))
        by_numpy = without_counts.score(held_out).nats / len(held_out)
        adaptive = adaptive_score(checkpoint, held_out, name=str(text)).nats / len(held_out)
    return Result(
        nats=network - gain * float(np.log(2)),
        network=network,
        by_numpy=by_numpy,
        adaptive=adaptive,
        cold=cold,
        reached=next(
            (
                line["seconds"]
                for line in lines
                if line["split"] == "validation" and line["nats_per_character"] <= (reach or 0)
            ),
            None,
        ),
        epochs=loaded.provenance["epochs"],
        characters_per_second=statistics.median(
            line["characters_per_second"] for line in lines if line["split"] == "train"
        ),
        seconds=seconds,
        memory=memory,
    )


def run_peer(command: str, pattern: str, text: Path, budget: float) -> Result:
    """Run a peer's command, with {text} and {seconds} filled in, and read its score."""
    output, seconds, memory = timed(
        shlex.split(command.replace("{text}", str(text)).replace("{seconds}", f"{budget:g}"))
    )
    return Result(nats=float(re.findall(pattern, output)[-1]), seconds=seconds, memory=memory)


def run_compressors(text: Path) -> dict[str, Result]:
    """Return what the held-out tenth adds to the compressed size of the rest, by compressor."""
    whole = text.read_bytes().decode()
    held_out = round(len(whole) * CorpusConfig.validation_fraction)
    held_out = min(held_out, CorpusConfig.max_validation_characters or held_out)
    rest, tenth = whole[:-held_out].encode(), whole[-held_out:].encode()
    nats_per_byte = 8 * float(np.log(2)) / held_out
    results = {}
    sizes = compressed_sizes(lambda: [tenth], lambda: [rest])
    if "ppmd_after_training" in sizes:
        results["PPMd"] = Result(nats=sizes["ppmd_after_training"] * nats_per_byte)
    if shutil.which("zpaq"):
        with tempfile.TemporaryDirectory() as folder:
            archives = []
            for name, part in (("rest", rest), ("whole", rest + tenth)):
                (Path(folder) / name).write_bytes(part)
                archives.append(Path(folder) / f"{name}.zpaq")
                command = ["zpaq", "a", str(archives[-1]), str(Path(folder) / name), "-m5"]
                _, seconds, memory = timed(command)
            size = archives[1].stat().st_size - archives[0].stat().st_size
        results["zpaq -m5"] = Result(nats=size * nats_per_byte, seconds=seconds, memory=memory)
    return results


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
        median("by_numpy", ".4f"),
        median("adaptive", ".4f"),
        median("cold", ".4f"),
        median("reached", ".1f"),
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
    parser.add_argument("--reach", type=float, metavar="NATS")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME:COMMAND")
    parser.add_argument("--peer-score", default=r"([0-9.]+)", metavar="REGEX")
    return parser.parse_args()


if __name__ == "__main__":
    main()
