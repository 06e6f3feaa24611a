"""Lines, pairs and sentences as examples: each is read and scored by itself.

    Anna                  A n n a ■                 ■ is the boundary (BOS/EOS). It is read before
    cat⇥animal            c a t ■ a n i m a l ■     an example, and predicted after its last token.
    The⇥DET↵cat⇥NOUN      T h e ■ DET ■ c a t ■ NOUN ■

Only the target of a pair is scored, so the model is trained to answer. Labels and tags are scored
without the boundary after them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from charlm.config import TERMINATORS, CorpusConfig, Task
from charlm.corpus.columns import TRAINING_HINTS, LineLayout
from charlm.corpus.encoded_text import EncodedText, IdFile
from charlm.corpus.masks import masked_lines
from charlm.corpus.reading import Document
from charlm.errors import CorpusError
from charlm.tokenizers import Ids, Tokenizer

# Characters. An example is encoded at once, which takes some twenty bytes for each of them.
LONGEST_LINE = 1 << 24
# Boundaries (BOS/EOS) in one example that `EncodedText` lists; of tags, the last.
BOUNDARIES: dict[Task, int] = {"lines": 1, "pairs": 2, "labels": 2, "tags": 1}


def read_examples(
    documents: Sequence[Document],
    held_out_fraction: float,
    config: CorpusConfig,
    *,
    held_out_from: int | None = None,
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield training and held-out examples with masks, thousands at a time.

    Held-out examples are spread evenly, or are those from number `held_out_from` on, from 0. A
    carriage return before a line end belongs to the end.

    Raises:
        ConfigError: If the mask takes too long.
        CorpusError: If a line has more than LONGEST_LINE characters, or not the columns of the
            task; the message has its number.
    """
    layout = LineLayout.of(config)
    example_count = 0  # examples so far, of all documents
    for document in documents:
        for parts in layout.examples(_checked_lines(document, layout)):
            examples = masked_lines(parts, config.mask)
            numbers = np.arange(example_count, example_count + len(examples) + 1)
            if held_out_from is None:
                is_held_out = np.diff(np.floor(numbers * held_out_fraction)) > 0
            else:
                is_held_out = numbers[:-1] >= held_out_from
            example_count += len(examples)
            yield (
                [text for text, held in zip(examples, is_held_out, strict=True) if not held],
                [text for text, held in zip(examples, is_held_out, strict=True) if held],
            )


def _checked_lines(document: Document, layout: LineLayout) -> Iterator[list[str]]:
    """Yield the lines of a document, or raise CorpusError at one without the right columns."""
    first = 1  # number of the next line in its file
    for lines in split_lines(_with_bounded_lines(document)):
        if layout.has_columns:
            layout.check(lines, document.name, first=first, hint=TRAINING_HINTS[layout.task])
        first += len(lines)
        yield lines


def first_line(documents: Sequence[Document]) -> str:
    """Return the first line that is not blank; "" if there is none."""
    for document in documents:
        for lines in split_lines(_with_bounded_lines(document)):
            for line in filter(str.strip, lines):
                return line
    return ""


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


def ids_of_lines(lines: Sequence[str], tokenizer: Tokenizer, task: Task) -> Ids:
    """Return the ids of whole lines, with a boundary for each terminator, shape (ids,)."""
    ids = tokenizer.encode("".join(chain.from_iterable((line, "\n") for line in lines)))
    is_terminator = np.isin(ids, list(TERMINATORS[task].encode()))
    return np.where(is_terminator, ids.dtype.type(tokenizer.boundary_id), ids)


def scored_text(example: str, task: Task) -> str:
    """Return the text whose score counts: a document, or a line or target with its end.

    A label or tag counts as one character.
    """
    if task in ("labels", "tags"):
        return "\n" * (example.count("\n") + 1)  # one character for each label or tag
    if task == "text":
        return example
    return (example if task == "lines" else example.partition("\t")[2]) + "\n"


def encode_examples(
    batches: Iterable[Sequence[str]], tokenizer: Tokenizer, task: Task
) -> EncodedText:
    """Return the ids of examples."""
    file = IdFile(tokenizer)
    file.append_boundary()
    for examples in filter(None, batches):
        characters = sum(len(scored_text(example, task)) for example in examples)
        ids = ids_of_lines(examples, tokenizer, task)
        ends = None
        if task == "tags":  # the last boundary of each sentence
            is_boundary = np.flatnonzero(ids == tokenizer.boundary_id)
            tokens = np.cumsum([example.count("\n") + 1 for example in examples])
            ends = is_boundary[2 * tokens - 1]
        file.append(ids, characters=characters, boundaries=ends)
    return file.as_encoded_text(task)
