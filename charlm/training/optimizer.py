"""The optimizers."""

import inspect
from typing import Any

import torch
from torch import nn

from charlm.config import OptimizerName, TrainingConfig

# An output matrix that is not tied learns, and decays, faster than other matrices. 1,600 steps of
# tiny shakespeare (16 streams, learning rate 8e-3, median of three random seeds) come to 1.462 nats
# with a factor of 1, to 1.457 with 2, to 1.464 with 4.
OUTPUT_RATE = 2.0  # times the learning rate, with AdamW

# The state that each optimizer keeps of a tensor, under PyTorch's names. "step" is a scalar, the
# others have the shape of the tensor.
OPTIMIZER_STATE: dict[OptimizerName, frozenset[str]] = {
    "adamw": frozenset({"step", "exp_avg", "exp_avg_sq"}),
    "adam": frozenset({"step", "exp_avg", "exp_avg_sq"}),
    "sgd": frozenset({"momentum_buffer"}),
    "rmsprop": frozenset({"step", "square_avg"}),
}
_KINDS: dict[OptimizerName, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.99), "fused": True}),
    "adam": (torch.optim.Adam, {"betas": (0.9, 0.99), "fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.99}),
}


def build_optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer that `config` names, with weight decay on matrices only."""
    output_rate = OUTPUT_RATE if config.optimizer == "adamw" else 1.0
    groups = [
        {
            "params": [tensor],
            "weight_decay": config.matrix_decay if tensor.dim() > 1 else 0.0,
            "rate_factor": output_rate if name.endswith("output.weight") else 1.0,
        }
        for name, tensor in network.named_parameters()
        if tensor.requires_grad
    ]
    kind, settings = _KINDS[config.optimizer]
    if config.optimizer == "sgd":
        settings = {**settings, "momentum": config.momentum, "nesterov": config.momentum > 0}
    optimizer: torch.optim.Optimizer = _without_compiler(kind)(
        groups, lr=config.peak_learning_rate, **settings
    )
    return optimizer


def _without_compiler(optimizer: type[torch.optim.Optimizer]) -> Any:
    """Return the class without the wrappers that only torch.compile needs.

    They import PyTorch's compiler, which takes 1.4 s and which nothing here uses.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of an optimizer that `build_optimizer` returned."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
