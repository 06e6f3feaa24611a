"""Lines with columns between tabs, as examples: pairs, labels and tags.

    task    line                            example
    lines   Anna                            Anna
    pairs   cat⇥animal                      cat⇥animal
            gel⇥geldi⇥V;PST                 gel␟V;PST⇥geldi      (columns 1, 2 and 3: features)
    labels  the cat sat⇥animal              the cat sat⇥animal
    tags    The⇥DET, cat⇥NOUN, empty line   The⇥DET↵cat⇥NOUN     (a sentence)

With columns that are named, a line may have others, too. Then lines of tags may be CoNLL-U:
comments, and tokens with numbers such as 3-4 and 3.1, are left out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from charlm.config import Columns, CorpusConfig, ModelConfig, Task
from charlm.errors import CorpusError
from charlm.tokenizers.symbols import FEATURE_MARK

PARTS: dict[Task, str] = {
    "pairs": "a pair is a source, one tab and a target",
    "labels": "a line is a text, one tab and its label",
    "tags": "a line is a token, one tab and its tag",
}
WITH_FEATURES = "a line with features is a source, a tab, a target, a tab and the features"
TRAINING_HINTS: dict[Task, str] = {
    "pairs": "put a tab between source and target, or train with --lines; if lines have more "
    "columns, name those of source and target with --columns, and a third one of features",
    "labels": "put a tab before the label; or name the columns of text and label with --columns",
    "tags": "put a tab between token and tag, and an empty line after a sentence; or name the "
    "columns of token and tag with --columns, such as --columns 2,4 for CoNLL-U",
}
_NO_TOKEN = re.compile(r"#|\d+[-.]\d+\t")  # of CoNLL-U


@dataclass(frozen=True)
class LineLayout:
    """What the lines of a task hold."""

    task: Task
    columns: Columns | None = None

    @classmethod
    def of(cls, config: CorpusConfig | ModelConfig) -> "LineLayout":
        """Return the layout of a corpus or a model."""
        return cls(config.task, config.columns)

    @property
    def has_columns(self) -> bool:
        """Whether a line has columns."""
        return self.task in PARTS

    def is_example(self, line: str) -> bool:
        """Return whether a line is blank, or has the columns of the task."""
        if not self.has_columns or not line.strip():
            return True
        tabs = line.count("\t")
        if self.columns is None:
            return tabs == 1
        return tabs >= max(self.columns) - 1 or self.is_left_out(line)

    def check(self, lines: Sequence[str], name: str, *, first: int, hint: str) -> None:
        """Raise CorpusError if a line has not the columns; `first` is the number of the first."""
        for number, line in enumerate(lines, start=first):
            if not self.is_example(line):
                tabs = line.count("\t")
                parts = PARTS[self.task]
                if self.columns is not None:
                    parts = f"column {max(self.columns)} is needed"
                    if self.task == "pairs" and self.columns == (1, 2, 3):
                        parts = WITH_FEATURES
                raise CorpusError(
                    f"{name}, line {number:,}, has {tabs or 'no'} tab{'s' * (tabs > 1)}, "
                    f"but {parts}",
                    hint=hint,
                )

    def examples(self, batches: Iterable[Sequence[str]]) -> Iterator[list[str]]:
        """Yield the examples in batches of lines that were checked, without the blank lines.

        Of tags, a sentence belongs to the batch in which it ends.
        """
        if self.task != "tags":
            for lines in batches:
                yield [self.example(line) for line in lines if line.strip()]
            return
        sentence: list[str] = []
        for lines in batches:
            sentences: list[str] = []
            for line in lines:
                if not line.strip():
                    if sentence:
                        sentences.append("\n".join(sentence))
                    sentence = []
                elif not self.is_left_out(line):
                    sentence.append(self.example(line))
            yield sentences
        if sentence:
            yield ["\n".join(sentence)]

    def is_left_out(self, line: str) -> bool:
        """Return whether a line of CoNLL-U is a comment, or holds no token of its own."""
        is_conllu = self.task == "tags" and self.columns is not None
        return is_conllu and _NO_TOKEN.match(line) is not None

    def example(self, line: str) -> str:
        """Return the source, its features, and the target of a line that was checked."""
        if self.columns is None:
            return line
        fields = line.split("\t")
        source, target, *features = (fields[number - 1] for number in self.columns)
        return f"{source}{''.join(FEATURE_MARK + part for part in features)}\t{target}"


def as_source(text: str, columns: Columns | None) -> str:
    """Return a source as a network reads it: the tab before its features becomes the mark."""
    has_features = columns is not None and len(columns) > 2
    return text.replace("\t", FEATURE_MARK, 1) if has_features else text


def as_typed(source: str) -> str:
    """Return a source with a tab before its features, as its owner writes it."""
    return source.replace(FEATURE_MARK, "\t")


def with_columns(config: CorpusConfig, first_line: str) -> Columns | None:
    """Return the columns of a corpus: given, or those that its first line shows.

    A third column of pairs holds features.
    """
    if config.columns is None and config.task == "pairs" and first_line.count("\t") == 2:
        return 1, 2, 3
    return config.columns
