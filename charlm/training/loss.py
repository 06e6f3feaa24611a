"""The loss of a step: cross-entropy over all outputs, or over a sample of many."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from charlm.training.network import Output

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
