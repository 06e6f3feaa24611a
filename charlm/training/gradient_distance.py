"""How far back learning reaches: the gradient of a loss by the states long before it."""

import math
import sys
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Checkpoint
from charlm.inference.context_length import context_lengths, ids_as_read
from charlm.training.network import LanguageModel, RecurrentState

WINDOWS = 16  # side by side
FADED = 0.01


def gradient_by_distance(checkpoint: Checkpoint, text: str) -> list[dict[int, float]]:
    """Return, for each layer, the gradient's norm by distance in tokens.

    It is that of −ln p of one token by the state that a layer carries on from so many tokens before
    (of an LSTM hidden and cell together), in the mean over some windows of the text. Where it
    vanishes, nothing can be learnt (Bengio et al. 1994, Pascanu et al. 2013,
    https://arxiv.org/abs/1211.5063).

    Raises:
        CorpusError: If there is too little text to tell anything.
    """
    tokenizer = checkpoint.tokenizer
    ids = ids_as_read(text, tokenizer, checkpoint.config)
    distances = context_lengths(len(ids))
    length = distances[-1] + 1
    starts = np.unique(np.linspace(0, len(ids) - length - 1, WINDOWS).astype(np.int64))
    window = ids[starts[:, None] + np.arange(length + 1)].astype(np.int64)
    network = LanguageModel(checkpoint.config, tokenizer.vocab_size).eval()
    network.load_arrays(checkpoint.arrays)
    inputs = torch.from_numpy(window)
    states: list[RecurrentState] = []
    state: RecurrentState | None = None
    for place in range(length):
        features, state = network(inputs[:, place : place + 1], state)
        for layer in state:
            for vector in layer:
                vector.retain_grad()
        states.append(state)
    loss = cross_entropy(network.output(features[:, -1]), inputs[:, -1], reduction="sum")
    torch.autograd.backward(loss)
    return [
        {distance: _mean_norm(states[length - 1 - distance][layer]) for distance in distances}
        for layer in range(checkpoint.config.num_layers)
    ]


def memory_length(norms: Mapping[int, float]) -> float | None:
    """Return the distance at which the gradient is FADED of what it is after one token.

    Interpolated between the distances that were measured, as if it fell by powers; None if it is
    not as small as that at any.
    """
    faded = FADED * norms[1]
    for (near, before), (far, after) in pairwise(norms.items()):
        if after <= faded < before:
            smallest = sys.float_info.min
            return near + (far - near) * math.log(before / faded) / math.log(
                before / max(after, smallest)
            )
    return None


def _mean_norm(vectors: tuple[torch.Tensor, ...]) -> float:
    """Return the norm of the vectors' gradients, together, in the mean over the windows."""
    gradients = [v.grad if v.grad is not None else torch.zeros_like(v) for v in vectors]
    return float(torch.cat(gradients, dim=-1).norm(dim=-1).mean())
