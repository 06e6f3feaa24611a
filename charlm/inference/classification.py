"""Labels of texts and tags of tokens, with their probabilities."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from charlm.corpus.columns import LineLayout
from charlm.inference.class_scores import ClassScore
from charlm.inference.runtime import Floats
from charlm.inference.scoring import COLUMNS_HINT

if TYPE_CHECKING:
    from charlm.inference.model import Model

TEXTS_AT_ONCE = 1000
SMALLEST_PROBABILITY = 1e-37  # of float32; a smaller one counts as this


@dataclass(frozen=True)
class ClassPrediction:
    """The label of a text, or the tag of a token.

    Attributes:
        name: The likeliest label or tag.
        probability: Its probability.
        probabilities: Of all labels or tags, the likeliest first.
    """

    name: str
    probability: float
    probabilities: Mapping[str, float]

    @classmethod
    def of(cls, classes: Sequence[str], log_probabilities: Floats) -> "ClassPrediction":
        """Return the prediction for ln p of all classes, shape (K,)."""
        shares = np.exp(log_probabilities)
        order = np.argsort(-shares, kind="stable").tolist()
        named = {classes[number]: float(shares[number]) for number in order}
        return cls(classes[order[0]], float(shares[order[0]]), named)


def predict_labels(model: "Model", texts: Iterable[str]) -> Iterator[ClassPrediction]:
    """Yield the label of each text; a thousand texts are read at once."""
    waiting = iter(texts)
    while part := list(islice(waiting, TEXTS_AT_ONCE)):
        ids = [model.tokenizer.encode(text) for text in part]
        for row in model.classifier.labels(ids):
            yield ClassPrediction.of(model.classes, row)


def predict_tags(
    model: "Model", sentences: Iterable[Sequence[str]]
) -> Iterator[list[ClassPrediction]]:
    """Yield the tags of each sentence, given as its tokens; a thousand are read at once."""
    waiting = iter(sentences)
    while part := list(islice(waiting, TEXTS_AT_ONCE)):
        ids = [[model.tokenizer.encode(token) for token in tokens] for tokens in part]
        for rows in model.classifier.tags(ids):
            yield [ClassPrediction.of(model.classes, row) for row in rows]


@dataclass(frozen=True, kw_only=True)
class ClassError:
    """A text or token whose label or tag is predicted wrongly."""

    text: str
    expected: str
    predicted: str
    probability: float  # of what is predicted


def evaluate(
    model: "Model", text: str, score: ClassScore, *, name: str = "the text"
) -> Iterator[ClassError]:
    """Add the predictions for a text with labels or tags to `score`; yield those that are wrong.

    Raises:
        CorpusError: If a line of `name` has not the columns of the model.
    """
    layout = LineLayout.of(model.config)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    layout.check(lines, name, first=1, hint=COLUMNS_HINT)
    examples = [example for part in layout.examples([lines]) for example in part]
    if model.config.task == "labels":
        pairs = [example.rpartition("\t")[::2] for example in examples]
        predictions = predict_labels(model, (source for source, _ in pairs))
        for (source, label), prediction in zip(pairs, predictions, strict=True):
            _add(score, label, prediction)
            score.add(label, prediction.name)
            if len(model.classes) == 2:
                share = prediction.probabilities[model.classes[1]]
                score.second.append((share, label == model.classes[1]))
            yield from _error(source, label, prediction)
        return
    sentences = [[line.rpartition("\t")[::2] for line in part.split("\n")] for part in examples]
    tokens = ([token for token, _ in sentence] for sentence in sentences)
    for sentence, tags in zip(sentences, predict_tags(model, tokens), strict=True):
        for (token, tag), prediction in zip(sentence, tags, strict=True):
            _add(score, tag, prediction)
            yield from _error(token, tag, prediction)
        score.add_sentence(
            [tag for _, tag in sentence],
            [prediction.name for prediction in tags],
            [model.is_unknown(token) for token, _ in sentence],
        )


def _add(score: ClassScore, known: str, prediction: ClassPrediction) -> None:
    """Add −ln p of the right class, if the model has it."""
    share = prediction.probabilities.get(known)
    if share is not None:
        score.nats -= math.log(max(share, SMALLEST_PROBABILITY))


def _error(text: str, known: str, prediction: ClassPrediction) -> Iterator[ClassError]:
    if prediction.name != known:
        yield ClassError(
            text=text,
            expected=known,
            predicted=prediction.name,
            probability=prediction.probability,
        )
