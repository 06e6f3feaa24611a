"""The four arrangements of the textbook, each on a task that cannot be solved without it.

N-to-M   reverse 30 letters: the context vector alone cannot hold them, attention can
N-to-N   the tag of a token depends on the next token, which a forward network has not read
N-to-1   the label is decided by the first token, with 60 more after it
1-to-N   one word stands for a text of twelve letters
"""

import random

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.inference.answers import AnswerScore, answers_of
from charlm.inference.class_scores import ClassScore
from charlm.inference.classification import evaluate
from charlm.inference.model import Model

LETTERS = "abcdefgh"
LENGTH = 30  # of a word that is reversed


def words(count, length, rng_seed):
    generator = random.Random(rng_seed)
    return ["".join(generator.choices(LETTERS, k=length)) for _ in range(count)]


def learnt(corpus_of, train_checkpoint, text, task, *, steps, learning_rate=1e-2, **settings):
    """Return a small model that has read a text in so many steps."""
    config = ModelConfig(task=task, hidden_size=64, embedding_size=16, **settings)
    training = TrainingConfig(
        max_steps=steps, learning_rate=learning_rate, dropout=0.0, precision="fp32", device="cpu"
    )
    return Model(train_checkpoint(corpus_of(text, task=task), config, training))


def reversed_words(corpus_of, train_checkpoint, encoder):
    """Return how many of 50 new words a model reverses after 700 steps."""
    text = "".join(f"{word}\t{word[::-1]}\n" for word in words(3000, LENGTH, 1))
    model = learnt(
        corpus_of, train_checkpoint, text, "pairs",
        steps=700, encoder=encoder, tie_weights=encoder == "attention",
    )  # fmt: skip
    new = [(word, word[::-1]) for word in words(50, LENGTH, 2)]
    return AnswerScore.of(answers_of(model, new)).exact


@pytest.mark.repetitive
def test_attention_reverses_thirty_letters(corpus_of, train_checkpoint):
    assert reversed_words(corpus_of, train_checkpoint, "attention") >= 45


@pytest.mark.repetitive
def test_the_context_vector_alone_does_not(corpus_of, train_checkpoint):
    assert reversed_words(corpus_of, train_checkpoint, "context") <= 5


def tagged(sentences):
    """Tag a token by the next one: "v" before a, e and the end, "c" before others."""
    parts = []
    for sentence in sentences:
        following = [*sentence[1:], "a"]
        pairs = zip(sentence, following, strict=True)
        parts.append(
            "".join(f"{token}\t{'v' if after in 'ae' else 'c'}\n" for token, after in pairs)
        )
    return "\n".join(parts)


@pytest.mark.repetitive
def test_a_tag_depends_on_the_next_token(corpus_of, train_checkpoint):
    """One token in four is followed by a vowel, so a forward network is right in three of four."""
    model = learnt(corpus_of, train_checkpoint, tagged(words(1500, 9, 1)), "tags", steps=150)
    score = ClassScore(model.classes)
    list(evaluate(model, tagged(words(100, 9, 2)), score))

    assert score.predictions == 900
    assert score.accuracy > 0.99


def labelled(texts):
    return "".join(f"{text}\t{'early' if text[0] in 'abcd' else 'late'}\n" for text in texts)


@pytest.mark.repetitive
def test_the_first_token_decides_after_sixty_more(corpus_of, train_checkpoint):
    model = learnt(corpus_of, train_checkpoint, labelled(words(1500, 61, 1)), "labels", steps=150)
    score = ClassScore(model.classes)
    list(evaluate(model, labelled(words(100, 61, 2)), score))

    assert score.accuracy > 0.99
    assert score.auc > 0.99


@pytest.mark.repetitive
@pytest.mark.parametrize("encoder", ["attention", "context", "none"])
def test_one_word_stands_for_a_text(corpus_of, train_checkpoint, encoder):
    texts = dict(zip(("one", "two", "three", "four"), words(4, 12, 1), strict=True))
    text = "".join(f"{name}\t{texts[name]}\n" for name in texts) * 50
    model = learnt(corpus_of, train_checkpoint, text, "pairs", steps=120, encoder=encoder)

    assert {name: model.generate(name) for name in texts} == texts
