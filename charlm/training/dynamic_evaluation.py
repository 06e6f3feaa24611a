"""Dynamic evaluation: a model is trained on each segment of a text after scoring it.

One step of gradient descent follows the score of each segment, and every step decays the weights
towards the trained ones. The learning rate of a row is inversely proportional to its gradients in
training, and its decay to that rate. Krause et al. 2018 (https://arxiv.org/abs/1709.07432) use a
rate for each weight; a rate for each row scores the same with 1/200 of the numbers.
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
from charlm.config import SingleDirection, TrainingConfig
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.encoding import Corpus
from charlm.corpus.windows import MOST_LOGITS, Batch, Windows, prefix_of
from charlm.errors import CheckpointError, ConfigError
from charlm.inference.adaptive import AdaptiveCombination
from charlm.inference.scoring import examples_of, ids_of_examples
from charlm.tokenizers import Ids
from charlm.training.hardware import exact_products, memory_errors
from charlm.training.network import LanguageModel, RecurrentState, load_language_model
from charlm.training.trainer import training_batches

Segment = tuple[Batch, bool, int]

CPU = torch.device("cpu")
SEGMENT = 20  # tokens
DECAY = 2e-3  # of the distance to the trained weights, per segment, as the mean over all weights
SMALLEST_GRADIENT = 0.2  # times the mean; smaller gradients of a row count as this

# Change of a weight whose gradient is as large as in training. A long run tries all rates on the
# first segments of the validation text. A segment costs about as much as 256 training tokens, so
# this takes 2 % of the time, and the gradients another 1 %.
RATES = (1e-4, 2e-4, 4e-4)
DEFAULT_RATE = 2e-4
TOKENS_PER_SEGMENT = 1 << 14  # training tokens per segment that is tried
FEWEST_SEGMENTS, MOST_SEGMENTS = 50, 250  # for each rate
LOST = 1.5  # times −ln p of a uniform guess; then the trained weights are taken again
STEPS_PER_GRADIENT, MOST_GRADIENTS = 100, 50


def check_dynamic(checkpoint: Checkpoint) -> None:
    """Raise ConfigError if the checkpoint has an encoder, or no rates: its run was stopped."""
    if checkpoint.config.has_encoder:
        task = checkpoint.config.task
        raise ConfigError(f"dynamic evaluation is for texts and lines, not for {task}")
    if not checkpoint.dynamic_rates:
        raise ConfigError(
            "this model has no learning rates for dynamic evaluation",
            hint="continue its training to the end with --resume",
        )


@exact_products()
@memory_errors()
def dynamic_nats(
    checkpoint: Checkpoint, text: str, *, device: torch.device = CPU, name: str = "the text"
) -> float:
    """Return −ln p of `text`, with a training step after the score of each segment.

    If the checkpoint has counts, these learn, too; see `inference.adaptive`.

    Each document, line or pair starts from the zero state, but with the weights after the one
    before. The checkpoint is of one direction, and is not changed.

    Raises:
        ConfigError: If the checkpoint has no rates.
        CheckpointError: If the network diverges.
        CorpusError: If the model is one of pairs, and a line of `name` is no pair.
        MemoryError: If the device has too little memory.
    """
    check_dynamic(checkpoint)
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    examples = examples_of(text, config, name)
    if not examples:
        return 0.0
    ids = ids_of_examples(examples, tokenizer, config)
    boundaries = np.flatnonzero(ids == tokenizer.boundary_id)
    segments = _segments(checkpoint, ids, boundaries)
    adaptive = _Adaptive(checkpoint, checkpoint.dynamic_rates, device)
    table = checkpoint.ngrams.get(config.directions[0])
    combination = None
    if table is not None:
        prefix = prefix_of(tokenizer, config)
        combination = AdaptiveCombination(table, ids, prefix, networks=2)
    nats = adaptive.score(segments, combination)
    if not math.isfinite(nats):
        raise CheckpointError(
            f"dynamic evaluation diverges on {name}", hint="score it without --dynamic"
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

    After a request to stop, or where gradients are not finite, it has none.

    Args:
        checkpoint: A trained model.
        corpus: Its training and validation texts.
        config: Its training settings.
        steps: Number of its training steps. They alone set the amount of work.
        device: Where to compute.
        should_stop: Called before each part of the work.
    """
    if checkpoint.config.has_encoder:
        return checkpoint
    rates: dict[SingleDirection, Arrays] = {}
    for direction in checkpoint.config.directions:
        for_direction = checkpoint.for_direction(direction)
        text = corpus if direction == "forward" else corpus.mirrored()
        layout = training_batches(text, config)
        sampled = range(max(1, min(steps // STEPS_PER_GRADIENT, MOST_GRADIENTS)))
        batches = (layout.batch(step) for step in sampled if not should_stop())
        sizes = _gradient_sizes(for_direction, batches, device)
        affordable = steps * layout.tokens_per_step / TOKENS_PER_SEGMENT
        segments = min(int(affordable / len(RATES)), MOST_SEGMENTS)
        rate = DEFAULT_RATE
        if segments >= FEWEST_SEGMENTS and not should_stop():
            rate = _best_rate(for_direction, text.validation, sizes, segments, device)
        rates[direction] = _rates(rate, sizes)
    are_valid = all(
        bool((np.isfinite(row_rates) & (row_rates > 0)).all())
        for arrays in rates.values()
        for row_rates in arrays.values()
    )
    return checkpoint.with_dynamic_rates(rates) if are_valid and not should_stop() else checkpoint


def _gradient_sizes(
    checkpoint: Checkpoint, batches: Iterable[Batch], device: torch.device
) -> dict[str, NDArray[np.float64]]:
    """Return the root mean square of the training gradient, by row of each parameter.

    The gradient is that of the mean loss over the first segment of each row of a batch.
    """
    network = load_language_model(checkpoint, device)
    tensors = network.tensors()
    squares = {name: np.zeros(len(tensor)) for name, tensor in tensors.items()}
    count = 0
    for batch in batches:
        rows = max(1, MOST_LOGITS // (checkpoint.tokenizer.boundary_id * SEGMENT))
        part = slice(rows), slice(SEGMENT)
        segment = Batch(batch.inputs[part], batch.targets[part], batch.is_scored[part])
        if not segment.is_scored.any():
            continue
        logits, targets, _ = _predict(network, segment, None)
        network.zero_grad()
        torch.autograd.backward(cross_entropy(logits, targets))
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
    validation: EncodedText,
    sizes: Mapping[str, NDArray[np.float64]],
    segments: int,
    device: torch.device,
) -> float:
    """Return the rate with the best score of the first segments of the validation text."""

    def nats(rate: float) -> float:
        batches = _segments(checkpoint, validation.ids, validation.boundaries)
        adaptive = _Adaptive(checkpoint, _rates(rate, sizes), device)
        score = adaptive.score(islice(batches, segments))
        return score if math.isfinite(score) else math.inf

    return min(RATES, key=nats)


def _rates(rate: float, sizes: Mapping[str, NDArray[np.float64]]) -> Arrays:
    """Return the learning rate of each row, in inverse proportion to its gradients."""
    with np.errstate(divide="ignore"):  # of zero gradients; the caller discards such rates
        return {name: (rate / size).astype(np.float32) for name, size in sizes.items()}


def _segments(checkpoint: Checkpoint, ids: Ids, boundaries: NDArray[np.int64]) -> Iterator[Segment]:
    """Yield each segment as a batch of one row, whether it starts from the zero state, and where.

    The last is the position of its first scored id.
    """
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    boundary_id, prefix = tokenizer.boundary_id, prefix_of(tokenizer, config)
    if config.task == "text":
        windows = Windows.of_documents(
            ids, boundaries, boundary_id, prefix, predicts_end=config.predicts_end
        )
    else:
        windows = Windows.for_scoring(config.task, ids, boundaries, boundary_id)
    for number in np.flatnonzero(windows.begin < windows.stop).tolist():
        position = int(windows.first[number])
        for index, segment in enumerate(windows.select(np.array([number])).batches(SEGMENT)):
            yield segment, index == 0, position
            position += int(segment.is_scored.sum())


class _Adaptive:
    """A network that is trained on each segment after scoring it."""

    def __init__(self, checkpoint: Checkpoint, rates: Arrays, device: torch.device) -> None:
        """Load a trained model, with the learning rate of each row of each parameter."""
        self._checkpoint = checkpoint
        self._network = load_language_model(checkpoint, device)
        tensors = self._network.tensors()
        self._parameters = list(tensors.values())
        self._trained = [tensor.detach().clone() for tensor in self._parameters]
        self._rates = [_by_row(rates[name], tensor) for name, tensor in tensors.items()]
        # The larger the rate of a row, the weaker its decay.
        inverse = [1 / rate for rate in self._rates]
        values = sum(tensor.numel() for tensor in self._parameters)
        mean = sum(
            float(row_values.mean()) * tensor.numel()
            for row_values, tensor in zip(inverse, self._parameters, strict=True)
        )
        self._decays = [
            (DECAY * row_values * values / mean).clamp(max=1.0).expand_as(tensor)
            for row_values, tensor in zip(inverse, self._parameters, strict=True)
        ]

    def score(
        self, segments: Iterator[Segment], combination: AdaptiveCombination | None = None
    ) -> float:
        """Return −ln p of all segments, in nats, with a training step after each.

        With a combination it is that of the network, the one that was loaded, and counts; the
        network learns by itself.
        """
        nats: list[float] = []
        state: RecurrentState | None = None
        static_state: RecurrentState | None = None
        static: LanguageModel | None = None  # which never learns
        if combination is not None:
            static = load_language_model(self._checkpoint, self._network.device)
        for segment, is_start, position in segments:
            logits, targets, state = _predict(self._network, segment, None if is_start else state)
            if static is not None:
                with torch.no_grad():
                    static_logits, _, static_state = _predict(
                        static, segment, None if is_start else static_state
                    )
            if not len(targets):
                continue
            loss = cross_entropy(logits, targets, reduction="sum")
            if combination is None:
                nats.append(float(loss.detach()))
            else:
                numbers = [tensor.detach().cpu().numpy() for tensor in (logits, static_logits)]
                of_tokens = combination.score(numbers, position, position + len(targets))
                nats.append(float(of_tokens.sum()))
            if float(loss.detach()) > LOST * len(targets) * math.log(logits.shape[-1]):
                self._restore()
            else:
                self._step(loss / SEGMENT)
        return math.fsum(nats)

    def _restore(self) -> None:
        """Return to the trained weights, from weights that are far worse than a guess."""
        with torch.no_grad():
            for tensor, trained in zip(self._parameters, self._trained, strict=True):
                tensor.copy_(trained)

    def _step(self, loss: Tensor) -> None:
        """Take a gradient step, and decay the weights towards the trained ones."""
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
    """Reshape one value per row to (rows, 1, …), to broadcast over `tensor`."""
    return torch.from_numpy(values).to(tensor.device).view(-1, *(1 for _ in tensor.shape[1:]))


def _predict(
    network: LanguageModel, batch: Batch, state: RecurrentState | None
) -> tuple[Tensor, Tensor, RecurrentState]:
    """Return logits and targets of what is scored, and the state after it without its history."""
    device = network.device
    features, after = network(torch.from_numpy(batch.inputs).to(device), state)
    counts = torch.from_numpy(batch.is_scored).to(device)
    targets = torch.from_numpy(batch.targets).to(device)[counts]
    state_after = [tuple(vector.detach() for vector in layer) for layer in after]
    return network.output(features[counts]), targets, state_after
