"""The score of a text by the torch network, on any device: the same as in NumPy.

It computes in float32. TF32, the default of cuDNN, is too coarse for one score.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.corpus.windows import Windows
from charlm.errors import CheckpointError
from charlm.inference.combination import combine
from charlm.inference.runtime import LARGEST_ACTIVATION
from charlm.inference.scoring import (
    Score,
    batched_rows,
    negative_log_softmax,
    score_with,
    segments_of,
)
from charlm.ngram import NGramTable
from charlm.ngram.table import NO_TOKEN, contexts_after
from charlm.training.hardware import autocast, exact_products, memory_errors
from charlm.training.network import Output, RecurrentState, SavedNetwork
from charlm.training.networks import load_network
from charlm.training.recurrence import RNN

LONGEST_WINDOW = 64  # tokens in a batch; the features of more fill the memory


class BatchScore(NamedTuple):
    """The score of some windows."""

    nats: float  # −ln p, summed
    tokens: int  # predictions made
    errors: int  # predictions that are wrong; only counted where an encoder reads a source


class Scorer:
    """A trained network on a device, which scores as NumPy does."""

    @memory_errors()
    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Load a model of one direction.

        Raises:
            MemoryError: If the device has too little memory.
        """
        self._tokenizer = checkpoint.tokenizer
        self._table = checkpoint.ngrams.get(checkpoint.config.directions[0])
        self.network = load_network(checkpoint, device)
        if checkpoint.config.nonlinearity == "relu":
            for layer in self.network.modules():
                if isinstance(layer, RNN):
                    layer.register_forward_hook(_check_activations)

    @exact_products()
    @memory_errors()
    def score(self, text: str, *, name: str = "the text") -> Score:
        """Return the score of `charlm.inference.scoring.score_text`, to 1e-4 nats per token.

        Raises:
            CorpusError: If the model is one of pairs, and a line of `name` is no pair.
            CheckpointError: If the activations of a ReLU exceed the bound of the NumPy runtime.
            MemoryError: If the device has too little memory.
        """
        return score_with(
            lambda windows: (
                score.nats
                for score in batch_nats(
                    self.network, segments_of(windows, self.network.config)[0], table=self._table
                )
            ),
            self.network.config,
            self._tokenizer,
            text,
            name=name,
        )


def _check_activations(layer: nn.Module, inputs: object, outputs: tuple[Tensor, object]) -> None:
    """Raise CheckpointError where NumPy would clip a ReLU, which PyTorch's layers cannot do."""
    if not float(outputs[0].max()) <= LARGEST_ACTIVATION:  # or NaN
        raise CheckpointError(
            "the activations of the model grow beyond all bounds in this text",
            hint="score it without --device",
        )


def batch_nats(
    network: SavedNetwork,
    windows: Windows,
    precision: torch.dtype = torch.float32,
    table: NGramTable | None = None,
) -> Iterator[BatchScore]:
    """Yield the score of each batch of some windows.

    Args:
        network: Of the direction of the windows. Its dropout is turned off.
        windows: Read side by side; long ones should be cut first.
        precision: Type of the matrix products.
        table: Counts that predict beside the network, on the processor.
    """
    network.eval()
    device = network.device
    for chosen in windows.groups():
        state: RecurrentState | None = None
        order = 0 if table is None else table.order
        contexts = np.full((len(chosen), 1, order), NO_TOKEN)
        chosen_windows = windows.select(chosen)
        for batch in chosen_windows.batches(_batch_length(chosen_windows, network.config)):
            if state:  # of the windows that continue
                rows = len(batch.inputs)
                state = [
                    tuple(vector[:, :rows].contiguous() for vector in layer) for layer in state
                ]
            with torch.no_grad(), autocast(device, precision):
                is_scored = torch.from_numpy(batch.is_scored).to(device)
                inputs = torch.from_numpy(batch.inputs).to(device)
                features, state = network.read(inputs, is_scored, state)
                targets = torch.from_numpy(batch.targets).to(device)[is_scored]
                errors = 0
                if network.config.has_encoder:
                    nats, errors = _nats_and_errors(network.output(features).float(), targets)
                elif table is None:
                    nats = _nats(network.output, features, targets, windows.boundary_id)
                else:
                    last = contexts[: len(batch.inputs), -1]
                    contexts = contexts_after(last, batch.inputs, windows.boundary_id)
                    scored = contexts[batch.is_scored]
                    nats = _nats_with_counts(network.output, features, targets, table, scored)
            yield BatchScore(nats, len(targets), errors)


def batch_count(windows: Windows, config: ModelConfig) -> int:
    """Return the number of batches that `batch_nats` reads."""
    groups = (windows.select(chosen) for chosen in windows.groups())
    return sum(-(-int(part.lengths.max()) // _batch_length(part, config)) for part in groups)


def _batch_length(windows: Windows, config: ModelConfig) -> int:
    """Return the most positions of a batch; an encoder reads whole examples."""
    return int(windows.lengths.max()) if config.has_encoder else LONGEST_WINDOW


def _nats(output: Output, features: Tensor, targets: Tensor, vocab_size: int) -> float:
    """Return the sum of −ln p of the targets. A few at a time, because logits take memory."""
    return math.fsum(
        float(
            cross_entropy(output(features[rows]).float(), targets[rows], reduction="none")
            .cpu()  # MPS has no float64
            .double()
            .sum()
        )
        for rows in batched_rows(len(targets), vocab_size)
    )


def _nats_and_errors(logits: Tensor, targets: Tensor) -> tuple[float, int]:
    """Return the sum of −ln p of the targets, and how many are not the most probable token."""
    nats = cross_entropy(logits, targets, reduction="none").cpu().double().sum()
    return float(nats), int((logits.argmax(dim=-1) != targets).sum())


def _nats_with_counts(
    output: Output,
    features: Tensor,
    targets: Tensor,
    table: NGramTable,
    contexts: NDArray[np.int64],
) -> float:
    """Return the sum of −ln p of the targets, as network and counts predict them together."""
    ids = targets.cpu().numpy()
    return math.fsum(
        float(
            negative_log_softmax(
                combine(table, output(features[rows]).float().cpu().numpy(), contexts[rows]),
                ids[rows],
            ).sum(dtype=np.float64)
        )
        for rows in batched_rows(len(ids), table.outputs)
    )
