"""Optimizer and schedule."""

import math

import torch
from torch import nn

from charlm.config import TrainingConfig

WARM_UP = 0.05  # of all steps


def build_optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer that `config` names, with weight decay on matrices only."""
    trained = [tensor for tensor in network.parameters() if tensor.requires_grad]
    groups = [
        {"params": [t for t in trained if t.dim() > 1], "weight_decay": config.matrix_decay},
        {"params": [t for t in trained if t.dim() == 1], "weight_decay": 0.0},
    ]
    rate = config.peak_learning_rate
    match config.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99), fused=True)
        case "sgd":
            momentum = config.momentum
            return torch.optim.SGD(
                groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=True
            )
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=rate, alpha=0.99)


def scheduled_share(step: int, steps: int) -> float:
    """Return the share of the peak learning rate at `step`, in (0, 1].

    Linear warm-up over the first 5 % of all steps, then half a cosine towards zero
    (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983).

    Args:
        step: The step that is about to be taken, from 0.
        steps: All steps of the run.
    """
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
