"""Dynamic evaluation: a model that goes on learning from what it has just scored.

A text is read in segments. Each is scored, and only then learnt from, by one step of gradient
descent; all the while the weights are drawn back to the trained ones. A row of a matrix takes
steps as large, and is drawn back as weakly, as its gradients in training were small (Krause et al.
2018, https://arxiv.org/abs/1709.07432, who tell single weights apart; rows do as well).
"""

import math
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Arrays, Checkpoint
from charlm.config import Form, OneWay, TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.corpus.layout import Passages, Window
from charlm.errors import ConfigError
from charlm.inference.scoring import ids_of_items, items_of
from charlm.tokenizers import Ids
from charlm.training.learner import lay_out
from charlm.training.network import LanguageModel, RecurrentState

SEGMENT = 20  # tokens
DECAY = 1e-3  # share of the way back to the trained weights in a segment, in the mean over all
SMALLEST_GRADIENT = 0.2  # of the mean one: no row learns as if its own had been smaller

# Of a row of mean gradient. Training tries them on the beginning of the held-out text; a segment
# costs about a fifth of a training step, so that takes 4 % of the time.
RATES = (1e-4, 2e-4, 4e-4)
USUAL_RATE = 2e-4
STEPS_PER_SEGMENT = 16
FEWEST_SEGMENTS, MOST_SEGMENTS = 50, 250  # to try a rate on
STEPS_PER_GRADIENT, MOST_GRADIENTS = 100, 50


def dynamic_nats(checkpoint: Checkpoint, text: str, *, name: str = "the text") -> float:
    """Return −ln p of `text`, each segment learnt from once it is scored.

    Of documents, lines and pairs each is read from nothing, but by a network that has learnt from
    those before. The checkpoint, which reads in one direction, stays as it is.

    Raises:
        ConfigError: If the checkpoint has no rates: its training was stopped, or is from before.
        CorpusError: If pairs are wanted and a line of `name` is none.
    """
    if not checkpoint.dynamic_rates:
        raise ConfigError(
            "this model has no learning rates for dynamic evaluation",
            hint="train it to the end; a run that is stopped does not choose them",
        )
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    items = items_of(text, config, name)
    if not items:
        return 0.0
    ids = ids_of_items(items, tokenizer, config)
    boundaries = np.flatnonzero(ids == tokenizer.boundary_id)
    segments = _segments(config.form, ids, boundaries, tokenizer.boundary_id)
    return _Adaptive(checkpoint, checkpoint.dynamic_rates).score(segments)


