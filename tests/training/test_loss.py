"""The sampled loss estimates the whole one, and is it where nothing is left to sample."""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.training import loss as room
from charlm.training.loss import Loss
from charlm.training.network import LanguageModel

OUTPUTS = 500


@pytest.fixture
def output():
    torch.manual_seed(0)
    network = LanguageModel(ModelConfig(embedding_size=4, hidden_size=6), OUTPUTS)
    network.initialise(COUNTS)
    with torch.no_grad():
        network.output.weight.mul_(5)
    return network.output


COUNTS = np.concatenate([1 + 100_000 // np.arange(1, OUTPUTS + 1) ** 2, [0]])  # Zipf's law


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(room, "LARGEST_SOFTMAX", 100)
    monkeypatch.setattr(room, "HEAD", 40)
    monkeypatch.setattr(room, "TAIL", 60)


def whole(output, features, targets):
    return torch.nn.functional.cross_entropy(output(features), targets)


def test_a_small_vocabulary_is_taken_whole(output):
    features, targets = torch.randn(20, 6), torch.arange(20)
    loss = Loss(COUNTS[:-1])

    assert not loss.is_sampled
    assert torch.equal(
        loss(output, features, targets, np.random.default_rng(0)), whole(output, features, targets)
    )


def test_a_window_without_targets_teaches_nothing(output):
    features = torch.randn(0, 6, requires_grad=True)
    loss = Loss(COUNTS[:-1])(output, features, torch.arange(0), np.random.default_rng(0))
    loss.backward()

    assert loss.item() == 0
    assert features.grad.shape == (0, 6)


def test_where_nothing_is_left_to_draw_the_loss_is_exact(output, small, monkeypatch):
    monkeypatch.setattr(room, "TAIL", OUTPUTS)
    features, targets = torch.randn(20, 6), torch.arange(0, 500, 25)
    loss = Loss(COUNTS[:-1])

    assert loss.is_sampled
    estimate = loss(output, features, targets, np.random.default_rng(0))

    assert estimate.item() == pytest.approx(whole(output, features, targets).item(), rel=1e-5)


def test_the_estimate_of_the_sum_is_unbiased(output, small):
    """Over many draws, the mean of Σ exp(logit) is the sum over all outputs."""
    features, targets = torch.randn(1, 6), np.array([3, 70, 400])
    loss, generator = Loss(COUNTS[:-1]), np.random.default_rng(0)
    exact = output(features).exp().sum().item()
    sums = []
    for _ in range(2000):
        chosen, offsets = loss.draw(targets, generator)
        logits = output(features, torch.from_numpy(chosen))[0].detach().numpy()
        sums.append(np.exp(logits + offsets).sum())

    assert np.std(sums) > 0
    assert np.mean(sums) == pytest.approx(exact, abs=4 * np.std(sums) / np.sqrt(2000))


def test_frequent_outputs_and_targets_take_part_and_none_twice(small):
    chosen, offsets = Loss(COUNTS[:-1]).draw(np.array([0, 70, 70, 400]), np.random.default_rng(0))

    assert len(chosen) == len(set(chosen)) == 40 + 2 + 60
    assert set(chosen) >= {*range(40), 70, 400}
    assert (offsets[:42] == 0).all()
    # 458 outputs are neither frequent nor targets; each of the 60 drawn stands for as many.
    assert offsets[42:] == pytest.approx(np.log(458 / 60))


def test_the_gradient_follows_that_of_the_whole(output, small):
    features, targets = torch.randn(64, 6), torch.arange(64) * 7
    loss, generator = Loss(COUNTS[:-1]), np.random.default_rng(0)
    whole(output, features, targets).backward()
    exact = output.weight.grad.clone()
    output.weight.grad.zero_()
    for _ in range(200):
        (loss(output, features, targets, generator) / 200).backward()

    difference = (output.weight.grad - exact).norm() / exact.norm()
    assert float(difference) < 0.1
