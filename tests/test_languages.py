"""Of three models, each trained on one language, the best one names the language of a line."""

from pathlib import Path

import pytest
from conftest import learn

from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.inference.model import Model
from charlm.inference.scoring import index_of_best

TEXTS = Path(__file__).parent / "data"
TOKENIZERS = {"english": "char", "german": "byte", "french": "bpe"}
SHORTEST = 40  # characters
TRAINING_LINES = 200
SETTINGS = TrainingConfig(max_steps=60, dropout=0.0, precision="fp32", device="cpu")


def lines_of(language):
    return (TEXTS / f"{language}.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def models(tmp_path):
    """A model of each language, each with its own tokenizer."""

    def train(language):
        path = tmp_path / f"{language}.txt"
        path.write_text("\n".join(lines_of(language)[:TRAINING_LINES]), encoding="utf-8")
        config = CorpusConfig(task="lines", tokenizer=TOKENIZERS[language])
        corpus = encode_corpus([Document(path.name, path)], config)
        model = ModelConfig(embedding_size=64, hidden_size=96, task="lines")
        *_, finished = learn(corpus, model, SETTINGS)
        return Model(finished.best.best)

    return [train(language) for language in TOKENIZERS]


def test_three_models_with_different_tokenizers_recognise_the_language_of_a_line(models):
    unseen = [
        (number, line)
        for number, language in enumerate(TOKENIZERS)
        for line in lines_of(language)[TRAINING_LINES:]
        if len(line) >= SHORTEST
    ]
    scores = [model.score_lines([line for _, line in unseen]) for model in models]

    best = list(map(index_of_best, zip(*scores, strict=True)))
    right = [number == index for (number, _), index in zip(unseen, best, strict=True)]
    assert len(right) == 180
    assert sum(right) / len(right) >= 0.99
