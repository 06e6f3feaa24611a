"""The number of steps is estimated, and their throughput is measured."""

from charlm.config import ModelConfig, TrainingConfig
from charlm.training.plan import make_plan

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def test_time_does_not_read_a_text_more_than_forty_times(corpus_of):
    corpus = corpus_of("x" * 1000)
    of_time = make_plan(corpus, SMALL, settings(max_time=1000))

    assert of_time.most_steps == of_time.steps == round(40 * 901 / 64)
    assert make_plan(corpus, SMALL, settings(max_epochs=41)).steps == round(41 * 901 / 64)
    assert make_plan(corpus, SMALL, settings(max_steps=5000)).steps == 5000
