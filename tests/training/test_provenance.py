"""A model records where it comes from."""

from charlm.config import ModelConfig, TrainingConfig
from charlm.training.loop import train
from charlm.training.plan import make_plan

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def run(corpus, config, model=SMALL, **more):
    return list(train(corpus, make_plan(corpus, model, config), **more))


def test_provenance_tells_where_a_model_comes_from(corpus_of):
    *_, finished = run(corpus_of(SENTENCE * 20), settings(max_steps=30))
    provenance = finished.best.best.provenance

    assert provenance["corpus"][0]["characters"] == len(SENTENCE) * 20
    assert provenance["steps"] == finished.best.step
    assert provenance["validation"]["bits_per_character"] == finished.best.bits_per_character
    assert provenance["training"]["learning_rate"] == 5.3e-3  # 15e-3 · √(4 / 32)
