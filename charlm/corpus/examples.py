"""Lines that are items of their own, and pairs of a source and a target.

    Anna                  A n n a ■                 ■ is the boundary: it is read before the first
    cat⇥animal            c a t ■ a n i m a l ■     token of an item, and predicted after its last

Of a pair only the target is scored, so that a model learns to answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from charlm.config import TERMINATORS, Task
from charlm.corpus.encoded_text import EncodedText, IdFile, write_once
from charlm.corpus.reading import Document
from charlm.errors import CorpusError
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.tokenizers import Ids, Tokenizer

# Characters. An item is encoded at once, which takes some twenty bytes for each of them.
LONGEST_LINE = 1 << 24
TRAINING_HINT = "cut -f1,2 keeps two columns; --lines takes lines as they are"

BOUNDARIES: dict[Task, int] = {"lines": 1, "pairs": 2}  # in the ids of an item


def lines_of(
    documents: Sequence[Document], fraction: float, *, is_pairs: bool
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the lines of all documents that are not empty, thousands at a time.

    A carriage return before a line end belongs to the end.

    Args:
        documents: Where they come from.
        fraction: Share of the lines that is held out, spread evenly.
        is_pairs: Whether each must be a source, a tab and a target.

    Returns:
        Lines to learn from, and those that are held out.

    Raises:
        CorpusError: If a pair is wanted and a line is none; the message has its number. If a line
            has more than LONGEST_LINE characters.
    """
    number = 0  # of the lines so far that are not empty
    for document in documents:
        place = 0  # of the line in its file
        for lines in split_lines(_bounded(document)):
            if is_pairs:
                check_pairs(lines, document.name, first=place + 1, hint=TRAINING_HINT)
            place += len(lines)
            kept = [line for line in lines if line]
            marks = np.floor(np.arange(number, number + len(kept) + 1) * fraction)
            is_held_out = np.diff(marks) > 0
            number += len(kept)
            yield (
                [line for line, held in zip(kept, is_held_out, strict=True) if not held],
                [line for line, held in zip(kept, is_held_out, strict=True) if held],
            )


def _bounded(document: Document) -> Iterator[str]:
    """Yield the text of a document, unless it has a line that is too long to be an item."""
    length = 0  # of the line so far
    for chunk in document.read_text():
        first = chunk.find("\n")
        length += len(chunk) if first < 0 else first
        if length > LONGEST_LINE:
            raise CorpusError(
                f"{document.name} has a line of more than {LONGEST_LINE:,} characters",
                hint="learn from it as running text, without --lines and --pairs",
            )
        if first >= 0:
            length = len(chunk) - 1 - chunk.rfind("\n")
        yield chunk


def split_lines(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of the text that `chunks` make up, without their ends, a list a chunk."""
    rest: list[str] = []
    for chunk in chunks:
        *lines, last = chunk.split("\n")
        if lines:
            lines[0] = "".join([*rest, lines[0]])
            rest = []
            yield [line.removesuffix("\r") for line in lines]
        rest.append(last)
    if "".join(rest):
        yield ["".join(rest).removesuffix("\r")]


def is_pair(line: str) -> bool:
    """Return whether a line is a source, one tab and a target, or empty."""
    return not line or line.count("\t") == 1


def check_pairs(lines: Sequence[str], name: str, *, first: int, hint: str) -> None:
    """Raise CorpusError if a line that is not empty has not exactly one tab.

    Args:
        lines: To check.
        name: Of the text.
        first: Number of the first line.
        hint: The cure.
    """
    for number, line in enumerate(lines, start=first):
        if not is_pair(line):
            tabs = line.count("\t")
            raise CorpusError(
                f"{name}, line {number:,}, has {tabs or 'no'} tab{'s' * (tabs > 1)}, "
                "but a pair is a source, one tab and a target",
                hint=hint,
            )


def ids_of_lines(lines: Sequence[str], tokenizer: Tokenizer, task: Task) -> Ids:
    """Return the ids of whole lines, with boundaries, shape (ids,)."""
    ids = tokenizer.encode("".join(chain.from_iterable((line, "\n") for line in lines)))
    is_break = np.isin(ids, list(TERMINATORS[task].encode()))
    return np.where(is_break, ids.dtype.type(tokenizer.boundary_id), ids)


def scored_text(item: str, task: Task) -> str:
    """Return the part of a document or line that is scored; the end of a line is."""
    if task == "text":
        return item
    return (item if task == "lines" else item.partition("\t")[2]) + "\n"


def encode_examples(
    batches: Iterable[Sequence[str]],
    tokenizer: Tokenizer,
    task: Task,
    group: ProcessGroup = SINGLE_PROCESS,
) -> EncodedText:
    """Return the ids of lines or pairs."""

    def write(file: IdFile) -> None:
        file.append_boundary()
        for lines in filter(None, batches):
            characters = sum(len(scored_text(line, task)) for line in lines)
            file.append(ids_of_lines(lines, tokenizer, task), characters=characters)

    return write_once(group, tokenizer, write).encoded(task)
