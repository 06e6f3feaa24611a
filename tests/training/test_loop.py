"""Training learns, repeats itself, keeps the best model and stops when it should."""

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from devices import DEVICES

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.inference.model import Model
from charlm.training import run as training_run
from charlm.training import schedule
from charlm.training.events import Finished, Progress, Validation
from charlm.training.loop import train
from charlm.training.plan import make_plan

pytestmark = pytest.mark.repetitive

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."
LINES = ["a", "bb cc", "", "some longer line", "ab" * 20, "b", "the end"] * 6
PAIRS = [f"{line}\t{line[::-1]}" for line in LINES if line]
CELLS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "rnn with tanh": {"cell": "rnn"},
    "rnn with relu": {"cell": "rnn", "nonlinearity": "relu"},
    "residual": {"num_layers": 3, "residual": True},
    "tied": {"tie_weights": True},
}


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def run(corpus, config, model=SMALL, **more):
    return list(train(corpus, make_plan(corpus, model, config), **more))


def same_weights(one, other):
    return all((one.arrays[name] == other.arrays[name]).all() for name in one.arrays)


@pytest.fixture
def examples_of(tmp_path):
    def build(lines, task, **more):
        path = tmp_path / "items.tsv"
        path.write_text("".join(f"{line}\n" for line in lines))
        config = CorpusConfig(task=task, **more)
        return encode_corpus([Document("items.tsv", path)], config)

    return build


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

    network = Model(replace(finished.best.best, ngrams={}))
    assert network.score(text).nats == pytest.approx(finished.best.nats, rel=1e-4)


@pytest.mark.parametrize(("task", "lines"), [("lines", LINES), ("pairs", PAIRS)])
def test_validation_is_the_sum_of_the_items_scored_one_by_one(examples_of, task, lines):
    corpus = examples_of(lines, task, validation_fraction=0.5)
    *_, finished = train(
        corpus,
        make_plan(
            corpus,
            ModelConfig(embedding_size=6, hidden_size=10),
            TrainingConfig(**EXACT, batch_size=4, bptt_length=16, max_steps=30),
        ),
    )
    model = Model(replace(finished.best.best, ngrams={}))
    kept = [line for line in lines if line]
    held_out = [line for number, line in enumerate(kept) if number % 2]
    scores = [model.score(line + "\n") for line in held_out]

    assert finished.best.nats == pytest.approx(sum(score.nats for score in scores), rel=1e-4)
    assert model.score("\n".join(held_out)).nats == pytest.approx(finished.best.nats, rel=1e-4)
    assert sum(score.characters for score in scores) == corpus.validation.characters
    assert sum(score.tokens for score in scores) == corpus.validation.predictions


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


def test_a_run_of_known_steps_does_not_mind_the_time_that_it_might_have(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    *_, one = run(corpus, settings(max_steps=150))
    *_, other = run(corpus, settings(max_steps=150, max_time=1000))

    assert same_weights(one.best.best, other.best.best)


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


def learnt(examples_of, lines, *, task="pairs", steps, hidden_size=48):
    """Return a model that has learnt from some pairs."""
    corpus = examples_of(lines, task)
    config = TrainingConfig(**EXACT, batch_size=16, bptt_length=32, max_steps=steps)
    model = ModelConfig(embedding_size=16, hidden_size=hidden_size)
    *_, finished = train(corpus, make_plan(corpus, model, config))
    return Model(finished.best.best)


def answer(model, source, rng_seed=0, temperature=0.0):
    return model.generate(source, length=40, temperature=temperature, rng_seed=rng_seed)


def test_many_to_one_a_label_is_told(examples_of):
    """Is there an x in the word? Its place is any, so the state must keep it to the end."""
    generator = random.Random(0)

    def word():
        return "".join(generator.choice("abcdex") for _ in range(generator.randint(1, 9)))

    def label(text):
        return "with" if "x" in text else "without"

    model = learnt(
        examples_of, [f"{text}\t{label(text)}" for text in (word() for _ in range(3000))], steps=250
    )
    unseen = [word() for _ in range(200)]
    right = sum(answer(model, text) == label(text) for text in unseen)

    assert right >= 190


def test_one_to_many_a_label_is_told_and_words_come(examples_of):
    """Of each kind many words, none of them with a letter of the other's."""
    generator = random.Random(0)
    letters = {"vowels": "aeiou", "consonants": "bcdfg"}
    lines = [
        f"{kind}\t{''.join(generator.choices(letters[kind], k=generator.randint(2, 6)))}"
        for kind in letters
        for _ in range(600)
    ]
    model = learnt(examples_of, lines, steps=500)
    for kind, alphabet in letters.items():
        words = [answer(model, kind, rng_seed, temperature=0.8) for rng_seed in range(30)]

        assert all(set(word) <= set(alphabet) for word in words)
        assert len(set(words)) > 15
        assert {len(word) for word in words} <= set(range(1, 8))


def test_many_to_many_strings_are_reversed(examples_of):
    """Up to eight letters, read to the end before the first is written."""
    generator = random.Random(0)

    def string():
        return "".join(generator.choices("abcd", k=generator.randint(1, 8)))

    lines = [f"{text}\t{text[::-1]}" for text in (string() for _ in range(6000))]
    model = learnt(examples_of, lines, steps=700, hidden_size=64)
    seen = {line.partition("\t")[0] for line in lines}
    unseen = [text for text in (string() for _ in range(600)) if text not in seen][:200]
    right = sum(answer(model, text) == text[::-1] for text in unseen)

    assert len(unseen) == 200
    assert right / len(unseen) >= 0.9


def test_lines_end_where_lines_end(examples_of):
    model = learnt(examples_of, ["ab", "abab", "ababab"] * 200, task="lines", steps=250)
    lines = [model.generate(rng_seed=rng_seed, temperature=0.5) for rng_seed in range(40)]

    assert set(lines) == {"ab", "abab", "ababab"}
    assert model.generate("aba", temperature=0).startswith("b")
