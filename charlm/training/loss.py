"""The loss of a step: cross-entropy over all outputs, or over a sample of many."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from charlm.training.network import Output

HEAD, TAIL = 1024, 512  # frequent outputs that are always there, and rare ones that are drawn
LARGEST_SOFTMAX = 2 * (HEAD + TAIL)  # outputs; beyond it the softmax is sampled


def most_outputs(vocab_size: int, targets: int) -> int:
    """Return how many logits a step of so many targets computes for each, at most."""
    return vocab_size if vocab_size <= LARGEST_SOFTMAX else min(vocab_size, HEAD + TAIL + targets)


class Loss:
    """Mean −ln p of targets, in nats.

    Of a large vocabulary most outputs are rare and most of the work is theirs. So while learning,
    the softmax's sum is estimated: it takes the HEAD most frequent outputs and the step's targets
    as they are, and of all others TAIL at random, each standing for as many as were not drawn. The
    estimate of the sum is unbiased (importance sampling with strata; Bengio & Senécal 2003,
    Jean et al. 2015, https://arxiv.org/abs/1412.2007). Scores are never estimated.
    """

    def __init__(self, token_counts: NDArray[np.int64]) -> None:
        """Take how often each output occurs in the training text, shape (outputs,)."""
        self.is_sampled = len(token_counts) > LARGEST_SOFTMAX
        by_frequency = np.argsort(-token_counts, kind="stable")
        self._head, self._tail = by_frequency[:HEAD], by_frequency[HEAD:]
        self._is_tail = np.zeros(len(token_counts), dtype=np.bool_)
        self._is_tail[self._tail] = True

    def __call__(
        self, output: Output, features: Tensor, targets: Tensor, generator: np.random.Generator
    ) -> Tensor:
        """Return the mean over all targets, a scalar; of none 0.

        Args:
            output: Features → logits.
            features: Shape (N, H).
            targets: Ids, shape (N,).
            generator: Where the sample comes from.
        """
        if len(targets) == 0:  # pairs whose sources fill the batch
            return features.sum() * 0.0
        if not self.is_sampled:
            return cross_entropy(output(features).float(), targets)
        chosen, offsets = self.draw(targets.cpu().numpy(), generator)
        place = np.zeros(len(self._is_tail), dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        device = features.device
        logits = output(features, torch.from_numpy(chosen).to(device)).float()
        return cross_entropy(
            logits + torch.from_numpy(offsets).to(device),
            torch.from_numpy(place).to(device)[targets],
        )

    def draw(
        self, targets: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the outputs that take part, shape (C,), and the ln of how many each stands for."""
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
