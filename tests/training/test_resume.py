"""A run that was stopped goes on as if it had never stopped, to the last bit."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.errors import CheckpointError
from charlm.training import loop, trainer
from charlm.training.events import Progress, Validation
from charlm.training.loop import train
from charlm.training.loss import LARGEST_SOFTMAX
from charlm.training.plan import make_plan, resume_plan
from charlm.training.state import TrainingState
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.repetitive

NETWORKS = {"last.output.weight", "best.output.weight"}
SMALL = ModelConfig(embedding_size=6, hidden_size=10)
SENTENCE = "my dog has fleas, and 7 cats know about it."
LINES = "".join(f"{word}{n}\n" for n in range(40) for word in ("Anna", "Bob ", "Ferry "))
PAIRS = "".join(f"{n}\t{n + n}\n" for n in range(120))
STEPS = 60
STOPS = (1, 7, 10, 25, 59)  # before, at and after reports and validations
NOT_REPEATED = ("seconds", "characters_per_second", "best", "sample")


def settings(**given):
    exact = {"precision": "fp32", "device": "cpu", "dropout": 0.2, "max_steps": STEPS}
    return TrainingConfig(**{**exact, "batch_size": 4, "bptt_length": 16, **given})


def told(event):
    """Return what the metrics say of an event, but for the clock."""
    return {name: value for name, value in asdict(event).items() if name not in NOT_REPEATED}


@pytest.fixture
def clock(monkeypatch):
    """The number of steps that have been taken, of whatever run."""
    taken, step = [0], Trainer.step

    def counted(self, number, learning_rate):
        taken[0] = number + 1
        return step(self, number, learning_rate)

    monkeypatch.setattr(Trainer, "step", counted)
    return taken


@pytest.fixture
def encode(tmp_path):
    """Encode a text, each time into files of its own."""

    def build(text, **config):
        path = tmp_path / "corpus.txt"
        path.write_bytes(text.encode())
        documents, wanted = [Document("corpus.txt", path)], CorpusConfig(**config)
        return lambda tokenizer: encode_corpus(documents, wanted, tokenizer=tokenizer)

    return build


def follow(events):
    """Return what is told until the run's last state, and how it ended."""
    events = list(events)
    states = [place for place, event in enumerate(events) if isinstance(event, TrainingState)]
    finished = events[-1]
    if finished.state is None:  # what is told after the last state is not the run's
        events = events[: states[-1]]
    record = [told(event) for event in events if isinstance(event, Progress | Validation)]
    return record, finished


def straight(encode, model, config, **more):
    """Run without a stop."""
    corpus = encode(None)
    return follow(train(corpus, make_plan(corpus, model, config), save_every=math.inf, **more))


def in_pieces(encode, model, config, clock, path, stops=STOPS, change=lambda state: state, **more):
    """Stop after each of `stops`, go through a file, and on with another encoding of the text."""
    corpus, record, state = encode(None), [], None
    plan = make_plan(corpus, model, config)
    for stop in (*stops, math.inf):
        clock[0] = 0
        events = list(
            train(
                corpus, plan, state=state, save_every=math.inf,
                should_stop=lambda stop=stop: clock[0] >= stop, **more,
            )
        )  # fmt: skip
        some, finished = follow(events)
        record += some
        if stop == math.inf:
            return record, finished
        assert (finished.ending, finished.step) == ("stopped", stop)
        more = {}
        [*_, last] = [event for event in events if isinstance(event, TrainingState)]
        last.save(path)
        state = change(TrainingState.load(path))
        corpus = encode(state.last.tokenizer)
        plan = resume_plan(corpus, state)


def same(one, other):
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )


def assert_alike(straight, resumed):
    """All that was told, the best model, the last one, and what the optimizer remembers."""
    (record, end), (other_record, other_end) = straight, resumed
    one, other = end.state, other_end.state

    assert record == other_record
    assert end.best.step == other_end.best.step
    assert same(end.best.best.arrays, other_end.best.best.arrays)
    assert same(end.best.best.dynamic_rates, other_end.best.best.dynamic_rates)
    assert same(one.last.arrays, other.last.arrays)
    assert same(one.optimizer_state, other.optimizer_state)
    assert same(one.recurrent_state, other.recurrent_state)
    assert one.gradient_norms.tobytes() == other.gradient_norms.tobytes()
    assert end.median_gradient_norm == other_end.median_gradient_norm


