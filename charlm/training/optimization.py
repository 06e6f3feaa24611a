"""The optimizers."""

import torch
from torch import nn

from charlm.config import TrainingConfig


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
