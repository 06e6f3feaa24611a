"""How well models predict the labels or tags of texts."""

import sys
from collections.abc import Mapping, Sequence

from charlm.cli.eval.tables import Figures, cell, write_figures, write_table
from charlm.cli.output import is_terminal, print_note, write, write_json
from charlm.corpus.reading import Document
from charlm.errors import CorpusError
from charlm.formatting import harmless, visible
from charlm.inference.class_scores import ClassScore
from charlm.inference.classification import ClassError, evaluate
from charlm.inference.model import Model

MOST_UNKNOWN_SHOWN = 5
MOST_CLASSES_SHOWN = 20  # in a confusion table


def show_classes(
    models: Mapping[str, Model],
    documents: Sequence[Document],
    *,
    has_errors: bool,
    is_json: bool,
) -> None:
    """Show what models of labels or tags come to, or what the only one of them predicts wrongly."""
    if has_errors:
        [model] = models.values()
        _show_errors(model, documents, is_json=is_json)
    else:
        _show_figures(models, documents, is_json=is_json)


def _show_figures(
    models: Mapping[str, Model], documents: Sequence[Document], *, is_json: bool
) -> None:
    """Show accuracy and F1; of one model also those of each class, and the confusion table.

    Raises:
        CorpusError: If the documents have no labels or tags, or a line lacks a column.
    """
    scores = {label: ClassScore(model.classes) for label, model in models.items()}
    for document in documents:
        text = "".join(document.read_text())
        for label, model in models.items():
            for _ in evaluate(model, text, scores[label], name=document.name):
                pass
    task = next(iter(models.values())).config.task
    if not all(score.predictions for score in scores.values()):
        raise CorpusError(f"the text has no {task}")
    for label, score in scores.items():
        if score.unknown_classes:
            unknown = sorted({name for name, _ in score.pairs} - {*score.classes})
            shown = ", ".join(map(visible, unknown[:MOST_UNKNOWN_SHOWN]))
            others = " and others" if len(unknown) > MOST_UNKNOWN_SHOWN else ""
            print_note(f"{label} has no {task} {shown}{others}")
    figures = {label: _figures(score, task) for label, score in scores.items()}
    if len(models) > 1:
        if is_json:
            for label, row in figures.items():
                write_json({"model": label, **row})
            return
        names = list(dict.fromkeys(name for row in figures.values() for name in row))
        rows = {
            visible(label): [cell(row[name]) if name in row else "" for name in names]
            for label, row in figures.items()
        }
        write_table({"model": names, **rows})
        return
    [(label, score)] = scores.items()
    if is_json:
        per_class = {name: score.f1(name) for name in _names(score)}
        confusion = [[*pair, number] for pair, number in sorted(score.pairs.items())]
        write_json({**figures[label], "f1": per_class, "confusion": confusion})
        return
    write_figures(figures[label], is_json=False)
    write("\n")
    _write_classes(score)


def _show_errors(model: Model, documents: Sequence[Document], *, is_json: bool) -> None:
    """Write each text or token whose label or tag is wrong, in columns or as JSON."""
    score = ClassScore(model.classes)
    for document in documents:
        text = "".join(document.read_text())
        for error in evaluate(model, text, score, name=document.name):
            _write_error(error, is_json=is_json)


def _write_error(error: ClassError, *, is_json: bool) -> None:
    fields = {"text": error.text, "expected": error.expected, "predicted": error.predicted}
    if is_json:
        write_json({**fields, "probability": error.probability})
        return
    line = "\t".join([*fields.values(), f"{error.probability:.4f}"]) + "\n"
    write(harmless(line) if is_terminal(sys.stdout) else line)


def _figures(score: ClassScore, task: str) -> Figures:
    figures: Figures = {
        task: score.predictions,
        "accuracy": score.accuracy,
        "macro_f1": score.macro_f1,
    }
    if score.nats_per_class is not None:
        figures[f"nats_per_{task.removesuffix('s')}"] = score.nats_per_class
    if score.unknown_classes:
        figures[f"unknown_{task}"] = score.unknown_classes
    if task == "labels":
        if len(score.classes) == 2:
            figures["auc"] = score.auc
        return figures
    unknown, sentences = score.unknown, score.sentences
    figures["sentences"] = sentences.total()
    figures["sentence_accuracy"] = sentences[True] / max(1, sentences.total())
    figures["unknown_tokens"] = unknown.total()
    if unknown:
        figures["unknown_accuracy"] = unknown[True] / unknown.total()
    if score.span_f1 is not None:
        figures["span_f1"] = score.span_f1
    return figures


def _names(score: ClassScore) -> list[str]:
    """Return the classes that occur or are predicted, the most frequent first."""
    numbers = {
        name: sum(number for (known, _), number in score.pairs.items() if known == name)
        for name in sorted({name for pair in score.pairs for name in pair})
    }
    return sorted(numbers, key=lambda name: -numbers[name])


def _write_classes(score: ClassScore) -> None:
    """Write F1 of each class, and how often each was predicted as which."""
    names = _names(score)
    shown = names[:MOST_CLASSES_SHOWN]
    rows = {"class \\ predicted": [*shown, "F1"]}
    for name in shown:
        numbers = [str(score.pairs[name, other] or "·") for other in shown]
        rows[name] = [*numbers, f"{score.f1(name):.4f}"]
    write_table(rows)
    if len(names) > len(shown):
        write(f"and {len(names) - len(shown):,} more classes; --json has all of them\n")