LABELS = "".join(f"{n}\t{'odd' if n % 2 else 'even'}\n" for n in range(120))
TAGS = "".join(f"the\tDET\ncat{n}\tNOUN\n\n" for n in range(120))
TEXT = {
    "text": SENTENCE * 30, "lines": LINES, "pairs": PAIRS, "labels": LABELS, "tags": TAGS,
}  # fmt: skip
# What reads the sources of pairs, by the tokenizer.
ENCODERS = {"char": "attention", "byte": "context", "word": "attention", "bpe": "none"}


# Every task meets every value of the other settings. So does every tokenizer with every cell, and
# every direction with every cell and every optimizer.
RUNS = [
    ("text", "char", "lstm", "adamw", "forward"),
    ("text", "byte", "lstm", "sgd", "backward"),
    ("text", "word", "rnn", "adam", "both"),
    ("text", "bpe", "lstm", "rmsprop", "backward"),
    ("text", "unigram", "gru", "adamw", "backward"),
    ("lines", "char", "gru", "sgd", "forward"),
    ("lines", "byte", "rnn", "adam", "backward"),
    ("lines", "word", "lstm", "adamw", "both"),
    ("lines", "bpe", "gru", "sgd", "both"),
    ("lines", "unigram", "rnn", "rmsprop", "both"),
    ("pairs", "char", "rnn", "sgd", "forward"),
    ("pairs", "byte", "gru", "sgd", "forward"),
    ("pairs", "word", "gru", "rmsprop", "forward"),
    ("pairs", "bpe", "rnn", "adamw", "forward"),
    ("pairs", "unigram", "lstm", "adam", "forward"),
    ("labels", "char", "lstm", "adamw", "forward"),
    ("labels", "word", "rnn", "sgd", "forward"),
    ("tags", "char", "gru", "rmsprop", "forward"),
    ("tags", "byte", "lstm", "adamw", "forward"),
]


@pytest.mark.parametrize(("task", "tokenizer", "cell", "optimizer", "direction"), RUNS)
def test_a_run_in_pieces_is_the_run(
    task, tokenizer, cell, optimizer, direction, encode, clock, tmp_path
):
    model = ModelConfig(
        embedding_size=6,
        hidden_size=12,
        num_layers=2,
        residual=tokenizer in ("char", "bpe") and task not in ("labels", "tags"),
        cell=cell,
        task=task,
        encoder=ENCODERS.get(tokenizer, "attention") if task == "pairs" else "none",
        tie_weights=task == "pairs" and tokenizer in ("char", "unigram"),
        direction=direction,
    )
    corpus = encode(TEXT[task], tokenizer=tokenizer, task=task)
    config, path = settings(optimizer=optimizer), tmp_path / "state"

    assert_alike(straight(corpus, model, config), in_pieces(corpus, model, config, clock, path))


def test_whatever_is_drawn_of_a_large_vocabulary(encode, clock, tmp_path):
    model = ModelConfig(embedding_size=6, hidden_size=10, tie_weights=True)
    words = " ".join(f"w{n % 3500}" for n in range(9000))
    corpus = encode(words, tokenizer="word")
    path = tmp_path / "state"
    assert corpus(None).tokenizer.vocab_size > LARGEST_SOFTMAX

    assert_alike(
        straight(corpus, model, settings()), in_pieces(corpus, model, settings(), clock, path)
    )


def test_whatever_it_went_on_from(encode, clock, tmp_path, verse_checkpoint):
    corpus = encode(SENTENCE * 30)
    start = {"start": verse_checkpoint}

    def known(_):
        return corpus(verse_checkpoint.tokenizer)

    path = tmp_path / "state"
    one = straight(known, verse_checkpoint.config, settings(), **start)
    other = in_pieces(known, verse_checkpoint.config, settings(), clock, path, **start)

    assert_alike(one, other)
    assert other[1].best.best.provenance["from"] == one[1].best.best.provenance["from"]


def test_a_run_that_ends_because_nothing_improves_ends_there_in_pieces(encode, clock, tmp_path):
    corpus = encode("".join(np.random.default_rng(0).permutation([*"abcdefgh"] * 90)))
    config, path = settings(max_steps=500, learning_rate=0.05), tmp_path / "state"
    one = straight(corpus, SMALL, config)
    end = one[1].step
    other = in_pieces(corpus, SMALL, config, clock, path, (15, 100, end - 1))

    assert one[1].ending == other[1].ending == "no improvement"
    assert one[1].step == other[1].step
    assert_alike(one, other)


