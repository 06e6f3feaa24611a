"""Texts → ids in memory-mapped files, the validation part apart from the training part.

The files have no name: they live in the temporary directory and vanish with the process. Nothing
as large as the corpus is held in memory.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from charlm import tokenizers
from charlm.config import TERMINATORS, CorpusConfig
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.examples import BOUNDARIES, encode_examples, lines_of
from charlm.corpus.reading import Document, DocumentInfo, examine
from charlm.corpus.shards import ByteRange, RunningText, cut_into_shards, encode_shards
from charlm.errors import CorpusError
from charlm.fingerprint import Fingerprint
from charlm.formatting import count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.tokenizers import Tokenizer

SMALLEST_CORPUS = 20  # characters; fewer cannot be split into something to learn and to check
HASHED_AT_ONCE = 1 << 20  # ids
SAMPLE_BYTES = 32 << 20  # of a running text, for the vocabulary and for estimates


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a model learns from and is checked on."""

    config: CorpusConfig
    tokenizer: Tokenizer
    train: RunningText | EncodedText
    validation: EncodedText
    documents: tuple[DocumentInfo, ...]  # of the documents that were named as the corpus
    # Lines, pairs, or documents between separators, those that are held out included.
    examples: int = 0
    fingerprint: Fingerprint | None = None  # of all that was named, what is held out included

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each document, and of the ids that are held out."""
        held_out = hashlib.sha256()
        for start in range(0, len(self.validation.ids), HASHED_AT_ONCE):
            held_out.update(self.validation.ids[start : start + HASHED_AT_ONCE].tobytes())
        return (*(each.sha256 for each in self.documents), held_out.hexdigest())

    def mirrored(self) -> "Corpus":
        """Return the same texts, each from its end to its beginning."""
        return replace(self, train=self.train.mirrored(), validation=self.validation.mirrored())


def encode_corpus(
    documents: Sequence[Document],
    config: CorpusConfig,
    validation: Sequence[Document] = (),
    *,
    tokenizer: Tokenizer | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Corpus:
    """Read the documents, learn the tokenizer from the training part, encode both parts.

    Of a running text the last `validation_fraction` is held out, of lines and pairs every
    n-th, unless `validation` names texts of its own for that. The vocabulary is the training
    part's, so the validation score holds for characters that were never seen. A `tokenizer` that
    is given is taken instead; what it lacks is spelled.

    Raises:
        CorpusError: If a text is not UTF-8, no pairs where pairs are wanted, or too little.
        TrainingError: If another process reads another text.
    """
    infos = tuple(examine(document) for document in documents)
    characters = sum(each.characters for each in infos)
    if characters < SMALLEST_CORPUS:
        raise CorpusError(
            f"{_names(infos)} has {count(characters, 'character')}, "
            f"but learning needs at least {SMALLEST_CORPUS}",
            hint="a model gets interesting from some 50,000 characters on",
        )
    sizes = ", ".join(f"{each.sha256} {each.bytes}" for each in infos)
    group.require_same(sizes.encode(), "text")
    encode = _encode_running_text if config.task == "text" else _encode_items
    corpus = encode(documents, infos, config, validation, tokenizer, group)
    if corpus.validation.characters == 0:
        raise CorpusError("the validation text is empty")
    tokenizer = corpus.tokenizer
    read = json.dumps([corpus.digests, tokenizer.to_json()]).encode() + tokenizer.binary
    group.require_same(read, "held-out text")
    if not group.process.is_first:  # who writes no model
        return corpus
    return replace(corpus, fingerprint=_fingerprint(documents, corpus))


def _fingerprint(documents: Sequence[Document], corpus: Corpus) -> Fingerprint:
    if corpus.config.task != "text":
        is_pairs = corpus.config.task == "pairs"
        batches = (lines for lines, _ in lines_of(documents, 0.0, is_pairs=is_pairs))
        return Fingerprint.of_lines(batches, corpus.examples)
    extents = map(_extent, documents, corpus.documents)
    texts = (each.document.read_text(each.start, each.stop) for each in extents)
    return Fingerprint.of_texts(texts, sum(each.characters for each in corpus.documents))


def _encode_running_text(
    documents: Sequence[Document],
    infos: tuple[DocumentInfo, ...],
    config: CorpusConfig,
    validation: Sequence[Document],
    tokenizer: Tokenizer | None,
    group: ProcessGroup,
) -> Corpus:
    whole = [_extent(document, each) for document, each in zip(documents, infos, strict=True)]
    if validation:
        train = whole
        held_out = [_extent(document, examine(document)) for document in validation]
    else:
        characters = sum(each.characters for each in infos)
        kept = characters - _held_out_characters(config, characters)
        if kept < SMALLEST_CORPUS // 2:
            raise CorpusError(
                f"a validation fraction of {config.validation_fraction:g} leaves "
                f"{kept} of {characters} characters to learn from",
                hint="lower --validation-fraction",
            )
        train, held_out = _cut_at(whole, infos, kept)
    parts = cut_into_shards(train, config.document_separator)
    if not parts:
        raise CorpusError("there is nothing to learn from but document separators")
    pools = max(1, round(sum(part.bytes for part in parts) / SAMPLE_BYTES))
    sample = (text for part in parts[::pools] for text, _ in part.texts())
    tokenizer = tokenizer or _learn(config, sample, group, reserved="")
    separated = 0
    if config.document_separator is not None:
        separated = sum(part.ends for part in cut_into_shards(whole, config.document_separator))
    return Corpus(
        config=config,
        tokenizer=tokenizer,
        train=RunningText(parts, tokenizer, pools, group),
        validation=encode_shards(
            cut_into_shards(held_out, config.document_separator), tokenizer, group
        ),
        documents=infos,
        examples=separated,
    )


def _encode_items(
    documents: Sequence[Document],
    infos: tuple[DocumentInfo, ...],
    config: CorpusConfig,
    validation: Sequence[Document],
    tokenizer: Tokenizer | None,
    group: ProcessGroup,
) -> Corpus:
    characters = sum(each.characters for each in infos)
    fraction = min(config.validation_fraction, config.max_validation_characters / characters)
    is_pairs = config.task == "pairs"

    def training_lines() -> Iterator[list[str]]:
        for lines, held_out in lines_of(documents, fraction, is_pairs=is_pairs):
            yield lines + held_out if validation else lines

    def validation_lines() -> Iterator[list[str]]:
        if validation:
            return (lines for lines, _ in lines_of(validation, 0.0, is_pairs=is_pairs))
        return (held for _, held in lines_of(documents, fraction, is_pairs=is_pairs))

    texts = ("\n".join(lines) + "\n" for lines in training_lines())
    tokenizer = tokenizer or _learn(config, texts, group, reserved=TERMINATORS[config.task])
    train = encode_examples(training_lines(), tokenizer, config.task, group)
    if not train.tokens:
        raise CorpusError(f"{_names(infos)} has no lines to learn from")
    held_out = encode_examples(validation_lines(), tokenizer, config.task, group)
    items = (len(train.boundaries) + len(held_out.boundaries) - 2) // BOUNDARIES[config.task]
    if not validation and not held_out.tokens:
        raise CorpusError(
            f"{_names(infos)} has {count(items, 'line')}, of which a validation fraction of "
            f"{config.validation_fraction:g} holds out none",
            hint="raise --validation-fraction, or name a --validation FILE",
        )
    return Corpus(
        config=config,
        tokenizer=tokenizer,
        train=train,
        validation=held_out,
        documents=infos,
        examples=items,
    )


def _learn(
    config: CorpusConfig, texts: Iterator[str], group: ProcessGroup, *, reserved: str
) -> Tokenizer:
    """Learn a tokenizer in the first process; the others are told its JSON, a NUL, its binary."""
    if group.process.is_first:
        tokenizer = tokenizers.train(
            config.tokenizer, texts, vocab_size=config.vocab_size, reserved=reserved
        )
        group.broadcast(json.dumps(tokenizer.to_json()).encode() + b"\0" + tokenizer.binary)
        return tokenizer
    infos, _, binary = group.broadcast(b"").partition(b"\0")
    return tokenizers.from_json(json.loads(infos), binary)


def _names(infos: Sequence[DocumentInfo]) -> str:
    return infos[0].name if len(infos) == 1 else f"the corpus of {len(infos)} documents"


def _held_out_characters(config: CorpusConfig, characters: int) -> int:
    wanted = round(characters * config.validation_fraction)
    return min(max(wanted, 1), config.max_validation_characters)


def _extent(document: Document, infos: DocumentInfo) -> ByteRange:
    """Return all of a document but its byte order mark."""
    mark = 3 * infos.has_byte_order_mark
    return ByteRange(document, mark, mark + infos.bytes)


def _cut_at(
    extents: Sequence[ByteRange], infos: Sequence[DocumentInfo], characters: int
) -> tuple[list[ByteRange], list[ByteRange]]:
    """Return what comes before and after so many characters."""
    before: list[ByteRange] = []
    after: list[ByteRange] = []
    for extent, each in zip(extents, infos, strict=True):
        inside = min(characters, each.characters)
        characters -= inside
        cut = _byte_of_character(extent, inside) if inside < each.characters else extent.stop
        before.append(ByteRange(extent.document, extent.start, cut))
        after.append(ByteRange(extent.document, cut, extent.stop))
    return [each for each in before if each.start < each.stop], [
        each for each in after if each.start < each.stop
    ]


def _byte_of_character(extent: ByteRange, characters: int) -> int:
    """Return where in the file the text's character number `characters` begins."""
    position = extent.start
    for chunk in extent.document.read_text(extent.start, extent.stop):
        if characters < len(chunk):
            return position + len(chunk[:characters].encode())
        characters -= len(chunk)
        position += len(chunk.encode())
    return position
