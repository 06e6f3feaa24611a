"""Lines and pairs: padding changes nothing, and the textbook's arrangements are really learnt."""

import random

import numpy as np
import pytest
import torch

from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.corpus.windows import Windows
from charlm.inference.model import Model
from charlm.training.loop import train
from charlm.training.plan import make_plan
from charlm.training.trainer import Learner

EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}


@pytest.fixture
def examples_of(tmp_path):
    def build(lines, task, **more):
        path = tmp_path / "items.tsv"
        path.write_text("".join(f"{line}\n" for line in lines))
        config = CorpusConfig(task=task, **more)
        return encode_corpus([Document("items.tsv", path)], config)

    return build


def learner_of(corpus, task, **given):
    model = ModelConfig(embedding_size=6, hidden_size=10, task=task)
    config = TrainingConfig(**EXACT, batch_size=4, bptt_length=16, **given)
    return Learner(corpus, model, config, device=torch.device("cpu"), precision=torch.float32)


LINES = ["a", "bb cc", "", "some longer line", "ab" * 20, "b", "the end"] * 6
PAIRS = [f"{line}\t{line[::-1]}" for line in LINES if line]


@pytest.mark.parametrize(("task", "lines"), [("lines", LINES), ("pairs", PAIRS)])
def test_a_padded_batch_has_the_gradient_of_its_items_one_by_one(examples_of, task, lines):
    corpus = examples_of(lines, task)
    learner = learner_of(corpus, task)
    [network], text = learner.networks, corpus.train
    boundary_id = corpus.tokenizer.boundary_id
    windows = Windows.for_scoring(task, text.ids, text.boundaries, boundary_id)

    def gradient(*chosen):
        """Return the gradient of the summed loss over some items, read side by side."""
        network.zero_grad()
        window = windows.select(np.array(chosen)).as_batch(1000)
        logits, _ = network(torch.from_numpy(window.inputs))
        counts = torch.from_numpy(window.is_scored)
        torch.nn.functional.cross_entropy(
            logits[counts], torch.from_numpy(window.targets)[counts], reduction="sum"
        ).backward()
        return torch.cat([t.grad.flatten() for t in network.parameters() if t.grad is not None])

    together = gradient(0, 1, 2, 3, 4)
    one_by_one = sum(gradient(number) for number in range(5))

    assert float(together.norm()) > 1
    assert torch.allclose(together, one_by_one, atol=1e-4)


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
    model = Model(finished.best.best)
    kept = [line for line in lines if line]
    held_out = [line for number, line in enumerate(kept) if number % 2]
    scores = [model.score(line + "\n") for line in held_out]

    assert finished.best.nats == pytest.approx(sum(score.nats for score in scores), rel=1e-4)
    assert model.score("\n".join(held_out)).nats == pytest.approx(finished.best.nats, rel=1e-4)
    assert sum(score.characters for score in scores) == corpus.validation.characters
    assert sum(score.tokens for score in scores) == corpus.validation.predictions


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
