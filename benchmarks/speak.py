"""Measure how fast a model speaks, beside PyTorch's LSTM with the same weights, in one run.

    python benchmarks/speak.py [model.safetensors]

Without a model, one of 512 units with random weights speaks: it costs as much. A peer's command may
take its turn with `charlm generate`:

    --peer "nanoGPT: python sample.py --out_dir=out --num_samples=1 --max_new_tokens=2000"

Every figure is the median of some rounds, in which all take their turn.
"""

import argparse
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import charlm
from charlm.checkpoint import Checkpoint
from charlm.config import GenerationConfig, ModelConfig
from charlm.inference.generation import MOST_SIDE_BY_SIDE, generate
from charlm.inference.model import Model
from charlm.inference.sequences import Continuation, GeneratorSettings
from charlm.parameters import parameters
from charlm.tokenizers import CharacterTokenizer

ROUNDS = 5
WHOLE_LENGTH = 2000  # characters of a whole process
STREAM_LENGTH = 2000
MANY_LENGTH = 300
CHARACTERS = "".join(map(chr, range(32, 97)))  # 65


def main() -> None:
    """Measure everything and print tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model
        if path is None:
            path = Path(folder) / "model.safetensors"
            random_model(path)
        _whole_processes(path, options.peer)
        _streams(charlm.load(path), Checkpoint.load(path))


def _whole_processes(path: Path, peers: list[str]) -> None:
    ours = [sys.executable, "-m", "charlm", "generate", "-m", str(path)]
    commands = {
        "charlm, 2,000 characters": [*ours, "-n", str(WHOLE_LENGTH)],
        "charlm, the first character": [*ours, "-n", "1"],
    }
    for peer in peers:
        name, _, command = peer.partition(":")
        commands[name.strip()] = shlex.split(command)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(timed(lambda command=command: _run(command)))
    first = statistics.median(seconds["charlm, 2,000 characters"])
    print("whole process | seconds | of charlm's\n--- | --- | ---")
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name} | {middle:.2f} | {middle / first:.1f}")
    print()


def _streams(model: Model, checkpoint: Checkpoint) -> None:
    network, vocab_size = model.runtime(), model.tokenizer.vocab_size
    peer = _torch_loop(checkpoint)
    recurrent = np.ascontiguousarray(checkpoint.arrays["recurrent.0.weight_hh"].T)
    hidden = np.ones((1, len(recurrent)), np.float32)
    many_hidden = np.ones((MOST_SIDE_BY_SIDE, len(recurrent)), np.float32)
    state = network.zero_state(1)
    ids = np.array([model.tokenizer.boundary_id])

    def one() -> None:
        for _ in model.pieces(length=STREAM_LENGTH, rng_seed=0):
            pass

    def many() -> None:
        config = GenerationConfig(length=MANY_LENGTH)
        settings = GeneratorSettings(network, model.tokenizer, config)
        texts = deque(Continuation(settings, "", (number,)) for number in range(MOST_SIDE_BY_SIDE))
        for _ in generate(settings, lambda _: texts.popleft() if texts else None):
            pass

    def product() -> None:
        for _ in range(STREAM_LENGTH):
            hidden @ recurrent

    def products() -> None:
        for _ in range(STREAM_LENGTH // MOST_SIDE_BY_SIDE):
            many_hidden @ recurrent

    def step() -> None:
        for _ in range(STREAM_LENGTH):
            network.step(ids, state)

    work: dict[str, tuple[Callable[[], None], int]] = {
        "one stream": (one, STREAM_LENGTH),
        "the same by torch.nn.LSTM": (lambda: peer(STREAM_LENGTH // 4), STREAM_LENGTH // 4),
        f"{MOST_SIDE_BY_SIDE} streams": (many, MANY_LENGTH * MOST_SIDE_BY_SIDE),
        "step of the network alone": (step, STREAM_LENGTH),
        "the recurrent product alone": (product, STREAM_LENGTH),
        f"the same for {MOST_SIDE_BY_SIDE} streams": (products, STREAM_LENGTH),
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
        each = statistics.median(seconds[name]) / characters
        print(f"{name} | {1 / each:,.0f} | {1e6 * each:.1f}")


def torch_lstm(checkpoint: Checkpoint) -> tuple[Any, dict[str, Any]]:
    """Return PyTorch's nn.LSTM with the weights of a model of one LSTM, and all its tensors."""
    import torch

    config, arrays = checkpoint.config, checkpoint.arrays
    if (config.cell, config.num_layers, config.task, config.tie_weights) != (
        "lstm",
        1,
        "text",
        False,
    ):
        raise SystemExit("the peer in PyTorch is one LSTM over running text, its output not tied")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    lstm = torch.nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(tensors["recurrent.0.weight_ih"])
        lstm.weight_hh_l0.copy_(tensors["recurrent.0.weight_hh"])
        lstm.bias_ih_l0.copy_(tensors["recurrent.0.bias"])
        lstm.bias_hh_l0.zero_()
    return lstm, tensors


def _torch_loop(checkpoint: Checkpoint) -> Callable[[int], None]:
    """Return a loop over nn.LSTM, as peers write it."""
    import torch

    lstm, tensors = torch_lstm(checkpoint)

    @torch.no_grad()
    def loop(length: int) -> None:
        token = torch.tensor([[checkpoint.tokenizer.boundary_id]])
        state = None
        for _ in range(length):
            features, state = lstm(tensors["embedding.weight"][token], state)
            logits = features[:, -1] @ tensors["output.weight"].T + tensors["output.bias"]
            token = torch.multinomial(torch.softmax(logits / 0.8, dim=-1), 1)

    return loop


def random_model(path: Path) -> None:
    """Save a model of one LSTM of 512 units with random weights."""
    config, tokenizer = ModelConfig(), CharacterTokenizer(CHARACTERS)
    generator = np.random.default_rng(0)
    arrays = {
        each.name: generator.standard_normal(each.shape, np.float32) / np.float32(20)
        for each in parameters(config, tokenizer.vocab_size)
    }
    Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays).save(path)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
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
