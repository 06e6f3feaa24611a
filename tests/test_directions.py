"""What reads from the end is what reads from the beginning, of the mirrored text."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import learn

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.errors import ConfigError
from charlm.inference.model import Model

TEXT = "abcahgfedcabbbaceeg" * 3
EXACT = TrainingConfig(
    max_steps=20, batch_size=4, bptt_length=16, dropout=0.2, precision="fp32", device="cpu"
)


def speaks_letters(checkpoint):
    """Return the model with the 256 bytes, each a token, as good as ruled out."""
    arrays = {
        name: array - 50 * (np.arange(len(array)) < 256) if "output.bias" in name else array
        for name, array in checkpoint.arrays.items()
    }
    return replace(checkpoint, arrays=arrays)


@pytest.fixture
def models(random_checkpoint):
    """Return the same weights as a forward and as a backward model, and a model of both."""

    def build(**more):
        checkpoint = speaks_letters(random_checkpoint(num_layers=2, scale=2.0, **more))
        backward = replace(checkpoint, config=replace(checkpoint.config, direction="backward"))
        both = random_checkpoint(num_layers=2, scale=2.0, direction="both", **more)
        return Model(checkpoint), Model(backward), Model(speaks_letters(both))

    return build


@pytest.mark.parametrize("task", ["text", "lines"])
def test_a_backward_model_scores_a_text_as_a_forward_one_its_mirror(models, task):
    forward, backward, _ = models(task=task)

    assert backward.score(TEXT) == forward.score(TEXT[::-1])
    assert backward.score("abc\ndd\n") == forward.score(
        "dd\ncba\n" if task == "lines" else "\ndd\ncba"
    )
    assert backward.score(TEXT) != forward.score(TEXT)


def test_what_leads_up_is_the_mirror_of_what_goes_on(models):
    forward, backward, _ = models()
    for length in (0, 1, 30):
        spoken = forward.generate("gab", length=length, rng_seed=3)

        assert backward.generate(ending="bag", length=length, rng_seed=3) == spoken[::-1]


@pytest.mark.parametrize("byte", [0x80, 0xC3, 0xF0])
def test_bytes_that_are_no_characters_come_to_an_end(models, byte):
    """A model may say nothing but pieces of characters; each becomes U+FFFD, as ever so many."""
    _, backward, _ = models()
    backward.runtime()._output_bias[byte] = 1000

    assert backward.generate(ending="a", length=9, temperature=0) == "\ufffd" * 9


def test_a_backward_model_speaks_from_the_end_of_a_text(models):
    _, backward, _ = models()

    assert backward.generate(length=20, rng_seed=1) == backward.generate(
        ending="", length=20, rng_seed=1
    )


def test_the_network_of_each_direction_is_a_model_of_its_own(models, random_checkpoint, tmp_path):
    checkpoint = random_checkpoint(num_layers=2, scale=2.0, direction="both")
    checkpoint.save(tmp_path / "both")
    both = Model(Checkpoint.load(tmp_path / "both"))
    for direction in ("forward", "backward"):
        alone = Model(checkpoint.for_direction(direction))

        assert alone.config.direction == direction
        assert both.score(TEXT, direction=direction) == alone.score(TEXT)
    assert both.score(TEXT) == both.score(TEXT, direction="forward")
    assert both.score(TEXT) != both.score(TEXT, direction="backward")


def test_a_direction_that_the_model_lacks_is_refused(models):
    forward, backward, _ = models()
    for ask in (
        lambda: forward.generate(ending="a"),
        lambda: forward.score("a", direction="backward"),
        lambda: forward.pseudo_score("a"),
        lambda: backward.generate("a"),
        lambda: backward.generate("a", ending="b"),
    ):
        with pytest.raises(ConfigError, match="needs a model of direction"):
            ask()


def test_what_goes_between_is_as_long_as_it_should_be(models):
    _, _, both = models()
    for length in (0, 1, 2, 40):
        found = both.generate("ab", ending="ha", length=length, rng_seed=1)

        assert len(found) == length
        assert found == both.generate("ab", ending="ha", length=length, rng_seed=1)


def test_of_the_candidates_the_likeliest_goes_between(models):
    """At temperature 0 each network has one proposal, and the whole text decides."""
    _, _, both = models()

    def joint(between):
        text = f"ab{between}ha"
        return sum(both.score(text, direction=each).nats for each in ("forward", "backward"))

    for length in (1, 2, 9):
        how = {"length": length, "temperature": 0, "rng_seed": 1}
        proposals = both.generate("ab", **how), both.generate(ending="ha", **how)

        assert joint(both.generate("ab", ending="ha", **how)) <= min(map(joint, proposals))


def test_lines_are_completed_between_their_ends(models):
    _, _, both = models(task="lines")
    likeliest = {
        both.generate("ab", ending="h", length=9, temperature=0, rng_seed=number)
        for number in range(5)
    }
    found = {both.generate("ab", ending="h", length=9, rng_seed=number) for number in range(20)}

    assert max(map(len, found)) <= 9
    assert len(found) > 3
    assert len(likeliest) == 1
    assert not any("\n" in text for text in found)


def test_a_line_end_far_off_in_a_seed_or_ending_is_refused(models):
    _, _, both = models(task="lines")
    for seed, ending in (("a\n" + "b" * 2000, "c"), ("c", "b" * 2000 + "\na")):
        with pytest.raises(ConfigError, match="contains a line end"):
            both.generate(seed, ending=ending, length=3)


def items(tmp_path, name, lines):
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return [Document(name, path)]


def test_backward_training_is_forward_training_on_the_mirror(tmp_path):
    """Bit for bit, where the text is one of lines: its mirror is a file of lines, too."""
    lines = ["the cat sat", "on the mat", "and the dog", "a log", "by the mat"] * 8
    mirror = [line[::-1] for line in reversed(lines)]
    found = []
    for direction, content in (("backward", lines), ("forward", mirror)):
        held_out = content[:5] if direction == "backward" else content[-5:]
        corpus = encode_corpus(
            items(tmp_path, "train", content),
            CorpusConfig(task="lines", validation_fraction=1e-3),
            items(tmp_path, "validation", held_out),
        )
        model = ModelConfig(embedding_size=6, hidden_size=10, direction=direction)
        *_, finished = learn(corpus, model, EXACT)
        found.append(finished.best)

    assert found[0].nats == found[1].nats
    assert found[0].best.weights_sha256 == found[1].best.weights_sha256


def test_both_directions_are_learnt_with_one_embedding(corpus_of):
    corpus = corpus_of("the cat sat on the mat, and the dog sat on the log.\n" * 40)
    model = ModelConfig(embedding_size=8, hidden_size=32, direction="both")
    *_, finished = learn(corpus, model, replace(EXACT, max_steps=200, dropout=0.0))
    learnt = Model(finished.best.best)
    text = "the dog sat on the mat"
    for_direction = [learnt.score(text, direction=each).nats for each in ("forward", "backward")]

    # A third of what a model without knowledge takes, and from both sides half of that.
    assert max(for_direction) < len(text) * np.log(24) / 3
    assert learnt.pseudo_score(text).nats < min(for_direction) / 2
    assert [name for name in finished.best.best.arrays if "embedding" in name] == [
        "embedding.weight"
    ]
    alone = Model(replace(finished.best.best, ngrams={}))
    validated = sum(
        alone.score(
            "".join(corpus.tokenizer.decode(corpus.validation.ids[1:-1])), direction=each
        ).nats
        for each in ("forward", "backward")
    )
    assert finished.best.nats == pytest.approx(validated / 2, rel=1e-4)
