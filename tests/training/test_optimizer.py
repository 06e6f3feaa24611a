"""Every optimizer goes downhill; decay falls on matrices only."""

import copy
import subprocess
import sys

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


PLAIN = {
    "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    "adam": (torch.optim.Adam, {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.99, "weight_decay": 0.1}),
}


@pytest.mark.parametrize("name", PLAIN)
def test_every_optimizer_computes_what_pytorch_computes(name):
    """Without the wrappers for torch.compile, and after its state was saved and loaded."""
    torch.manual_seed(0)
    ours = torch.nn.Linear(3, 2, bias=False)
    theirs = copy.deepcopy(ours)
    settings = TrainingConfig(optimizer=name, learning_rate=0.01, weight_decay=0.1)
    optimizer = build_optimizer(ours, settings)
    kind, arguments = PLAIN[name]
    plain = kind(theirs.parameters(), lr=0.01, **arguments)
    for step in range(4):
        for layer, chosen in ((ours, optimizer), (theirs, plain)):
            chosen.zero_grad()
            layer(torch.arange(3.0) + step).square().sum().backward()
            chosen.step()
        if step == 1:
            saved = optimizer.state_dict()
            optimizer = build_optimizer(ours, settings)
            optimizer.load_state_dict(saved)

    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-6, atol=1e-7)


STEP = """
import sys, torch
from charlm.config import TrainingConfig
from charlm.training.optimizer import build_optimizer
for name in ("adamw", "adam", "sgd", "rmsprop"):
    layer = torch.nn.Linear(3, 1)
    optimizer = build_optimizer(layer, TrainingConfig(optimizer=name))
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_no_optimizer_loads_the_compiler_of_pytorch():
    """It takes more than a second, at the start of every training."""
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("False\n", "")


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
