"""Dynamic evaluation: a model that goes on learning from what it has just scored.

A text is read in segments. Each is scored, and only then learnt from, by one step of gradient
descent; all the while the weights are drawn back to the trained ones. A row of a matrix takes
steps as large, and is drawn back as weakly, as its gradients in training were small (Krause et al.
2018, https://arxiv.org/abs/1709.07432, who tell single weights apart; rows do as well).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Arrays, Checkpoint
from charlm.config import SingleDirection, Task, TrainingConfig
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.encoding import Corpus
from charlm.corpus.windows import MOST_LOGITS, Batch, Windows
from charlm.errors import CheckpointError, ConfigError
from charlm.inference.scoring import examples_of, ids_of_examples
from charlm.tokenizers import Ids
from charlm.training.data_loader import lay_out
from charlm.training.hardware import exact_products, memory_errors
from charlm.training.network import LanguageModel, RecurrentState, load_network

CPU = torch.device("cpu")
SEGMENT = 20  # tokens
DECAY = 1e-3  # share of the way back to the trained weights in a segment, in the mean over all
SMALLEST_GRADIENT = 0.2  # of the mean one: no row learns as if its own had been smaller

# How far a weight moves when its gradient is as large as in training. A long run tries them on the
# beginning of the held-out text; a segment costs about as much as 256 tokens in training, so that
# takes 2 % of the time, the gradients another one.
RATES = (1e-4, 2e-4, 4e-4)
USUAL_RATE = 2e-4
TOKENS_PER_SEGMENT = 1 << 14  # in training
FEWEST_SEGMENTS, MOST_SEGMENTS = 50, 250  # to try a rate on
STEPS_PER_GRADIENT, MOST_GRADIENTS = 100, 50


def check_dynamic(checkpoint: Checkpoint) -> None:
    """Raise ConfigError if the checkpoint has no rates: its run was stopped, or is from before."""
    if not checkpoint.dynamic_rates:
        raise ConfigError(
            "this model has no learning rates for dynamic evaluation",
            hint="train it to the end; a run that is stopped does not choose them",
        )


@exact_products()
@memory_errors()
def dynamic_nats(
    checkpoint: Checkpoint, text: str, *, device: torch.device = CPU, name: str = "the text"
) -> float:
    """Return −ln p of `text`, each segment learnt from once it is scored.

    Of documents, lines and pairs each is read from nothing, but by a network that has learnt from
    those before. The checkpoint, which reads in one direction, stays as it is.

    Raises:
        ConfigError: If the checkpoint has no rates.
        CheckpointError: If the network diverges.
        CorpusError: If pairs are wanted and a line of `name` is none.
        MemoryError: If the device has too little.
    """
    check_dynamic(checkpoint)
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    items = [item for _, item in examples_of(text, config, name)]
    if not items:
        return 0.0
    ids = ids_of_examples(items, tokenizer, config)
    boundaries = np.flatnonzero(ids == tokenizer.boundary_id)
    segments = _segments(config.task, ids, boundaries, tokenizer.boundary_id)
    nats = _Adaptive(checkpoint, checkpoint.dynamic_rates, device).score(segments)
    if not math.isfinite(nats):
        raise CheckpointError(
            f"the model diverges when it learns from {name}",
            hint="score it without --dynamic",
        )
    return nats


def with_dynamic_rates(
    checkpoint: Checkpoint,
    corpus: Corpus,
    config: TrainingConfig,
    steps: int,
    *,
    device: torch.device,
    should_stop: Callable[[], bool],
) -> Checkpoint:
    """Return the checkpoint with learning rates for dynamic evaluation.

    Asked to stop, or where gradients are not finite, it is returned without.

    Args:
        checkpoint: A trained model.
        corpus: What it has learnt from, and what was held out.
        config: How it was trained.
        steps: Taken in training; the work follows them, not the clock, so it can be repeated.
        device: Where to compute.
        should_stop: Asked again and again.
    """
    rates: dict[SingleDirection, Arrays] = {}
    for direction in checkpoint.config.directions:
        for_direction = checkpoint.for_direction(direction)
        read = corpus if direction == "forward" else corpus.mirrored()
        layout = lay_out(read, config)
        steps_read = range(max(1, min(steps // STEPS_PER_GRADIENT, MOST_GRADIENTS)))
        windows = (layout.batch(step) for step in steps_read if not should_stop())
        sizes = _gradient_sizes(for_direction, windows, device)
        affordable = steps * layout.tokens_per_step / TOKENS_PER_SEGMENT
        tried = min(int(affordable / len(RATES)), MOST_SEGMENTS)
        rate = USUAL_RATE
        if tried >= FEWEST_SEGMENTS and not should_stop():
            rate = _best_rate(for_direction, read.validation, sizes, tried, device)
        rates[direction] = _rates(rate, sizes)
    are_sound = all(
        bool((np.isfinite(of_rows) & (of_rows > 0)).all())
        for arrays in rates.values()
        for of_rows in arrays.values()
    )
    return checkpoint.with_dynamic_rates(rates) if are_sound and not should_stop() else checkpoint


def _gradient_sizes(
    checkpoint: Checkpoint, windows: Iterable[Batch], device: torch.device
) -> dict[str, NDArray[np.float64]]:
    """Return the root mean square of the gradient in training, by row of each parameter.

    It is that of the mean loss over the beginnings of a window's rows, as long as a segment.
    """
    network = load_network(checkpoint, device)
    tensors = network.tensors()
    squares = {name: np.zeros(len(tensor)) for name, tensor in tensors.items()}
    count = 0
    for window in windows:
        rows = max(1, MOST_LOGITS // (checkpoint.tokenizer.boundary_id * SEGMENT))
        part = slice(rows), slice(SEGMENT)
        few = Batch(window.inputs[part], window.targets[part], window.is_scored[part])
        if not few.is_scored.any():
            continue
        loss, _ = _loss(network, few, None)
        network.zero_grad()
        torch.autograd.backward(loss / int(few.is_scored.sum()))
        count += 1
        for name, tensor in tensors.items():
            if tensor.grad is not None:
                gradient = tensor.grad.cpu().double().view(len(tensor), -1)  # MPS has no float64
                squares[name] += gradient.square().mean(dim=1).numpy()
    sizes = {name: np.sqrt(of_rows / max(1, count)) for name, of_rows in squares.items()}
    values = {name: tensor.numel() for name, tensor in tensors.items()}
    mean = sum(values[name] * of_rows.mean() for name, of_rows in sizes.items())
    mean /= sum(values.values())
    return {name: np.maximum(of_rows, SMALLEST_GRADIENT * mean) for name, of_rows in sizes.items()}


def _best_rate(
    checkpoint: Checkpoint,
    held_out: EncodedText,
    sizes: Mapping[str, NDArray[np.float64]],
    segments: int,
    device: torch.device,
) -> float:
    """Return the rate with which the first segments of the held-out text score best."""
    boundary_id = checkpoint.tokenizer.boundary_id

    def nats(rate: float) -> float:
        read = _segments(checkpoint.config.task, held_out.ids, held_out.boundaries, boundary_id)
        adaptive = _Adaptive(checkpoint, _rates(rate, sizes), device)
        score = adaptive.score(islice(read, segments))
        return score if math.isfinite(score) else math.inf

    return min(RATES, key=nats)


def _rates(rate: float, sizes: Mapping[str, NDArray[np.float64]]) -> Arrays:
    """Return the learning rate of each row: the smaller its gradients are, the larger."""
    with np.errstate(divide="ignore"):  # of gradients that are nothing the caller makes nothing
        return {name: (rate / size).astype(np.float32) for name, size in sizes.items()}


def _segments(
    task: Task, ids: Ids, boundaries: NDArray[np.int64], boundary_id: int
) -> Iterator[tuple[Batch, bool]]:
    """Yield all that is scored in windows of one row, and whether each is read from nothing."""
    if task == "text":
        begin, stop = boundaries[:-1] + 1, boundaries[1:]
        windows = Windows(ids, boundary_id, begin, begin, stop)
    else:
        windows = Windows.for_scoring(task, ids, boundaries, boundary_id)
    for number in np.flatnonzero(windows.begin < windows.stop).tolist():
        for place, window in enumerate(windows.select(np.array([number])).batches(SEGMENT)):
            yield window, place == 0


class _Adaptive:
    """A network that learns from what it has scored."""

    def __init__(self, checkpoint: Checkpoint, rates: Arrays, device: torch.device) -> None:
        """Take a trained model, and the learning rate of each row of each parameter."""
        self._network = load_network(checkpoint, device)
        tensors = self._network.tensors()
        self._parameters = list(tensors.values())
        self._trained = [tensor.detach().clone() for tensor in self._parameters]
        self._rates = [_by_row(rates[name], tensor) for name, tensor in tensors.items()]
        # The larger its steps, the weaker a row is drawn back.
        inverse = [1 / rate for rate in self._rates]
        values = sum(tensor.numel() for tensor in self._parameters)
        mean = sum(
            float(each.mean()) * tensor.numel()
            for each, tensor in zip(inverse, self._parameters, strict=True)
        )
        self._decays = [
            (DECAY * each * values / mean).clamp(max=1.0).expand_as(tensor)
            for each, tensor in zip(inverse, self._parameters, strict=True)
        ]

    def score(self, segments: Iterator[tuple[Batch, bool]]) -> float:
        """Return −ln p of all segments, in nats, and learn from each once it is scored."""
        nats: list[float] = []
        state: RecurrentState | None = None
        for window, is_start in segments:
            loss, state = _loss(self._network, window, None if is_start else state)
            nats.append(float(loss.detach()))
            if window.is_scored.any():
                self._learn(loss / SEGMENT)
        return math.fsum(nats)

    def _learn(self, loss: Tensor) -> None:
        """Take a step down the gradient, and one back towards the trained weights."""
        self._network.zero_grad()
        torch.autograd.backward(loss)
        with torch.no_grad():
            for tensor, trained, rate, decay in zip(
                self._parameters, self._trained, self._rates, self._decays, strict=True
            ):
                if tensor.grad is not None:
                    tensor.addcmul_(tensor.grad, rate, value=-1)
                tensor.lerp_(trained, decay)


def _by_row(values: NDArray[np.float32], tensor: Tensor) -> Tensor:
    """Return a value for each row of a tensor in a shape that multiplies it."""
    return torch.from_numpy(values).to(tensor.device).view(-1, *(1 for _ in tensor.shape[1:]))


def _loss(
    network: LanguageModel, window: Batch, state: RecurrentState | None
) -> tuple[Tensor, RecurrentState]:
    """Return −ln p of what counts in a window, summed, and the state after it, cut off."""
    device = network.embedding.weight.device
    features, after = network.read(torch.from_numpy(window.inputs).to(device), state)
    counts = torch.from_numpy(window.is_scored).to(device)
    targets = torch.from_numpy(window.targets).to(device)[counts]
    loss = cross_entropy(network.output(features[counts]), targets, reduction="sum")
    return loss, [tuple(vector.detach() for vector in layer) for layer in after]
