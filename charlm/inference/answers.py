"""How well a model of pairs answers: exact matches and edits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlm.corpus.columns import as_typed

if TYPE_CHECKING:
    from charlm.inference.model import Model


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model answers to a source, beside the nearest of the targets that are right.

    Attributes:
        source: The source.
        target: The target with the fewest edits; of equals, the first.
        answer: The likeliest answer of the model, token by token.
        edits: Insertions, deletions and substitutions of symbols between answer and target.
        symbols: Number of symbols of the target.
    """

    source: str
    target: str
    answer: str
    edits: int
    symbols: int


@dataclass(frozen=True, kw_only=True)
class AnswerScore:
    """The sum over many answers.

    Attributes:
        sources: Number of different sources.
        exact: How many of them have an answer that equals a target.
        edits: Edits between answers and targets.
        symbols: Symbols of these targets.
    """

    sources: int = 0
    exact: int = 0
    edits: int = 0
    symbols: int = 0

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> "AnswerScore":
        """Return the sum over answers."""
        listed = list(answers)
        return cls(
            sources=len(listed),
            exact=sum(answer.edits == 0 for answer in listed),
            edits=sum(answer.edits for answer in listed),
            symbols=sum(answer.symbols for answer in listed),
        )

    @property
    def exact_match(self) -> float:
        """The share of sources whose answer is exact, in [0, 1]."""
        return self.exact / self.sources if self.sources else 0.0

    @property
    def symbol_error_rate(self) -> float:
        """Edits per symbol of the targets: 0 if all answers are exact; it may exceed 1."""
        return self.edits / self.symbols if self.symbols else float(self.edits > 0)


def answers_of(
    model: "Model", pairs: Iterable[tuple[str, str]], separator: str | None = None
) -> Iterator[Answer]:
    """Yield the answer to each different source, in the order of their first pairs.

    Several pairs with one source are several targets that are right.

    Args:
        model: A model of pairs.
        pairs: Sources and targets.
        separator: What stands between the symbols of a target; "" makes each character one, and
            None takes what the model was trained with.
    """
    if separator is None:
        separator = model.tokenizer.separator
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    for (source, accepted), text in zip(
        targets.items(), model.generate_many(list(targets)), strict=True
    ):
        answer = text.text or ""
        edits, place = min(
            (edit_distance(_symbols(answer, separator), _symbols(target, separator)), place)
            for place, target in enumerate(accepted)
        )
        target = accepted[place]
        symbols = len(_symbols(target, separator))
        yield Answer(
            source=as_typed(source), target=target, answer=answer, edits=edits, symbols=symbols
        )


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the fewest insertions, deletions and substitutions that make one of the other.

    Levenshtein 1966; by the algorithm of Wagner & Fischer 1974,
    https://doi.org/10.1145/321796.321811.
    """
    distances = list(range(len(second) + 1))
    for row, symbol in enumerate(first, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(second, start=1):
            substituted = diagonal + (symbol != other)
            diagonal = distances[column]
            distances[column] = min(substituted, diagonal + 1, distances[column - 1] + 1)
    return distances[-1]


def _symbols(text: str, separator: str | None) -> Sequence[str]:
    return text if not separator else [part for part in text.split(separator) if part]
