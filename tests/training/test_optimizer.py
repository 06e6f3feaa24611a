"""Every optimizer goes downhill; decay falls on matrices only."""

import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.training.network import LanguageModel
from charlm.training.optimizer import build_optimizer, set_learning_rate


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

    assert {
        (group["weight_decay"], tensor.dim())
        for group in optimizer.param_groups
        for tensor in group["params"]
    } == {(0.5, 2), (0.0, 1)}


@pytest.mark.parametrize(
    ("name", "tie_weights", "is_fast"),
    [("adamw", False, True), ("adamw", True, False), ("adam", False, False), ("sgd", False, False)],
)
def test_an_output_matrix_of_its_own_learns_twice_as_fast(name, tie_weights, is_fast):
    config = ModelConfig(embedding_size=3, hidden_size=4, tie_weights=tie_weights)
    forward = LanguageModel(config, 5)
    both = torch.nn.ModuleList([forward, LanguageModel(config, 5, embedding=forward.embedding)])
    optimizer = build_optimizer(both, TrainingConfig(optimizer=name))
    set_learning_rate(optimizer, 0.01)
    rates = [(t, group["lr"]) for group in optimizer.param_groups for t in group["params"]]
    outputs = [] if tie_weights else [id(network.output.weight) for network in both]

    assert len(rates) == sum(tensor.requires_grad for tensor in both.parameters())
    for tensor, rate in rates:
        assert rate == (0.02 if is_fast and id(tensor) in outputs else 0.01)
