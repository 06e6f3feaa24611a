"""Lines and pairs as examples: each is read and scored by itself.

    Anna                  A n n a ■                 ■ is the boundary (BOS/EOS). It is read before
    cat⇥animal            c a t ■ a n i m a l ■     an example, and predicted after its last token.

Only the target of a pair is scored, so the model is trained to answer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from charlm.config import TERMINATORS, Task
from charlm.corpus.encoded_text import EncodedText, IdFile
from charlm.corpus.masks import masked_lines
from charlm.corpus.reading import Document
from charlm.errors import CorpusError
from charlm.tokenizers import Ids, Tokenizer

# Characters. An example is encoded at once, which takes some twenty bytes for each of them.
LONGEST_LINE = 1 << 24
TRAINING_HINT = (
    "put a third column, such as features, into the source: "
    "awk -F'\\t' '{print $1 \" \" $3 \"\\t\" $2}' FILE > NEW; or drop it: cut -f1,2"
)

BOUNDARIES: dict[Task, int] = {"lines": 1, "pairs": 2}  # boundaries (BOS/EOS) in one example


def read_lines(
    documents: Sequence[Document],
    held_out_fraction: float,
    *,
    is_pairs: bool,
    held_out_from: int | None = None,
    mask: str | None = None,
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield training and held-out lines with masks, thousands at a time, without the blank ones.

    Held-out lines are spread evenly, or are those from number `held_out_from` on, from 0. A
    carriage return before a line end belongs to the end.

    Raises:
        ConfigError: If the mask takes too long.
        CorpusError: If a line has more than LONGEST_LINE characters, or is not a pair though
            `is_pairs`; the message has its number.
    """
    line_count = 0  # lines so far that are not blank, of all documents
    for document in documents:
        first = 1  # number of the next line in its file
        for lines in split_lines(_with_bounded_lines(document)):
            if is_pairs:
                check_pairs(lines, document.name, first=first, hint=TRAINING_HINT)
            first += len(lines)
            examples = masked_lines([line for line in lines if line.strip()], mask)
            numbers = np.arange(line_count, line_count + len(examples) + 1)
            if held_out_from is None:
                is_held_out = np.diff(np.floor(numbers * held_out_fraction)) > 0
            else:
                is_held_out = numbers[:-1] >= held_out_from
            line_count += len(examples)
            yield (
                [line for line, held in zip(examples, is_held_out, strict=True) if not held],
                [line for line, held in zip(examples, is_held_out, strict=True) if held],
            )


def _with_bounded_lines(document: Document) -> Iterator[str]:
    """Yield the text of a document, or raise CorpusError at a line above LONGEST_LINE."""
    length = 0  # of the unfinished line
    for chunk in document.read_text():
        first = chunk.find("\n")
        length += len(chunk) if first < 0 else first
        if length > LONGEST_LINE:
            raise CorpusError(
                f"{document.name} has a line of more than {LONGEST_LINE:,} characters",
                hint="train on it as running text, without --lines and --pairs",
            )
        if first >= 0:
            length = len(chunk) - 1 - chunk.rfind("\n")
        yield chunk


def split_lines(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of the text in `chunks`, without their ends, one list per chunk."""
    unfinished: list[str] = []  # the beginning of a line
    for chunk in chunks:
        *lines, last = chunk.split("\n")
        if lines:
            lines[0] = "".join([*unfinished, lines[0]])
            unfinished = []
            yield [line.removesuffix("\r") for line in lines]
        unfinished.append(last)
    if "".join(unfinished):
        yield ["".join(unfinished).removesuffix("\r")]


def survey_lines(documents: Sequence[Document]) -> tuple[int, str]:
    """Return how many lines are white space, but not empty, and the characters before tabs."""
    blank, characters = 0, set[str]()
    for document in documents:
        for lines in split_lines(document.read_text()):
            blank += sum(map(str.isspace, lines))
            characters.update(*(line.partition("\t")[0] for line in lines))
    return blank, "".join(sorted(characters))


def separator_pattern(separator: str) -> str:
    """Return a regular expression for a document separator; each line end may be CRLF."""
    return re.escape(separator).replace("\\\n", "\r?\n")


def is_pair(line: str) -> bool:
    """Return whether a line is blank, or a source, one tab and a target."""
    return not line.strip() or line.count("\t") == 1


def check_pairs(lines: Sequence[str], name: str, *, first: int, hint: str) -> None:
    """Raise CorpusError if a line is not empty and not a pair; `first` is the first's number."""
    for number, line in enumerate(lines, start=first):
        if not is_pair(line):
            tabs = line.count("\t")
            if not tabs and hint == TRAINING_HINT:
                hint = "put a tab between source and target, or train with --lines"
            raise CorpusError(
                f"{name}, line {number:,}, has {tabs or 'no'} tab{'s' * (tabs > 1)}, "
                "but a pair is a source, one tab and a target",
                hint=hint,
            )


def ids_of_lines(lines: Sequence[str], tokenizer: Tokenizer, task: Task) -> Ids:
    """Return the ids of whole lines, with a boundary for each terminator, shape (ids,)."""
    ids = tokenizer.encode("".join(chain.from_iterable((line, "\n") for line in lines)))
    is_terminator = np.isin(ids, list(TERMINATORS[task].encode()))
    return np.where(is_terminator, ids.dtype.type(tokenizer.boundary_id), ids)


def scored_text(example: str, task: Task) -> str:
    """Return the text whose score counts: a document, or a line or target with its end."""
    if task == "text":
        return example
    return (example if task == "lines" else example.partition("\t")[2]) + "\n"


def encode_examples(
    batches: Iterable[Sequence[str]], tokenizer: Tokenizer, task: Task
) -> EncodedText:
    """Return the ids of lines or pairs."""
    file = IdFile(tokenizer)
    file.append_boundary()
    for lines in filter(None, batches):
        characters = sum(len(scored_text(line, task)) for line in lines)
        file.append(ids_of_lines(lines, tokenizer, task), characters=characters)
    return file.as_encoded_text(task)