def test_a_run_that_is_stopped_after_its_early_end_is_over_when_it_is_resumed(
    encode, tmp_path, monkeypatch
):
    """The stop comes while the rates of dynamic evaluation are fitted."""
    corpus = encode("".join(np.random.default_rng(0).permutation([*"abcdefgh"] * 90)))
    config, path, fitted = settings(max_steps=500, learning_rate=0.05), tmp_path / "state", []
    record, end = straight(corpus, SMALL, config)

    def stop_here(checkpoint, *arguments, **options):
        fitted.append(1)
        return checkpoint

    encoded = corpus(None)
    plan = make_plan(encoded, SMALL, config)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "with_dynamic_rates", stop_here)
        events = list(train(encoded, plan, save_every=math.inf, should_stop=lambda: bool(fitted)))
    stopped = follow(events)
    [*_, state] = [event for event in events if isinstance(event, TrainingState)]
    state.save(path)
    state = TrainingState.load(path)
    resumed = follow(train(encoded, resume_plan(encoded, state), state=state, save_every=math.inf))

    assert end.ending == "no improvement"
    assert stopped[1].ending == "stopped"
    assert_alike((record, end), (stopped[0] + resumed[0], resumed[1]))
    assert (resumed[1].ending, resumed[1].step) == (end.ending, end.step)


def without_optimizer_state(state):
    return replace(state, optimizer_state={})


def without_recurrent_state(state):
    return replace(state, recurrent_state={})


def without_losses(state):
    return replace(state, losses=np.zeros((2, 0), np.float32))


def without_norms(state):
    return replace(state, gradient_norms=np.zeros(0, np.float32))


def a_step_later(state):
    return replace(state, progress=replace(state.progress, step=state.progress.step + 1))


def without_the_count_of_validations(state):
    return replace(state, progress=replace(state.progress, next_validation=0))


def with_a_weight_that_is_one_bit_larger(state):
    state.last.arrays["output.bias"][0] = np.nextafter(
        state.last.arrays["output.bias"][0], np.float32(np.inf)
    )
    return state


@pytest.mark.parametrize(
    "change",
    [
        without_optimizer_state,
        without_recurrent_state,
        without_losses,
        without_norms,
        a_step_later,
        without_the_count_of_validations,
        with_a_weight_that_is_one_bit_larger,
    ],
)
def test_what_is_left_out_of_the_state_is_missed(change, encode, clock, tmp_path):
    """By what the run comes to, or already by who reads the state that it leaves."""
    corpus, path = encode(SENTENCE * 30), tmp_path / "state"
    one = straight(corpus, SMALL, settings())

    with pytest.raises((AssertionError, CheckpointError)):
        assert_alike(one, in_pieces(corpus, SMALL, settings(), clock, path, (7, 25), change))


@pytest.mark.parametrize("generator", ["torch", "NumPy"])
def test_a_random_generator_that_went_on_by_itself_would_be_missed(
    generator, encode, clock, tmp_path, monkeypatch
):
    """Without the seed of each step, a run in pieces draws what the first piece drew."""
    words = " ".join(f"w{n % 3500}" for n in range(9000))
    corpus, path = encode(words, tokenizer="word"), tmp_path / "state"
    config = settings(dropout=0.2 if generator == "torch" else 0.0)
    make, drawn = np.random.default_rng, np.random.default_rng(0)

    def only_once(seed):
        return drawn if np.ndim(seed) == 1 and len(seed) == 2 else make(seed)

    if generator == "torch":
        seed = torch.manual_seed
        monkeypatch.setattr(torch, "manual_seed", lambda n: seed(n) if n == config.rng_seed else 0)
    else:
        monkeypatch.setattr(trainer.np.random, "default_rng", only_once)
    one = straight(corpus, SMALL, config)
    drawn = make(0)
    other = in_pieces(corpus, SMALL, config, clock, path, (7, 25))

    with pytest.raises(AssertionError):
        assert_alike(one, other)


def test_a_stop_while_the_held_out_text_is_scored_is_no_loss(encode, clock, tmp_path, monkeypatch):
    """Nobody waits for the score; it is made when the run goes on."""
    monkeypatch.setattr(loop, "PATIENCE_WITH_STOP", -1.0)
    corpus, path = encode(SENTENCE * 30), tmp_path / "state"
    one = straight(corpus, SMALL, settings())
    other = in_pieces(corpus, SMALL, settings(), clock, path, (10, 20, 60))

    assert_alike(one, other)
