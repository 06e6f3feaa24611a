"""The sample text suits the task of the model."""

from charlm.inference.model import Model
from charlm.training.sample import SAMPLE_LENGTH, sample_text


def test_a_sample_of_running_text_has_a_fixed_length(random_checkpoint):
    text = sample_text(Model(random_checkpoint()), None, rng_seed=1)

    assert len(text) == SAMPLE_LENGTH
    assert sample_text(Model(random_checkpoint()), None, rng_seed=1) == text


def test_a_sample_of_lines_has_several(unigram_model):
    model = unigram_model({"a": 0.9, None: 0.1}, task="lines")
    lines = sample_text(model, None, rng_seed=0).splitlines()

    assert len(lines) > 1
    assert set("".join(lines)) == {"a"}
    assert sum(len(line) + 1 for line in lines) >= SAMPLE_LENGTH // 2


def test_a_sample_of_pairs_is_an_answer_to_the_first_held_out_source(corpus_of, unigram_model):
    corpus = corpus_of("b\ta\n" * 40, task="pairs")
    model = unigram_model({"a": 0.5, "b": 0.25, None: 0.25}, task="pairs")
    source, _, target = sample_text(model, corpus.validation, rng_seed=0).partition("\t")

    assert source == "b"
    assert set(target) <= {"a", "b"}
