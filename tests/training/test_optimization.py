"""The schedule rises, falls and ends; decay falls on matrices only."""

import pytest
import torch

from charlm.config import TrainingConfig
from charlm.training.optimization import build_optimizer, scheduled_share


def test_the_schedule_warms_up_and_falls_to_nothing():
    shares = [scheduled_share(step, 1000) for step in range(1000)]

    assert shares[0] == pytest.approx(1 / 50)
    assert shares[49] == shares[50] == 1.0
    assert shares[525] == pytest.approx(0.5, abs=1e-9)
    assert 0 < shares[-1] < 1e-5
    assert shares[50:] == sorted(shares[50:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_schedule(steps):
    assert all(0 < scheduled_share(step, steps) <= 1 for step in range(steps))


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
