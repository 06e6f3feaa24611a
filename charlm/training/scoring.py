"""Passages → sums of −ln p, by the network that learns."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from charlm.corpus.layout import Passages
from charlm.inference.scoring import batched_rows
from charlm.training.hardware import autocast
from charlm.training.network import LanguageModel, Output, RecurrentState

LONGEST_WINDOW = 64  # tokens; the features of longer ones fill memory


def window_nats(
    network: LanguageModel, passages: Passages, precision: torch.dtype = torch.float32
) -> Iterator[float]:
    """Yield −ln p of what is scored in some passages, in nats, window by window.

    Args:
        network: Of one direction, the passages'. Its dropout is turned off.
        passages: Read side by side, so long ones had better be cut.
        precision: Of the matrix products.
    """
    network.eval()
    device = network.embedding.weight.device
    for chosen in passages.batches():
        state: RecurrentState | None = None
        for window in passages.select(chosen).windows(LONGEST_WINDOW):
            if state is not None:  # of the passages that go on
                rows = len(window.inputs)
                state = [
                    tuple(vector[:, :rows].contiguous() for vector in layer) for layer in state
                ]
            with torch.no_grad(), autocast(device, precision):
                features, state = network.read(torch.from_numpy(window.inputs).to(device), state)
                counts = torch.from_numpy(window.counts).to(device)
                targets = torch.from_numpy(window.targets).to(device)[counts]
                nats = _nats(network.output, features[counts], targets, passages.boundary_id)
            yield nats


def window_count(passages: Passages) -> int:
    """Return how many windows `window_nats` reads."""
    lengths = passages.stop - passages.begin
    return sum(-(-int(lengths[chosen].max()) // LONGEST_WINDOW) for chosen in passages.batches())


def _nats(output: Output, features: Tensor, targets: Tensor, vocab_size: int) -> float:
    """Return −ln p of the targets, summed; a few at a time, for their logits are many."""
    return math.fsum(
        float(
            cross_entropy(output(features[some]).float(), targets[some], reduction="none")
            .cpu()  # MPS has no float64
            .double()
            .sum()
        )
        for some in batched_rows(len(targets), vocab_size)
    )
