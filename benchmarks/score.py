"""Measure how fast a model scores text, beside PyTorch's LSTM with the same weights.

    python benchmarks/score.py book.txt [model.safetensors]
    python benchmarks/score.py book.txt [model.safetensors] --pipe

Without a model, a network of 512 units with random weights scores; it takes as long. The first
command scores the text as a whole, and in lines of 40 characters and of 10. Every figure is the
median of several rounds. In each round everything runs once, in turn.

The second command sends a million lines through `charlm eval --per-line`, an empty line and a line
of a megabyte among them. It prints when the first score comes, how long all take, and the memory.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from generate import random_model, timed, torch_lstm

import charlm
from charlm.checkpoint import Checkpoint
from charlm.corpus.windows import prefix_of

ROUNDS = 5
TORCH_LENGTH = 20_000  # characters that nn.LSTM scores
TORCH_CHUNK = 1000  # tokens that it reads at once
LINES = 4000
PIPED_LINES = 1_000_000
LONG_LINE = 1_000_000  # characters


def main() -> None:
    """Measure and print a table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model
        if path is None:
            path = Path(folder) / "model.safetensors"
            random_model(path)
        text = options.text.read_text(encoding="utf-8")
        if options.pipe:
            _measure_pipe(path, text)
        else:
            _measure_in_process(path, text)


def _measure_in_process(path: Path, text: str) -> None:
    model = charlm.load(path)
    torch_score = _torch_score(Checkpoint.load(path), text[:TORCH_LENGTH])
    line = text.replace("\n", " ")
    work: dict[str, tuple[Callable[[], object], int]] = {
        "torch.nn.LSTM, one stream": (torch_score, TORCH_LENGTH),
        "the text as a whole": (lambda: model.score(text), len(text)),
        "its tokens": (lambda: model.score_tokens(text), len(text)),
    }
    for size in (40, 10):
        lines = [line[start : start + size] for start in range(0, LINES * size, size)]
        work[f"lines of {size} characters"] = (
            lambda lines=lines: list(model.score_lines(lines)),
            sum(map(len, lines)),
        )
    lines = text.splitlines(keepends=True)[:LINES]
    characters = sum(map(len, lines))
    work["its own lines"] = (lambda: list(model.score_lines(lines)), characters)
    batches = [lines[start : start + 1000] for start in range(0, len(lines), 1000)]
    work["its own lines, as one stream"] = (
        lambda: list(model.score_batches(batches, carry=True)),
        characters,
    )
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (run, _) in work.items():
            seconds[name].append(timed(run))
    speeds = {
        name: characters / statistics.median(seconds[name])
        for name, (_, characters) in work.items()
    }
    torch_speed = next(iter(speeds.values()))
    print("text | characters/s | times torch.nn.LSTM's\n--- | --- | ---")
    for name, speed in speeds.items():
        print(f"{name} | {speed:,.0f} | {speed / torch_speed:.2f}")


def _torch_score(checkpoint: Checkpoint, text: str) -> Callable[[], object]:
    """Return a function that scores a text through nn.LSTM, TORCH_CHUNK tokens at once."""
    import torch

    lstm, tensors = torch_lstm(checkpoint)
    prefix = prefix_of(checkpoint.tokenizer, checkpoint.config)
    beginning = [checkpoint.tokenizer.boundary_id, *([] if prefix is None else prefix.tolist())]
    ids = torch.from_numpy(checkpoint.tokenizer.encode(text).astype(np.int64))
    inputs = torch.cat([torch.tensor(beginning[-1:]), ids[:-1]])

    @torch.no_grad()
    def score() -> float:
        state, nats = None, 0.0
        if beginning[:-1]:
            _, state = lstm(tensors["embedding.weight"][torch.tensor(beginning[:-1])][None])
        for start in range(0, len(ids), TORCH_CHUNK):
            chunk = slice(start, start + TORCH_CHUNK)
            features, state = lstm(tensors["embedding.weight"][inputs[chunk]][None], state)
            logits = features[0] @ tensors["output.weight"].T + tensors["output.bias"]
            nats += float(torch.nn.functional.cross_entropy(logits, ids[chunk], reduction="sum"))
        return nats

    return score


def _measure_pipe(path: Path, text: str) -> None:
    """Send a million lines through `charlm eval --per-line`, and print speed and memory."""
    lines = [line or "-" for line in text.splitlines()]
    command = [sys.executable, "-m", "charlm", "eval", "-m", str(path), "--per-line", "-"]
    started = time.perf_counter()
    first, characters, count = 0.0, 0, 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        writer = threading.Thread(target=lambda: _write_lines(process.stdin, lines, text))
        writer.start()
        for line in process.stdout:
            first = first or time.perf_counter() - started
            count += 1
            characters += len(line.partition(b"\t")[2])
        writer.join()
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    print(f"{count:,} lines, {characters:,} bytes in {seconds:.0f} s, exit status {status}")
    print(f"{characters / seconds:,.0f} bytes/s, the first line after {first:.2f} s")
    print(f"{usage.ru_maxrss / 1000:.0f} MB at most")


def _write_lines(pipe: IO[bytes], lines: list[str], text: str) -> None:
    with pipe:
        for number in range(PIPED_LINES):
            line = lines[number % len(lines)]
            if number == PIPED_LINES // 2:
                line = (text * (1 + LONG_LINE // len(text))).replace("\n", " ")[:LONG_LINE]
            elif number == PIPED_LINES // 3:
                line = ""
            pipe.write(f"{line}\n".encode())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--pipe", action="store_true", help="a million lines through the command")
    return parser.parse_args()


if __name__ == "__main__":
    main()
