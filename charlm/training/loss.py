"""The loss of a step: cross-entropy over all outputs, or over a sample of many."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from charlm.corpus.windows import Batch
from charlm.training.hardware import autocast
from charlm.training.network import Output, RecurrentState, SavedNetwork

HEAD, TAIL = 1024, 512  # frequent outputs, always included; rare outputs, drawn at random
LARGEST_SOFTMAX = 2 * (HEAD + TAIL)  # outputs; beyond it the softmax is sampled


def most_outputs(vocab_size: int, targets: int) -> int:
    """Return the largest number of logits per target, in a step of so many targets."""
    return vocab_size if vocab_size <= LARGEST_SOFTMAX else min(vocab_size, HEAD + TAIL + targets)


class Loss:
    """Mean −ln p of targets, in nats.

    In a large vocabulary most outputs are rare, and they cost most of the time. So training
    estimates the sum of the softmax, from the HEAD most frequent outputs, the targets of the step,
    and TAIL random outputs of the rest, each weighted by the number of outputs that it stands for.
    The estimate of the sum is unbiased (importance sampling with strata; Bengio & Senécal 2003,
    Jean et al. 2015, https://arxiv.org/abs/1412.2007). Scores are never estimated.
    """

    def __init__(self, token_counts: NDArray[np.int64]) -> None:
        """Take the number of occurrences of each output in the training text, shape (outputs,)."""
        self.is_sampled = len(token_counts) > LARGEST_SOFTMAX
        by_frequency = np.argsort(-token_counts, kind="stable")
        self._head, self._tail = by_frequency[:HEAD], by_frequency[HEAD:]
        self._is_tail = np.zeros(len(token_counts), dtype=np.bool_)
        self._is_tail[self._tail] = True

    def __call__(
        self, output: Output, features: Tensor, targets: Tensor, generator: np.random.Generator
    ) -> Tensor:
        """Return the mean over all targets, a scalar; 0 without targets.

        Args:
            output: Features → logits.
            features: Shape (N, H).
            targets: Ids, shape (N,).
            generator: Draws the sample.
        """
        if len(targets) == 0:  # sources of pairs may fill a batch
            return features.sum() * 0.0
        if not self.is_sampled:
            return cross_entropy(output(features).float(), targets)
        chosen, offsets = self.draw(targets.cpu().numpy(), generator)
        columns = np.zeros(len(self._is_tail), dtype=np.int64)
        columns[chosen] = np.arange(len(chosen))
        device = features.device
        logits = output(features, torch.from_numpy(chosen).to(device)).float()
        return cross_entropy(
            logits + torch.from_numpy(offsets).to(device),
            torch.from_numpy(columns).to(device)[targets],
        )

    def draw(
        self, targets: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the sampled outputs, shape (C,), and the ln of the weight of each."""
        rare = np.unique(targets[self._is_tail[targets]])
        others = len(self._tail) - len(rare)
        drawn = self._tail[
            generator.choice(len(self._tail), min(TAIL + len(rare), len(self._tail)), replace=False)
        ]
        drawn = drawn[~np.isin(drawn, rare)][:TAIL]
        chosen = np.concatenate([self._head, rare, drawn])
        offsets = np.zeros(len(chosen), dtype=np.float32)
        offsets[len(chosen) - len(drawn) :] = np.log(others / max(1, len(drawn)))
        return chosen, offsets


class BatchLoss(nn.Module):
    """The loss of one step in all directions, as one module for DistributedDataParallel.

    Attributes:
        networks: One for each direction.
        carries_state: Whether a batch continues the streams of the batch before.
        states: Recurrent state of this process's streams in each direction; None before the first
            batch.
    """

    def __init__(
        self,
        networks: Sequence[SavedNetwork],
        loss: Loss,
        *,
        boundary_id: int,
        carries_state: bool,
        precision: torch.dtype,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.carries_state = carries_state
        self._networks = networks
        self.states: list[RecurrentState | None] = [None for _ in networks]
        self._loss, self._boundary_id, self._precision = loss, boundary_id, precision

    def forward(
        self, batches: Sequence[Batch], shares: Sequence[float], generator: np.random.Generator
    ) -> Tensor:
        """Return the weighted sum of the mean losses of each direction, a scalar."""
        self.networks.train()
        losses = []
        for direction, (network, batch, share) in enumerate(
            zip(self._networks, batches, shares, strict=True)
        ):
            device = network.device
            inputs = torch.from_numpy(batch.inputs).to(device)
            is_scored = torch.from_numpy(batch.is_scored).to(device)
            targets = torch.from_numpy(batch.targets).to(device)[is_scored]
            state = self.initial_state(direction, batch) if self.carries_state else None
            with autocast(device, self._precision):
                features, state = network.read(inputs, is_scored, state)
                losses.append(self._loss(network.output, features, targets, generator) * share)
            # Keep the values of the state, but cut its history: backward() would otherwise run
            # through the whole text so far (truncated BPTT, Williams & Peng 1990).
            self.states[direction] = [
                tuple(vector.detach().float() for vector in layer) for layer in state
            ]
        return torch.stack(losses).sum()

    def initial_state(self, direction: int, batch: Batch) -> RecurrentState | None:
        """Return the state before a batch: zeros in each stream that starts or reads a boundary."""
        state = self.states[direction]
        if state is None:
            return None
        is_start = batch.inputs[:, 0] == self._boundary_id
        if batch.is_start is not None:
            is_start |= batch.is_start
        device = state[0][0].device
        continues = torch.from_numpy(~is_start).to(device).float()[None, :, None]
        return [tuple(vector * continues for vector in layer) for layer in state]