def with_dynamic_rates(
    checkpoint: Checkpoint, corpus: Corpus, config: TrainingConfig, steps: int
) -> Checkpoint:
    """Return the checkpoint with learning rates for dynamic evaluation.

    Args:
        checkpoint: A trained model.
        corpus: What it has learnt from, and what was held out.
        config: How it was trained.
        steps: Taken in training; the work follows them, not the clock, so it can be repeated.
    """
    rates: dict[OneWay, Arrays] = {}
    for direction in checkpoint.config.directions:
        one_way = checkpoint.one_way(direction)
        read = corpus if direction == "forward" else corpus.mirrored()
        sizes = _gradient_sizes(one_way, read, config, max(1, steps // STEPS_PER_GRADIENT))
        best = _best_rate(one_way, read, sizes, steps // STEPS_PER_SEGMENT // len(RATES))
        rates[direction] = _rates(best, sizes)
    return checkpoint.with_dynamic_rates(rates)


def _gradient_sizes(
    checkpoint: Checkpoint, corpus: Corpus, config: TrainingConfig, windows: int
) -> dict[str, NDArray[np.float64]]:
    """Return the root mean square of the gradient by row of each parameter, in the mean 1."""
    network = _load(checkpoint)
    tensors = network.tensors()
    layout = lay_out(corpus, config)
    squares = {name: np.zeros(len(tensor)) for name, tensor in tensors.items()}
    for step in range(min(windows, MOST_GRADIENTS)):
        loss, _ = _loss(network, layout.window(step), None)
        network.zero_grad()
        torch.autograd.backward(loss)
        for name, tensor in tensors.items():
            if tensor.grad is not None:
                squares[name] += tensor.grad.square().view(len(tensor), -1).mean(dim=1).numpy()
    sizes = {name: np.sqrt(of_rows) for name, of_rows in squares.items()}
    values = {name: tensor.numel() for name, tensor in tensors.items()}
    mean = sum(values[name] * of_rows.mean() for name, of_rows in sizes.items())
    mean /= sum(values.values())
    return {name: np.maximum(of_rows / mean, SMALLEST_GRADIENT) for name, of_rows in sizes.items()}


def _best_rate(
    checkpoint: Checkpoint, corpus: Corpus, sizes: Mapping[str, NDArray[np.float64]], segments: int
) -> float:
    """Return the rate with which the first segments of the held-out text score best."""
    if segments < FEWEST_SEGMENTS:
        return USUAL_RATE
    held_out, form = corpus.validation, checkpoint.config.form

    def nats(rate: float) -> float:
        read = _segments(form, held_out.ids, held_out.boundaries, corpus.tokenizer.boundary_id)
        return _Adaptive(checkpoint, _rates(rate, sizes)).score(
            islice(read, min(segments, MOST_SEGMENTS))
        )

    return min(RATES, key=nats)


def _rates(rate: float, sizes: Mapping[str, NDArray[np.float64]]) -> Arrays:
    """Return the learning rate of each row: the smaller its gradients are, the larger."""
    return {name: (rate / size).astype(np.float32) for name, size in sizes.items()}


def _segments(
    form: Form, ids: Ids, boundaries: NDArray[np.int64], boundary_id: int
) -> Iterator[tuple[Window, bool]]:
    """Yield all that is scored in windows of one row, and whether each is read from nothing."""
    if form == "text":
        begin, stop = boundaries[:-1] + 1, boundaries[1:]
        passages = Passages(ids, boundary_id, begin, begin, stop)
    else:
        passages = Passages.of(form, ids, boundaries, boundary_id)
    for number in np.flatnonzero(passages.begin < passages.stop).tolist():
        for place, window in enumerate(passages.select(np.array([number])).windows(SEGMENT)):
            yield window, place == 0


class _Adaptive:
    """A network that learns from what it has scored."""

    def __init__(self, checkpoint: Checkpoint, rates: Arrays) -> None:
        """Take a trained model, and the learning rate of each row of each parameter."""
        self._network = _load(checkpoint)
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
        self._decays = [(DECAY * each * values / mean).clamp(max=1.0) for each in inverse]

    def score(self, segments: Iterator[tuple[Window, bool]]) -> float:
        """Return −ln p of all segments, in nats, and learn from each once it is scored."""
        nats: list[float] = []
        state: RecurrentState | None = None
        for window, is_start in segments:
            loss, state = _loss(self._network, window, None if is_start else state)
            nats.append(float(loss.detach()))
            if window.counts.any():
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
                tensor.addcmul_(trained - tensor, decay)


def _load(checkpoint: Checkpoint) -> LanguageModel:
    network = LanguageModel(checkpoint.config, checkpoint.tokenizer.vocab_size).eval()
    network.load_arrays(checkpoint.arrays)
    return network


def _by_row(values: NDArray[np.float32], tensor: Tensor) -> Tensor:
    """Return a value for each row of a tensor in a shape that multiplies it."""
    return torch.from_numpy(values).view(-1, *(1 for _ in tensor.shape[1:]))


def _loss(
    network: LanguageModel, window: Window, state: RecurrentState | None
) -> tuple[Tensor, RecurrentState]:
    """Return −ln p of what counts in a window, summed, and the state after it, cut off."""
    features, after = network.read(torch.from_numpy(window.inputs), state)
    counts = torch.from_numpy(window.counts)
    targets = torch.from_numpy(window.targets)[counts]
    loss = cross_entropy(network.output(features[counts]), targets, reduction="sum")
    return loss, [tuple(vector.detach() for vector in layer) for layer in after]
