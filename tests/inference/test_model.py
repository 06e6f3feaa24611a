"""A model generates and scores text that is known beforehand."""

from dataclasses import replace

import numpy as np
import pytest

import charlm
from charlm.errors import ConfigError
from charlm.inference.model import Model


@pytest.fixture
def verse(verse_checkpoint):
    return Model(verse_checkpoint)


def test_greedy_text_is_the_verse(verse):
    assert (
        verse.generate("where did the dog", length=23, temperature=0) == " go? the dog went home."
    )


@pytest.mark.parametrize("length", [0, 1, 57])
def test_the_length_is_exact(verse, length):
    assert len(verse.generate("the", length=length, temperature=2.0, rng_seed=1)) == length


def test_pieces_come_one_by_one(verse):
    stream = verse.stream("the", length=10**12, rng_seed=1)

    assert len("".join(next(stream) for _ in range(20))) >= 20


def test_characters_in_bytes_are_never_cut(verse_checkpoint):
    """A model of bytes only that is sure of its text says "é" and never half of it."""
    from charlm.config import ModelConfig
    from charlm.parameters import parameters
    from charlm.tokenizers import ByteTokenizer

    config = ModelConfig(embedding_size=2, hidden_size=2)
    arrays = {p.name: np.zeros(p.shape, np.float32) for p in parameters(config, 256)}
    arrays["output.bias"][[0xC3, 0xA9]] = 50.0  # both as likely, all others impossible
    checkpoint = type(verse_checkpoint)(config=config, tokenizer=ByteTokenizer(), arrays=arrays)
    text = Model(checkpoint).generate(length=200, temperature=1.0, rng_seed=0)

    assert len(text) == 200
    assert set(text) == {"é", "\ufffd"}


def test_the_same_rng_seed_gives_the_same_text(verse):
    first = verse.generate("the", length=80, temperature=1.5, rng_seed=3)

    assert verse.generate("the", length=80, temperature=1.5, rng_seed=3) == first
    assert verse.generate("the", length=80, temperature=1.5, rng_seed=4) != first


def test_settings_out_of_range_are_refused(verse):
    with pytest.raises(ConfigError, match="temperature"):
        verse.generate(temperature=-1)


def test_a_model_is_loaded_by_path(verse, verse_model_path):
    loaded = charlm.load(verse_model_path)

    assert loaded.generate("the", length=30, rng_seed=1) == verse.generate(
        "the", length=30, rng_seed=1
    )
    assert loaded.provenance["corpus"][0]["name"] == "verse.txt"


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_a_space_or_a_started_word_at_the_end_of_the_seed_goes_on(corpus_of, kind):
    """The token of a word has its space in it, so the space alone leads nowhere."""
    from charlm.config import ModelConfig, TrainingConfig
    from charlm.training.loop import train
    from charlm.training.plan import make_plan

    corpus = corpus_of("the dog saw the cat and the cat saw the dog. " * 60, tokenizer=kind)
    settings = TrainingConfig(
        max_steps=120, batch_size=8, bptt_length=16, dropout=0.0, precision="fp32", device="cpu"
    )
    plan = make_plan(corpus, ModelConfig(embedding_size=16, hidden_size=32), settings)
    *_, finished = train(corpus, plan)
    model = Model(finished.best.best)

    assert model.generate("saw the cat and ", length=4, temperature=0) == "the "
    assert len(model.generate("saw ", length=7, temperature=1.0, rng_seed=0)) == 7
    if kind != "char":
        assert model.generate("the dog sa", length=5, temperature=0) == "w the"
        [(first, _), *_] = model.top_tokens("the dog saw")
        assert first.startswith(" ")  # the next token, not one that the text ends in
        [text] = model.generate_many(["the dog sa"], length=1, is_scored=True, rng_seed=0)
        assert text.nats == pytest.approx(0)  # of what was not given


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_model_keeps_the_checkpoint_of_each_direction(random_checkpoint, direction):
    checkpoint = random_checkpoint(direction="both")
    model = Model(checkpoint)

    assert model.checkpoint is checkpoint
    alone = model.single_direction(direction)
    assert alone.config.direction == direction
    assert model.score("abc", direction=direction) == Model(alone).score("abc")


def test_a_checkpoint_of_a_direction_that_is_missing_is_refused(verse):
    with pytest.raises(ConfigError, match="needs a model of direction backward"):
        verse.single_direction("backward")
    with pytest.raises(ValueError, match="a mixture of models has no checkpoint"):
        verse.mixed(verse).single_direction()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: charlm.load(5), "path must be a str or a PathLike, got int"),
        (lambda model: model.score(b"x"), "text must be a str, got bytes"),
        (lambda model: model.score_tokens(5), "text must be a str, got int"),
        (lambda model: model.score_tokens("x", top_tokens="1"), "top_tokens must be an int, got"),
        (lambda model: model.score_tokens("x", context=5), "context must be a str, got int"),
        (lambda model: model.score_lines("x"), "lines must be several texts, got one str"),
        (lambda model: model.score_lines(5), "lines must be several texts, got int"),
        (lambda model: list(model.score_lines([5])), "an item of lines must be a str, got int"),
        (lambda model: model.pseudo_score(5), "text must be a str, got int"),
        (lambda model: model.share_in_training_text(5), "text must be a str, got int"),
        (lambda model: model.percentile("x"), "bits_per_character must be a number, got str"),
        (lambda model: model.mixed("x"), "other must be a Model, got str"),
        (lambda model: model.mixed(model, "x"), "share must be a number, got str"),
    ],
)
def test_an_argument_of_another_type_is_named(verse, call, message):
    with pytest.raises(TypeError) as caught:
        call(verse)

    assert str(caught.value).startswith(message)


def test_a_model_describes_itself_in_one_line(verse, random_checkpoint):
    assert repr(verse) == (
        "<charlm.Model of running text: LSTM, 1 layer of 48 units, 30.6 k parameters, "
        "22 characters and 256 bytes, trained on verse.txt>"
    )
    assert repr(verse.mixed(verse)) == (
        "<charlm.Model of running text: a mixture of models, 22 characters and 256 bytes, "
        "trained on verse.txt>"
    )
    lines = random_checkpoint(cell="rnn", num_layers=2, task="lines", direction="both")
    assert repr(Model(lines)) == (
        "<charlm.Model of lines: simple RNN with tanh for each direction, 2 layers of 7 units, "
        "5.96 k parameters, 8 characters and 256 bytes>"
    )


@pytest.mark.parametrize(
    ("corpus", "shown"),
    [
        ([{"name": "a\nb"}, {}, {}], ", trained on a↵b and 2 other texts>"),
        ([{"name": "a" * 99}], f", trained on {'a' * 60}>"),
        ([5], "bytes>"),
        ("x", "bytes>"),
        (None, "bytes>"),
    ],
)
def test_a_strange_origin_keeps_the_description_on_one_line(random_checkpoint, corpus, shown):
    checkpoint = replace(random_checkpoint(), provenance={"corpus": corpus})

    assert repr(Model(checkpoint)).endswith(shown)
