"""Measure how fast a model generates text, beside PyTorch's LSTM with the same weights.

    python benchmarks/generate.py [model.safetensors]

Without a model, a network of 512 units with random weights generates; it takes as long. A peer's
command can run in turn with `charlm generate`:

    --peer "nanoGPT: python sample.py --out_dir=out --num_samples=1 --max_new_tokens=2000"

Every figure is the median of several rounds. In each round everything runs once, in turn.
"""

import argparse
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import charlm
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.corpus.windows import prefix_of
from charlm.parameters import parameters
from charlm.tokenizers import CharacterTokenizer

ROUNDS = 5
WHOLE_LENGTH = 2000  # characters that a whole process generates
STREAM_LENGTH = 2000
TEXTS = 64  # side by side
TEXT_LENGTH = 300  # of each of them
CHARACTERS = "".join(map(chr, range(32, 97)))  # 65


def main() -> None:
    """Measure everything and print tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model
        if path is None:
            path = Path(folder) / "model.safetensors"
            random_model(path)
        _measure_processes(path, options.peer)
        _measure_in_process(charlm.load(path), Checkpoint.load(path))


def _measure_processes(path: Path, peers: list[str]) -> None:
    generate = [sys.executable, "-m", "charlm", "generate", "-m", str(path)]
    commands = {
        "charlm, 2,000 characters": [*generate, "-n", str(WHOLE_LENGTH)],
        "charlm, the first character": [*generate, "-n", "1"],
    }
    for peer in peers:
        name, _, command = peer.partition(":")
        commands[name.strip()] = shlex.split(command)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(timed(lambda command=command: _run(command)))
    first = statistics.median(seconds["charlm, 2,000 characters"])
    print("whole process | seconds | times charlm's\n--- | --- | ---")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name} | {median:.2f} | {median / first:.1f}")
    print()


def _measure_in_process(model: charlm.Model, checkpoint: Checkpoint) -> None:
    network, vocab_size = model.runtime(), model.tokenizer.vocab_size
    torch_loop = _torch_loop(checkpoint)
    recurrent = np.ascontiguousarray(checkpoint.arrays["recurrent.0.weight_hh"].T)
    hidden = np.ones((1, len(recurrent)), np.float32)
    many_hidden = np.ones((TEXTS, len(recurrent)), np.float32)
    state = network.zero_state(1)
    ids = np.array([model.tokenizer.boundary_id])

    def one_text() -> None:
        for _ in model.stream(length=STREAM_LENGTH, rng_seed=0):
            pass

    def many_texts() -> None:
        for _ in model.generate_many([""] * TEXTS, length=TEXT_LENGTH, rng_seed=0):
            pass

    def product() -> None:
        for _ in range(STREAM_LENGTH):
            hidden @ recurrent

    def products() -> None:
        for _ in range(STREAM_LENGTH // TEXTS):
            many_hidden @ recurrent

    def step() -> None:
        for _ in range(STREAM_LENGTH):
            network.step(ids, state)

    work: dict[str, tuple[Callable[[], None], int]] = {
        "one text": (one_text, STREAM_LENGTH),
        "one text by torch.nn.LSTM": (lambda: torch_loop(STREAM_LENGTH // 4), STREAM_LENGTH // 4),
        f"{TEXTS} texts": (many_texts, TEXT_LENGTH * TEXTS),
        "step of the network alone": (step, STREAM_LENGTH),
        "the recurrent product alone": (product, STREAM_LENGTH),
        f"the recurrent product of {TEXTS} texts": (products, STREAM_LENGTH),
    }
    for run, _ in work.values():
        run()  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (run, _) in work.items():
            seconds[name].append(timed(run))
    size = checkpoint.config.hidden_size
    print(f"{size} units, {vocab_size} tokens | characters/s | µs a character\n--- | --- | ---")
    for name, (_, characters) in work.items():
        character_seconds = statistics.median(seconds[name]) / characters
        print(f"{name} | {1 / character_seconds:,.0f} | {1e6 * character_seconds:.1f}")


def torch_lstm(checkpoint: Checkpoint) -> tuple[Any, dict[str, Any]]:
    """Return PyTorch's nn.LSTM with the weights of a model, and all tensors of the model."""
    import torch

    config, arrays = checkpoint.config, checkpoint.arrays
    kind = (config.cell, config.num_layers, config.task, config.tie_weights)
    if kind != ("lstm", 1, "text", False):
        raise SystemExit("the model is not one LSTM layer for running text without tied weights")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    lstm = torch.nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(tensors["recurrent.0.weight_ih"])
        lstm.weight_hh_l0.copy_(tensors["recurrent.0.weight_hh"])
        lstm.bias_ih_l0.copy_(tensors["recurrent.0.bias"])
        lstm.bias_hh_l0.zero_()
    return lstm, tensors


def _torch_loop(checkpoint: Checkpoint) -> Callable[[int], None]:
    """Return a loop over nn.LSTM that generates text, as other projects write it."""
    import torch

    lstm, tensors = torch_lstm(checkpoint)
    prefix = prefix_of(checkpoint.tokenizer, checkpoint.config)
    beginning = [checkpoint.tokenizer.boundary_id, *([] if prefix is None else prefix.tolist())]

    @torch.no_grad()
    def loop(length: int) -> None:
        token, state = torch.tensor([beginning]), None
        for _ in range(length):
            features, state = lstm(tensors["embedding.weight"][token], state)
            logits = features[:, -1] @ tensors["output.weight"].T + tensors["output.bias"]
            token = torch.multinomial(torch.softmax(logits / 0.8, dim=-1), 1)

    return loop


def random_model(path: Path) -> None:
    """Save a model of one LSTM layer of 512 units with random weights."""
    config, tokenizer = ModelConfig(), CharacterTokenizer(CHARACTERS)
    generator = np.random.default_rng(0)
    arrays = {
        parameter.name: generator.standard_normal(parameter.shape, np.float32) / np.float32(20)
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays).save(path)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME:COMMAND")
    return parser.parse_args()


if __name__ == "__main__":
    main()
