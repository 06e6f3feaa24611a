"""Chunks of text → ids in memory-mapped files, the validation part apart from the training part.

The files have no name: they live in the temporary directory and vanish with the process.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from charlm import tokenizers
from charlm.config import SplitConfig, TokenizerKind
from charlm.corpus.reading import Document, DocumentFacts, examine
from charlm.errors import CorpusError
from charlm.tokenizers import Ids, Tokenizer

SMALLEST_CORPUS = 20  # characters; fewer cannot be split into something to learn and to check


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """Ids of a text in a memory-mapped file, and what the text measured before."""

    ids: Ids  # shape (tokens,)
    characters: int


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a model learns from and is checked on."""

    tokenizer: Tokenizer
    train: EncodedText
    validation: EncodedText
    facts: tuple[DocumentFacts, ...]  # of the documents that were named as the corpus


def encode_corpus(
    documents: Sequence[Document],
    kind: TokenizerKind,
    split: SplitConfig,
    validation: Sequence[Document] = (),
) -> Corpus:
    """Read the documents, learn the tokenizer from the training part, encode both parts.

    The documents follow one another as one text. Its last `validation_fraction` is held out,
    unless `validation` names texts of its own for that. The vocabulary is the training part's,
    so the validation score holds for characters that were never seen.

    Raises:
        CorpusError: If a text is not UTF-8, or there is too little of it.
    """
    facts = tuple(examine(document) for document in documents)
    characters = sum(document.characters for document in facts)
    if characters < SMALLEST_CORPUS:
        raise CorpusError(
            f"{_names(facts)} has {characters} character{'s' * (characters != 1)}, "
            f"but learning needs at least {SMALLEST_CORPUS}",
            hint="a model gets interesting from some 50,000 characters on",
        )
    if validation:
        train_characters = characters
        held_out = _text(validation)
    else:
        wanted = round(characters * split.validation_fraction)
        train_characters = characters - min(max(wanted, 1), split.max_validation_characters)
        if train_characters < SMALLEST_CORPUS // 2:
            raise CorpusError(
                f"a validation fraction of {split.validation_fraction:g} leaves "
                f"{train_characters} of {characters} characters to learn from",
                hint="lower --validation-fraction",
            )
        held_out = _slice(_text(documents), train_characters, characters)
    tokenizer = tokenizers.learn(kind, _slice(_text(documents), 0, train_characters))
    train = _encode(_slice(_text(documents), 0, train_characters), tokenizer)
    encoded = _encode(held_out, tokenizer)
    if encoded.characters == 0:
        raise CorpusError("the validation text is empty")
    return Corpus(tokenizer=tokenizer, train=train, validation=encoded, facts=facts)


def _names(facts: Sequence[DocumentFacts]) -> str:
    return facts[0].name if len(facts) == 1 else f"the corpus of {len(facts)} documents"


def _text(documents: Sequence[Document]) -> Iterator[str]:
    return chain.from_iterable(document.read_text() for document in documents)


def _slice(chunks: Iterable[str], start: int, stop: int) -> Iterator[str]:
    """Yield characters [start, stop) of the text in `chunks`."""
    position = 0
    for chunk in chunks:
        if position >= stop:
            return
        yield chunk[max(start - position, 0) : stop - position]
        position += len(chunk)


def _encode(chunks: Iterable[str], tokenizer: Tokenizer) -> EncodedText:
    characters = 0
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            characters += len(chunk)
            file.write(tokenizer.encode(chunk).tobytes())
        file.flush()
        if file.tell() == 0:
            return EncodedText(ids=np.zeros(0, tokenizer.id_dtype), characters=0)
        ids = np.memmap(file, dtype=tokenizer.id_dtype, mode="r")
    return EncodedText(ids=ids, characters=characters)
