"""Training learns, repeats itself, keeps the best and stops when it should."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from devices import DEVICES

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus import batches
from charlm.errors import TrainingError
from charlm.inference.model import Model
from charlm.training import estimate, schedule
from charlm.training import run as training_run
from charlm.training.estimate import Throughput
from charlm.training.events import Finished, Progress, Validation
from charlm.training.loop import train
from charlm.training.loss import Loss
from charlm.training.plan import make_plan
from charlm.training.trainer import Trainer

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def run(corpus, config, model=SMALL, **more):
    return list(train(corpus, make_plan(corpus, model, config), **more))


def same_weights(one, other):
    return all((one.arrays[name] == other.arrays[name]).all() for name in one.arrays)


def test_a_short_text_can_be_memorised(corpus_of):
    corpus = corpus_of(SENTENCE * 4, validation_fraction=0.25)
    *_, finished = run(corpus, settings(max_steps=600, weight_decay=0.01))

    # The first character after a cold start cannot be known: some 4 bits over 43 characters.
    assert finished.best.bits_per_character < 0.3
    assert (
        Model(finished.best.best).generate(SENTENCE[:6], length=37, temperature=0) == SENTENCE[6:]
    )


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer_learns_at_its_default_rate(corpus_of, optimizer):
    corpus = corpus_of(SENTENCE * 20)
    *_, finished = run(corpus, settings(max_steps=250, optimizer=optimizer))

    assert finished.best.bits_per_character < 2.0  # log2 of 24 different characters is 4.6


def test_events_come_in_order_and_the_last_is_the_end(corpus_of):
    events = run(corpus_of(SENTENCE * 20), settings(max_steps=100))

    assert [event.step for event in events if isinstance(event, Progress)] == [*range(10, 101, 10)]
    validated = [event.step for event in events if isinstance(event, Validation)]
    assert validated[:3] == [10, 20, 30]  # eight times as much text as is validated
    assert all(after - before >= before // 10 for before, after in pairwise(validated[:-1]))
    assert validated[-1] == 100
    assert [type(event) for event in events[-2:]] == [Validation, Finished]
    assert events[-1].ending == "complete"


def test_the_best_is_the_lowest_and_is_kept(corpus_of):
    *events, finished = run(corpus_of(SENTENCE * 20), settings(max_steps=100))
    validations = [event for event in events if isinstance(event, Validation)]

    assert finished.best.nats == min(event.nats for event in validations)
    assert isinstance(finished.best.best, Checkpoint)
    best = math.inf
    for event in validations:
        assert (event.best is not None) == (event.nats < best)
        best = min(best, event.nats)


def test_the_reported_score_is_that_of_the_kept_model(corpus_of):
    corpus = corpus_of((SENTENCE + "\n") * 40)
    *_, finished = run(corpus, settings(max_steps=60))
    text = corpus.tokenizer.decode(corpus.validation.ids[1:-1])

    assert Model(finished.best.best).score(text).nats == pytest.approx(finished.best.nats, rel=1e-4)


def test_training_twice_gives_the_same_weights(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    config = settings(max_steps=40, dropout=0.3)
    (*_, one), (*_, other) = run(corpus, config), run(corpus, config)

    assert same_weights(one.best.best, other.best.best)


def test_another_rng_seed_gives_other_weights(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    *_, one = run(corpus, settings(max_steps=20))
    *_, other = run(corpus, settings(max_steps=20, rng_seed=1))

    assert not same_weights(one.best.best, other.best.best)


def test_a_timed_run_is_the_run_of_as_many_steps(corpus_of, monkeypatch):
    monkeypatch.setattr(training_run, "PATIENCE", math.inf)
    for name in ("FASTER", "LATEST"):  # should the machine change its pace meanwhile
        monkeypatch.setattr(schedule, name, math.inf)
    monkeypatch.setattr(schedule, "SLOWER", -math.inf)
    corpus = corpus_of(SENTENCE * 20)
    *_, one = run(corpus, settings(max_time=3))
    *_, other = run(corpus, settings(max_steps=one.step))

    assert one.ending == "complete"
    assert one.step == other.step
    assert same_weights(one.best.best, other.best.best)


def test_epochs_become_steps(corpus_of):
    corpus = corpus_of("x" * 1000, validation_fraction=0.04)

    assert corpus.train.tokens == 960 + 1
    assert make_plan(corpus, SMALL, settings(max_epochs=2)).steps == 2 * 960 / 64
    assert make_plan(corpus, SMALL, settings(max_epochs=0.001)).steps == 1


def test_whichever_budget_ends_first_counts(corpus_of):
    corpus = corpus_of("x" * 1000)

    assert make_plan(corpus, SMALL, settings(max_epochs=2, max_steps=7)).steps == 7
    assert make_plan(corpus, SMALL, settings(max_time=1000, max_steps=7)).steps == 7


@pytest.mark.parametrize(
    ("epochs", "dropout"), [(11, 0.0), (12, 0.2), (85, 0.2), (86, 0.3), (850, 0.3), (855, 0.5)]
)
def test_the_oftener_a_text_is_read_the_more_dropout_it_takes(corpus_of, epochs, dropout):
    """4 · 24 · (8 + 24 + 1) weights for 9,001 tokens are 0.352; thresholds are 4, 30 and 300."""
    corpus = corpus_of("x" * 10_000)
    free = settings(max_epochs=epochs, dropout=None)
    plan = make_plan(corpus, SMALL, free)
    given = make_plan(corpus, SMALL, replace(free, dropout=0.1))

    assert plan.config.dropout == dropout
    assert plan.reasons[-1] == (
        f"dropout {dropout:g} for a text that is read {round(plan.epochs)} times by 3.17 k "
        "recurrent weights"
    )
    assert given.config.dropout == 0.1
    assert given.reasons == plan.reasons[:-1]


@pytest.mark.parametrize(
    ("steps", "size"), [(634, 256), (635, 384), (1953, 384), (1954, 512), (10**6, 512)]
)
def test_the_longer_a_run_the_larger_its_network(corpus_of, steps, size):
    """2,048 tokens a step make 1,300,000 in 634.8 steps, 4,000,000 in 1,953.1."""
    corpus = corpus_of("x" * 1_000_000)
    config = TrainingConfig(max_steps=steps)
    plan = make_plan(corpus, ModelConfig(), config, may_resize=True)

    assert plan.model.hidden_size == size
    assert plan.reasons[0].startswith(f"{size} units, where 512 would read ")
    assert make_plan(corpus, SMALL, config).model.hidden_size == 24


@pytest.mark.parametrize(("steps", "size"), [(488, 256), (489, 512)])
def test_a_short_text_takes_a_large_network_unless_there_is_little_time(corpus_of, steps, size):
    """A million tokens are 488.3 steps, 11 epochs; 1.18 million weights then want dropout 0.3."""
    plan = make_plan(
        corpus_of("x" * 100_000), ModelConfig(), TrainingConfig(max_steps=steps), may_resize=True
    )

    assert plan.model.hidden_size == size


def test_time_does_not_read_a_text_more_than_forty_times(corpus_of):
    corpus = corpus_of("x" * 1000)
    of_time = make_plan(corpus, SMALL, settings(max_time=1000))

    assert of_time.most_steps == of_time.steps == round(40 * 901 / 64)
    assert make_plan(corpus, SMALL, settings(max_epochs=41)).steps == round(41 * 901 / 64)
    assert make_plan(corpus, SMALL, settings(max_steps=5000)).steps == 5000


@pytest.mark.parametrize(
    ("network", "streams", "optimizer", "rate"),
    [
        ({}, 32, "adamw", 15e-3),
        ({}, 128, "adamw", 15e-3),
        ({}, 8, "adamw", 7.5e-3),
        ({"cell": "gru"}, 2, "adam", 3.75e-3),
        ({}, 8, "sgd", 2.0),
        ({"cell": "rnn"}, 32, "adamw", 3.75e-3),
        ({"cell": "rnn", "nonlinearity": "relu"}, 32, "adamw", 15e-3),
    ],
)
def test_the_learning_rate_suits_network_and_batch(corpus_of, network, streams, optimizer, rate):
    corpus = corpus_of("x" * 5000)
    config = settings(max_steps=1, batch_size=streams, optimizer=optimizer)
    free, given = (
        make_plan(corpus, ModelConfig(**network), replace(config, learning_rate=given))
        for given in (None, 0.1)
    )

    assert free.config.peak_learning_rate == pytest.approx(rate)
    is_told = any(
        reason.startswith(f"learning rate {rate:g} for {streams} ") for reason in free.reasons
    )
    assert is_told == (rate != config.peak_learning_rate)
    assert given.config.peak_learning_rate == 0.1


def test_a_short_run_reads_short_windows(corpus_of, monkeypatch):
    """At 0.1 s a step of 2,048 tokens, 10 s hold 0.2 million less planning, 130 s 2.5 million."""
    monkeypatch.setattr(estimate, "_measure", lambda *_: Throughput(step=0.1, validation=0.0))
    corpus = corpus_of("x" * 100_000)

    def window(**given):
        return make_plan(corpus, SMALL, TrainingConfig(**given)).config.bptt_length

    short = make_plan(corpus, SMALL, TrainingConfig(max_time=10))
    assert (short.config.bptt_length, short.tokens_per_step) == (32, 32 * 32)
    assert "windows of 32 tokens for a short run" in short.reasons
    assert window(max_time=130) == 64
    assert window(max_time=10, bptt_length=48) == 48
    assert window(max_steps=10) == window(max_steps=10, max_time=10) == 64


def test_without_a_budget_there_are_five_minutes(corpus_of):
    plan = make_plan(corpus_of("x" * 1000), SMALL, settings())

    assert plan.config.max_time == 300
    assert 270 < plan.seconds < 300


def test_a_batch_is_made_to_fit_a_short_text(corpus_of):
    plan = make_plan(corpus_of("x" * 100), SMALL, settings(max_steps=1, batch_size=64))

    assert plan.config.batch_size == 90 // 16
    assert "5 streams side by side for a short text" in plan.reasons
    assert plan.config.peak_learning_rate == 15e-3  # they are the whole text


def test_training_stops_early_when_validation_no_longer_improves(corpus_of, monkeypatch):
    monkeypatch.setattr(training_run, "PATIENCE", 2)
    corpus = corpus_of("abcdefghij" * 30 + "zyxwvutsrq" * 3)  # what is held out is never learnt
    *events, finished = run(corpus, settings(max_steps=2000))
    validations = [event for event in events if isinstance(event, Validation)]

    assert finished.ending == "no improvement"
    assert finished.step < 2000
    assert [event.best is None for event in validations[-2:]] == [True, True]


def test_a_run_that_is_asked_to_stop_keeps_what_it_has(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    steps = []
    *_, validation, finished = (
        steps.append(event.step) or event
        for event in train(
            corpus,
            make_plan(corpus, SMALL, settings(max_steps=1000)),
            should_stop=lambda: steps[-1:] == [20],
        )
    )

    assert (finished.ending, finished.step) == ("stopped", 20)
    assert validation.step == 20
    assert finished.best.best is not None


def test_a_run_that_is_stopped_at_once_has_a_model_all_the_same(corpus_of):
    *_, finished = run(corpus_of(SENTENCE * 20), settings(max_steps=1000), should_stop=lambda: True)

    assert finished.step == 0
    assert Model(finished.best.best).generate(length=5, rng_seed=0)


def test_a_run_of_known_steps_does_not_mind_the_time_that_it_might_have(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    *_, one = run(corpus, settings(max_steps=150))
    *_, other = run(corpus, settings(max_steps=150, max_time=1000))

    assert same_weights(one.best.best, other.best.best)


def test_a_gradient_that_is_no_number_is_divergence_though_the_loss_is_one(corpus_of, monkeypatch):
    clip = Trainer._clip
    monkeypatch.setattr(Trainer, "_clip", lambda self: clip(self) * math.inf)

    with pytest.raises(TrainingError, match="the gradient at step 1 is inf: training has diverged"):
        run(corpus_of(SENTENCE * 20), settings(max_steps=20))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_timed_runs_end(corpus_of, steps):
    *_, finished = run(corpus_of(SENTENCE * 20), settings(max_steps=steps, max_time=1000))

    assert (finished.ending, finished.step) == ("complete", steps)


def test_a_run_that_turns_out_too_slow_ends(corpus_of, monkeypatch):
    corpus = corpus_of(SENTENCE * 20)
    plan = make_plan(corpus, SMALL, settings(max_time=1.0))
    monkeypatch.setattr(schedule, "LATEST", 0.0)
    *_, finished = train(corpus, plan)

    assert (finished.ending, finished.step) == ("time is up", 0)


def test_divergence_is_an_error_that_names_the_step_and_the_cure(corpus_of):
    config = settings(max_steps=200, optimizer="sgd", learning_rate=1e38, max_gradient_norm=1e38)
    with pytest.raises(TrainingError, match="diverged") as caught:
        run(corpus_of(SENTENCE * 20), config)

    assert caught.value.hint == "lower --learning-rate (1e+38)"


def learner(corpus, **given):
    return Trainer(
        corpus, SMALL, settings(**given), device=torch.device("cpu"), precision=torch.float32
    )


def test_validation_predicts_every_token_once(corpus_of):
    corpus = corpus_of(SENTENCE * 500)
    fresh = learner(corpus)
    with torch.no_grad():
        for tensor in fresh.networks.parameters():
            tensor.zero_()
    tokens = corpus.validation.predictions

    assert tokens > 2000
    assert fresh.validate() == pytest.approx(
        tokens * math.log(corpus.tokenizer.vocab_size), rel=1e-6
    )


def test_streams_carry_their_state_inside_a_segment(corpus_of, monkeypatch):
    monkeypatch.setattr(batches, "STREAM_SEGMENT", 64)
    corpus = corpus_of(SENTENCE * 20)
    reader = learner(corpus, batch_size=4)._readers[0]
    generator = np.random.default_rng(0)
    for step in range(8):  # windows of 16, so that each stream begins at a window of its own
        window = reader.batch(step)
        inputs = torch.from_numpy(window.inputs)
        state = reader._carried_state(inputs)
        begins = [(step + stream) % 4 == 0 or step == 0 for stream in range(4)]
        assert (inputs[:, 0] == corpus.tokenizer.boundary_id).tolist() == begins
        if state is not None:
            [(hidden, cell)] = state
            assert (hidden[0] == 0).all(dim=1).tolist() == begins
            assert (cell[0] == 0).all(dim=1).tolist() == begins
        reader.loss(window, Loss(corpus.train.token_counts[:-1]), generator)


def test_the_gradient_is_clipped(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    tight = learner(corpus, max_gradient_norm=1e-3)
    _, norm = tight.step(0, 0.0)
    clipped = math.sqrt(
        sum(float(t.grad.square().sum()) for t in tight.networks.parameters() if t.grad is not None)
    )

    assert float(norm) > 1e-2
    assert clipped == pytest.approx(1e-3, rel=1e-3)


def test_bfloat16_learns_as_float32_does(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    scores = [
        run(corpus, settings(max_steps=150, precision=precision))[-1].best.bits_per_character
        for precision in ("fp32", "bf16")
    ]

    assert scores[1] == pytest.approx(scores[0], abs=0.1)


@pytest.mark.parametrize("device", DEVICES[1:], ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_another_device_learns_as_the_processor_does(corpus_of, device, cell):
    """To the rounding of its products; its model is read, and says what its validation said."""
    corpus = corpus_of(SENTENCE * 20)
    model = replace(SMALL, cell=cell)
    ends = [
        run(corpus, settings(max_steps=60, precision="fp32", device=each), model=model)[-1]
        for each in ("cpu", device.type)
    ]
    nats = [Model(end.best.best).score(SENTENCE).nats_per_token for end in ends]

    assert ends[1].best.nats_per_character == pytest.approx(
        ends[0].best.nats_per_character, abs=0.01
    )
    assert nats[1] == pytest.approx(nats[0], abs=0.02)


def test_provenance_tells_where_a_model_comes_from(corpus_of):
    *_, finished = run(corpus_of(SENTENCE * 20), settings(max_steps=30))
    provenance = finished.best.best.provenance

    assert provenance["corpus"][0]["characters"] == len(SENTENCE) * 20
    assert provenance["steps"] == finished.best.step
    assert provenance["validation"]["bits_per_character"] == finished.best.bits_per_character
    assert provenance["training"]["learning_rate"] == 5.3e-3  # 15e-3 · √(4 / 32)


def test_the_random_numbers_of_a_step_come_from_the_step(corpus_of):
    """The random numbers of a step come from the step, so nothing before can move them."""
    corpus = corpus_of(SENTENCE * 20)
    one, other = learner(corpus, dropout=0.5), learner(corpus, dropout=0.5)
    torch.rand(17)
    first, _ = one.step(0, 0.0)
    np.random.default_rng().random(5)
    torch.rand(3)
    second, _ = other.step(0, 0.0)

    assert torch.equal(first, second)


CELLS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "rnn with tanh": {"cell": "rnn"},
    "rnn with relu": {"cell": "rnn", "nonlinearity": "relu"},
    "residual": {"num_layers": 3, "residual": True},
    "tied": {"tie_weights": True},
}


@pytest.mark.parametrize("network", CELLS.values(), ids=CELLS)
def test_every_network_learns_and_speaks(corpus_of, network):
    model = ModelConfig(embedding_size=8, hidden_size=24, **network)
    *_, finished = run(corpus_of(SENTENCE * 20), settings(max_steps=300), model=model)

    assert finished.best.bits_per_character < 2.0  # log2 of 24 different characters is 4.6
    assert Model(finished.best.best).score(SENTENCE).bits_per_character < 2.5


def test_the_classical_example_goes_on_as_it_must(corpus_of):
    """Three sentences, a word-level simple RNN, "This is", five words, the likeliest each time."""
    text = (
        "This is the first sentence. And this is the second one. "
        "Finally, here is the third sentence.\n"
    )
    corpus = corpus_of(text * 20, tokenizer="word")
    model = ModelConfig(embedding_size=16, hidden_size=32, cell="rnn")
    *_, finished = run(corpus, settings(max_steps=200, bptt_length=24), model=model)
    spoken = Model(finished.best.best).generate(
        "This is", length=len(" the first sentence."), temperature=0
    )

    assert spoken == " the first sentence."


def test_clipped_gradients_are_counted(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    for norm, share in ((1e-3, 1.0), (1e9, 0.0)):
        *events, finished = run(corpus, settings(max_steps=30, max_gradient_norm=norm))

        assert finished.clipped_share == share
        assert finished.median_gradient_norm > 1e-3
        assert {event.clipped_share for event in events if isinstance(event, Progress)} == {share}
