"""How well labels or tags are predicted: accuracy, F1, a confusion table, AUC, spans."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

_BIO = re.compile(r"O|([BI])-(.+)")


@dataclass
class ClassScore:
    """Predictions beside the right classes, summed over many texts or tokens.

    Attributes:
        classes: All classes of the model.
        pairs: How often each right class was predicted as each class.
        unknown: How many of the tokens that training never read are right, and how many wrong.
        sentences: How many sentences are right in all tokens, and how many are not.
        spans: Of tags such as B-PER: spans that are right, predicted and there; see `span_f1`.
        nats: −ln p of the right classes, summed; without those that the model does not have.
    """

    classes: Sequence[str]
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[bool] = field(default_factory=Counter)
    sentences: Counter[bool] = field(default_factory=Counter)
    spans: tuple[int, int, int] = (0, 0, 0)
    nats: float = 0.0
    # Of two labels: the probability of the second, and whether it is right, for each text.
    second: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def predictions(self) -> int:
        """Number of labels or tags."""
        return self.pairs.total()

    @property
    def unknown_classes(self) -> int:
        """Number of labels or tags that the model does not have; they are never right."""
        known = {*self.classes}
        return sum(number for (name, _), number in self.pairs.items() if name not in known)

    @property
    def nats_per_class(self) -> float | None:
        """The mean −ln p of the labels or tags that the model has; None if it has none of them."""
        known = self.predictions - self.unknown_classes
        return self.nats / known if known else None

    @property
    def accuracy(self) -> float:
        """The share that is right, in [0, 1]."""
        right = sum(number for (known, name), number in self.pairs.items() if known == name)
        return right / max(1, self.predictions)

    def f1(self, name: str) -> float:
        """Return the F1 of a class: the harmonic mean of precision and recall; 0 without either."""
        right = self.pairs[name, name]
        known = sum(number for (first, _), number in self.pairs.items() if first == name)
        predicted = sum(number for (_, second), number in self.pairs.items() if second == name)
        return 2 * right / (known + predicted) if known + predicted else 0.0

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that occur."""
        names = {name for pair in self.pairs for name in pair}
        return sum(map(self.f1, names)) / max(1, len(names))

    @property
    def auc(self) -> float | None:
        """The probability that a text of the second label has the higher probability of it.

        The area under the ROC curve, by the ranks of Mann & Whitney 1947. None unless there are two
        labels and texts of both.
        """
        positive = np.array([share for share, is_second in self.second if is_second])
        negative = np.sort([share for share, is_second in self.second if not is_second])
        if not len(positive) or not len(negative):
            return None
        below = np.searchsorted(negative, positive, "left")
        upto = np.searchsorted(negative, positive, "right")
        return float((below + upto).sum() / (2 * len(positive) * len(negative)))

    @property
    def span_f1(self) -> float | None:
        """The F1 of whole spans of BIO tags; None where tags are no BIO tags."""
        right, predicted, known = self.spans
        if not all(map(_BIO.fullmatch, self.classes)) or not any(
            name.startswith("B-") for name in self.classes
        ):
            return None
        return 2 * right / (predicted + known) if predicted + known else 0.0

    def add(self, known: str, predicted: str) -> None:
        """Count one label or tag."""
        self.pairs[known, predicted] += 1

    def add_sentence(
        self, known: Sequence[str], predicted: Sequence[str], are_unknown: Sequence[bool]
    ) -> None:
        """Count the tags of a sentence, and which of its tokens were never seen in training."""
        for pair, is_unknown in zip(zip(known, predicted, strict=True), are_unknown, strict=True):
            self.add(*pair)
            if is_unknown:
                self.unknown[pair[0] == pair[1]] += 1
        self.sentences[list(known) == list(predicted)] += 1
        spans, predicted_spans = spans_of(known), spans_of(predicted)
        right, others, all_known = self.spans
        self.spans = (
            right + len(spans & predicted_spans),
            others + len(predicted_spans),
            all_known + len(spans),
        )


def spans_of(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Return the spans of BIO tags: where each begins and ends, and its kind.

    As in the evaluation of CoNLL-2000, an I- that continues no span of its kind begins one.
    """
    spans: set[tuple[int, int, str]] = set()
    start, kind = 0, ""  # of the open span
    for place, tag in enumerate([*tags, "O"]):
        match = _BIO.fullmatch(tag)
        letter, name = match.groups(default="") if match else ("", "")
        if kind and (letter != "I" or name != kind):
            spans.add((start, place, kind))
            kind = ""
        if letter and not kind:
            start, kind = place, name
    return spans
