"""Every optimizer goes downhill; decay falls on matrices only."""

import pytest
import torch

from charlm.config import TrainingConfig
from charlm.training.optimization import build_optimizer


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer_goes_downhill(name):
    layer = torch.nn.Linear(3, 1)
    optimizer = build_optimizer(layer, TrainingConfig(optimizer=name, learning_rate=0.01))

    def loss():
        return layer(torch.ones(3)).square().sum()

    before = loss()
    for _ in range(20):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    assert loss() < before


def test_weight_decay_falls_on_matrices_only():
    optimizer = build_optimizer(torch.nn.Linear(3, 1), TrainingConfig(weight_decay=0.5))

    assert [
        (group["weight_decay"], [tensor.dim() for tensor in group["params"]])
        for group in optimizer.param_groups
    ] == [(0.5, [2]), (0.0, [1])]
