"""Recurrent layers that read sequences both ways (Schuster & Paliwal 1997).

https://doi.org/10.1109/78.650093
"""

import torch
from torch import Tensor, nn

from charlm.training.network import LockedDropout


def read_both_ways(
    forward: nn.ModuleList,
    backward: nn.ModuleList,
    features: Tensor,
    lengths: Tensor,
    dropout: LockedDropout,
) -> tuple[Tensor, Tensor]:
    """Return the states of sequences of different lengths, padded at their ends.

    Args:
        forward: The layers that read from the first position.
        backward: The layers that read from the last position.
        features: Shape (B, S, I).
        lengths: Positions of each sequence, at least 1, shape (B,).
        dropout: Between layers, and after the last.

    Returns:
        The outputs of both directions side by side, shape (B, S, M); and the output of each at the
        end of its reading, shape (B, M).
    """
    positions = torch.arange(features.shape[1], device=features.device)[None]
    # Each sequence from its end to its beginning; the padding stays where it is.
    mirrored = lengths[:, None] - 1 - positions
    mirrored = torch.where(mirrored < 0, positions, mirrored)
    last = (lengths - 1)[:, None]
    ends: tuple[Tensor, ...] = ()
    for rightward, leftward in zip(forward, backward, strict=True):
        right, _ = rightward(features)
        left, _ = leftward(at_positions(features, mirrored))
        ends = at_positions(right, last)[:, 0], at_positions(left, last)[:, 0]
        features = dropout(torch.cat([right, at_positions(left, mirrored)], dim=-1))
    return features, torch.cat(ends, dim=-1)


def at_positions(features: Tensor, positions: Tensor) -> Tensor:
    """Return the features of some positions of each row, (B, N, ·), for positions (B, N)."""
    return features.gather(1, positions[..., None].expand(-1, -1, features.shape[-1]))
