"""The gradient of a loss with respect to earlier states, by distance."""

import math
import sys
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Checkpoint
from charlm.errors import CheckpointError
from charlm.inference.context_length import context_lengths, ids_as_read
from charlm.training.network import RecurrentState, load_language_model

WINDOWS = 16  # side by side
FADED = 0.01  # share of the norm at distance 1


def gradient_by_distance(checkpoint: Checkpoint, text: str) -> list[dict[int, float]]:
    """Return, for each layer, the gradient's norm by distance in tokens.

    It is the gradient of −ln p of one token with respect to the state of a layer so many tokens
    before (for an LSTM, hidden and cell together), as the mean over some windows of the text. Where
    it vanishes, nothing can be learnt (Bengio et al. 1994, Pascanu et al. 2013,
    https://arxiv.org/abs/1211.5063).

    Raises:
        CorpusError: If the text is too short.
        CheckpointError: If a gradient is not finite.
    """
    tokenizer = checkpoint.tokenizer
    ids = ids_as_read(text, tokenizer, checkpoint.config)
    distances = context_lengths(len(ids))
    length = distances[-1] + 1
    starts = np.unique(np.linspace(0, len(ids) - length - 1, WINDOWS).astype(np.int64))
    window = ids[starts[:, None] + np.arange(length + 1)].astype(np.int64)
    network = load_language_model(checkpoint, torch.device("cpu")).eval()
    inputs = torch.from_numpy(window)
    states: list[RecurrentState] = []
    state: RecurrentState | None = None
    for position in range(length):
        features, state = network(inputs[:, position : position + 1], state)
        for layer in state:
            for vector in layer:
                vector.retain_grad()
        states.append(state)
    loss = cross_entropy(network.output(features[:, -1]), inputs[:, -1], reduction="sum")
    torch.autograd.backward(loss)
    norms = [
        {distance: _mean_norm(states[length - 1 - distance][layer]) for distance in distances}
        for layer in range(checkpoint.config.num_layers)
    ]
    if not all(math.isfinite(norm) for of_layer in norms for norm in of_layer.values()):
        raise CheckpointError("the gradients of the model grow beyond all bounds in this text")
    return norms


def memory_length(norms: Mapping[int, float]) -> float | None:
    """Return the distance at which the gradient falls to FADED times that at distance 1.

    It is interpolated between measured distances, as an exponential decay. None if the gradient is
    larger at every distance.
    """
    faded = FADED * norms[1]
    for (near, near_norm), (far, far_norm) in pairwise(norms.items()):
        if far_norm <= faded < near_norm:
            smallest = sys.float_info.min
            decay = math.log(near_norm / max(far_norm, smallest))
            return near + (far - near) * math.log(near_norm / faded) / decay
    return None


def _mean_norm(vectors: tuple[torch.Tensor, ...]) -> float:
    """Return the mean over the windows of the norm of all vectors' gradients."""
    gradients = [v.grad if v.grad is not None else torch.zeros_like(v) for v in vectors]
    return float(torch.cat(gradients, dim=-1).norm(dim=-1).mean())
