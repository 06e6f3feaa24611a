"""The answers of a model of pairs: how many are right, and which are not."""

import sys
from collections.abc import Iterator, Sequence

from charlm.cli.output import is_terminal, write, write_json
from charlm.corpus.reading import Document
from charlm.formatting import harmless
from charlm.inference.answers import Answer, AnswerScore, answers_of
from charlm.inference.model import Model
from charlm.inference.scoring import examples_of


def answer_figures(
    model: Model, documents: Sequence[Document], separator: str | None
) -> dict[str, float | None]:
    """Return the share of exact answers, and the edits per symbol."""
    score = AnswerScore.of(_answers(model, documents, separator))
    return {
        "sources": score.sources,
        "exact_match": score.exact_match,
        "symbol_error_rate": score.symbol_error_rate,
    }


def show_errors(
    model: Model, documents: Sequence[Document], separator: str | None, *, is_json: bool
) -> None:
    """Write each wrong answer: source, the nearest target and the answer, in columns or as JSON."""
    for answer in _answers(model, documents, separator):
        if answer.edits == 0:
            continue
        fields = {"source": answer.source, "expected": answer.target, "answered": answer.answer}
        if is_json:
            write_json({**fields, "edits": answer.edits})
        else:
            text = "\t".join(fields.values()) + "\n"
            write(harmless(text) if is_terminal(sys.stdout) else text)


def _answers(
    model: Model, documents: Sequence[Document], separator: str | None
) -> Iterator[Answer]:
    """Yield the answers to the sources of all documents together."""
    lines = (
        line
        for document in documents
        for line in examples_of("".join(document.read_text()), model.config, document.name)
    )
    pairs = ((source, target) for source, _, target in (line.partition("\t") for line in lines))
    return answers_of(model, pairs, separator)
