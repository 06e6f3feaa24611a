"""Dynamic evaluation scores each segment before it learns from it, and learns what repeats."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import CheckpointError, ConfigError
from charlm.inference.model import Model
from charlm.training import dynamic_evaluation
from charlm.training.dynamic_evaluation import SEGMENT, dynamic_nats
from charlm.training.loop import train
from charlm.training.network import LanguageModel
from charlm.training.plan import make_plan

NEW = "a tug at the ragged tarp, and the rags went up. " * 12
DECAY_OF_TEST = 0.1  # large enough to be seen
TEXTS = {"text": NEW, "lines": NEW.replace(". ", ".\n"), "pairs": "cat\twent\n\tmat\nthe dog\t\n"}


def rated(checkpoint, rate):
    """Give each row of each parameter the same learning rate."""
    rates = {
        name: np.full(len(array), rate, np.float32) for name, array in checkpoint.arrays.items()
    }
    return replace(checkpoint, dynamic_rates=rates)


@pytest.mark.parametrize("task", TEXTS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_model_that_learns_nothing_scores_as_it_always_does(random_checkpoint, task, direction):
    if (task, direction) == ("pairs", "backward"):
        pytest.skip("pairs have one direction")
    checkpoint = random_checkpoint(" adeghnprtuw", task=task, direction=direction)
    static = Model(checkpoint).score(TEXTS[task])

    assert dynamic_nats(rated(checkpoint, 1e-12), TEXTS[task]) == pytest.approx(
        static.nats, rel=1e-5
    )


def test_a_segment_is_scored_before_it_is_learnt_from(verse_checkpoint):
    text = NEW[: SEGMENT - 1]  # the first segment reads a line end before the text
    static = Model(verse_checkpoint).score(text).nats

    assert dynamic_nats(rated(verse_checkpoint, 10.0), text) == pytest.approx(static, rel=1e-5)
    assert dynamic_nats(rated(verse_checkpoint, 10.0), NEW) != pytest.approx(
        Model(verse_checkpoint).score(NEW).nats, rel=0.01
    )


def test_one_step_is_what_the_equations_say(random_checkpoint, monkeypatch):
    """w' = w − η g, then w'' = w' + λ (w₀ − w'), with g the gradient of the first segment.

    Each row has its own η, and a λ that is the smaller the larger η is, DECAY in the mean.
    """
    checkpoint = random_checkpoint(" adeghnprtuw")
    monkeypatch.setattr(dynamic_evaluation, "DECAY", DECAY_OF_TEST)
    generator = np.random.default_rng(1)
    rates = {
        name: generator.uniform(0.1, 2.0, len(array)).astype(np.float32)
        for name, array in checkpoint.arrays.items()
    }
    checkpoint = replace(checkpoint, dynamic_rates=rates)
    # A number for each weight: its row's.
    each = {
        name: np.broadcast_to(rates[name].reshape(-1, *[1] * (array.ndim - 1)), array.shape)
        for name, array in checkpoint.arrays.items()
    }
    inverse = np.concatenate([1 / rate.ravel() for rate in each.values()]).mean()
    tokenizer, config = checkpoint.tokenizer, checkpoint.config
    ids = torch.from_numpy(tokenizer.encode(NEW[: SEGMENT + 7]).astype(np.int64))
    inputs = torch.cat([torch.tensor([tokenizer.boundary_id]), ids[:-1]])[None]
    network = LanguageModel(config, tokenizer.vocab_size)
    network.load_arrays(checkpoint.arrays)
    features, state = network(inputs[:, :SEGMENT])
    first = cross_entropy(network.output(features[0]), ids[:SEGMENT], reduction="sum")
    (first / SEGMENT).backward()
    moved = {
        name: tensor.detach().numpy()
        - (1 - DECAY_OF_TEST / each[name] / inverse) * each[name] * tensor.grad.numpy()
        for name, tensor in network.tensors().items()
    }
    network.load_arrays({name: array.astype(np.float32) for name, array in moved.items()})
    state = [tuple(vector.detach() for vector in layer) for layer in state]
    features, _ = network(inputs[:, SEGMENT:], state)
    second = cross_entropy(network.output(features[0]), ids[SEGMENT:], reduction="sum")

    assert dynamic_nats(checkpoint, NEW[: SEGMENT + 7]) == pytest.approx(
        (first + second).item(), rel=1e-6
    )


@pytest.fixture
def learnt(corpus_of):
    """Return the best model of a small run on the verse, and how the run ended."""

    def run(**more):
        corpus = corpus_of("my dog has fleas, and 7 cats know about it. " * 60)
        config = TrainingConfig(
            batch_size=4, bptt_length=16, dropout=0.0, precision="fp32", device="cpu", max_steps=150
        )
        model = ModelConfig(embedding_size=8, hidden_size=24, **more)
        plan = make_plan(corpus, model, config)
        *_, finished = train(corpus, plan)
        return finished.best.best

    return run


def test_what_repeats_is_learnt(verse_checkpoint):
    assert dynamic_nats(rated(verse_checkpoint, 0.05), NEW) < 0.7 * (
        Model(verse_checkpoint).score(NEW).nats
    )


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_training_ends_with_a_rate_for_every_row(learnt, direction):
    model = learnt(direction=direction)
    again = learnt(direction=direction)

    assert set(model.dynamic_rates) == set(model.arrays)
    for name, rates in model.dynamic_rates.items():
        assert rates.shape == model.arrays[name].shape[:1]
        assert (rates > 0).all()
        assert (rates == again.dynamic_rates[name]).all()


def test_the_rate_that_scores_the_held_out_text_best_is_taken(learnt, monkeypatch):
    """Too small a rate learns nothing, too large a one destroys; the one between is known."""
    monkeypatch.setattr(dynamic_evaluation, "TOKENS_PER_SEGMENT", 6)
    found = []
    for rates in ((1e-3,), (1e-9, 1e-3, 1e3)):
        monkeypatch.setattr(dynamic_evaluation, "RATES", rates)
        found.append(learnt().dynamic_rates["output.weight"])

    assert (found[0] == found[1]).all()


def test_rates_are_such_that_weights_move_by_what_was_chosen(learnt):
    """The mean gradient of a row times its rate is the rate that was chosen, at first."""
    model = learnt()
    network = LanguageModel(model.config, model.tokenizer.vocab_size)
    network.load_arrays(model.arrays)
    ids = model.tokenizer.encode("my dog has fleas, an").astype(np.int64)
    inputs = torch.from_numpy(np.array([[model.tokenizer.boundary_id, *ids[:-1]]]))
    logits = network.output(network(inputs)[0])
    cross_entropy(logits[0], torch.from_numpy(ids)).backward()
    moves = [
        (tensor.grad.numpy().reshape(len(tensor), -1) * model.dynamic_rates[name][:, None]).ravel()
        for name, tensor in network.tensors().items()
    ]
    size = np.sqrt(np.square(np.concatenate(moves)).mean())

    assert dynamic_evaluation.DEFAULT_RATE / 10 < size < 10 * dynamic_evaluation.DEFAULT_RATE


def test_a_trained_model_gains_by_itself(verse_checkpoint):
    static = Model(verse_checkpoint).score(NEW * 3).nats

    assert dynamic_nats(verse_checkpoint, NEW * 3) < 0.9 * static


def test_of_both_directions_each_has_its_own_rates(learnt):
    model = learnt(direction="both")
    for direction in ("forward", "backward"):
        for_direction = model.for_direction(direction)
        assert set(for_direction.dynamic_rates) == set(for_direction.arrays)
        assert dynamic_nats(for_direction, NEW) < Model(for_direction).score(NEW).nats


def test_a_run_that_is_stopped_has_no_rates(corpus_of):
    corpus = corpus_of("my dog has fleas. " * 60)
    plan = make_plan(corpus, ModelConfig(hidden_size=8), TrainingConfig(max_steps=5))
    *_, finished = train(corpus, plan, should_stop=lambda: True)

    assert not finished.best.best.dynamic_rates
    with pytest.raises(ConfigError, match="no learning rates"):
        dynamic_nats(finished.best.best, NEW)


def test_rates_travel_in_the_file(random_checkpoint, tmp_path):
    checkpoint = rated(random_checkpoint(direction="both"), 0.25)
    checkpoint.save(tmp_path / "model")
    loaded = Checkpoint.load(tmp_path / "model")

    assert set(loaded.arrays) == set(checkpoint.arrays)
    assert loaded.weights_sha256 == checkpoint.weights_sha256
    assert all((rates == 0.25).all() for rates in loaded.dynamic_rates.values())


@pytest.mark.parametrize("damage", ["one is missing", "one too long", "none", "negative"])
def test_rates_that_cannot_be_are_refused(random_checkpoint, tmp_path, damage):
    checkpoint = rated(random_checkpoint(), 0.25)
    rates = dict(checkpoint.dynamic_rates)
    match damage:
        case "one is missing":
            del rates["output.bias"]
        case "one too long":
            rates["output.bias"] = np.ones(10_000, np.float32)
        case "none":
            rates["output.bias"] = np.zeros_like(rates["output.bias"])
        case "negative":
            rates["output.bias"] = -rates["output.bias"]
    replace(checkpoint, dynamic_rates=rates).save(tmp_path / "model")
    with pytest.raises(CheckpointError, match="is damaged: "):
        Checkpoint.load(tmp_path / "model")


def test_weights_that_are_far_worse_than_a_guess_are_left(verse_checkpoint, monkeypatch):
    """Steps that are far too large do no lasting harm in a text that does not repeat itself."""
    letters = np.random.default_rng(0).choice(list("the cat sat on the mat"), 1500)
    checkpoint, text = rated(replace(verse_checkpoint, ngrams={}), 10.0), "".join(letters)
    restored = dynamic_nats(checkpoint, text)
    monkeypatch.setattr("charlm.training.dynamic_evaluation._Adaptive._restore", lambda self: None)

    assert restored < 0.8 * dynamic_nats(checkpoint, text)


def test_a_network_with_an_encoder_is_refused(random_checkpoint):
    checkpoint = random_checkpoint(task="pairs", encoder="attention", hidden_size=8)

    with pytest.raises(ConfigError, match="is for texts and lines, not for pairs"):
        dynamic_nats(checkpoint, "a\tb\n")
