"""Documents → a corpus: the tokenizer, the training part and the validation part.

Ids are in temporary files without a name, which vanish with the process. Nothing as large as the
corpus is held in memory.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from charlm import tokenizers
from charlm.config import CLASS_TASKS, TERMINATORS, CorpusConfig, HeldOut, Task
from charlm.corpus.columns import with_columns
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.examples import (
    BOUNDARIES,
    encode_examples,
    first_line,
    read_examples,
    survey_lines,
)
from charlm.corpus.held_out import (
    SMALLEST_CORPUS,
    held_out_fraction,
    hold_out_end,
    text_range,
)
from charlm.corpus.reading import Document, DocumentInfo, examine
from charlm.corpus.shards import (
    RunningText,
    Shard,
    cut_into_shards,
    encode_shards,
    is_blank,
    split_documents,
)
from charlm.corpus.symbols import SymbolCounts
from charlm.corpus.text_kinds import CR_TO_LF
from charlm.errors import CorpusError
from charlm.fingerprint import Fingerprint
from charlm.formatting import count, visible
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.tokenizers import Tokenizer
from charlm.tokenizers.symbols import FEATURE_MARK

MOST_CLASSES_NAMED = 10  # in a message
LONGEST_EXAMPLE = 1 << 13  # tokens of a pair, a text with its label, or a sentence
HASHED_AT_ONCE = 1 << 20  # ids
LINE_ENDS = ("\r\n", "\n", "\r")  # of several that a text has as often, the first
FEWEST_DOCUMENTS = 10  # that show how documents begin
FEWEST_BEGINNINGS = 10  # line ends, or empty lines, that show how lines or paragraphs begin
MOST_LINES_OF_PARAGRAPHS = 100  # in the mean; with fewer empty lines, they are no paragraphs' ends
SAMPLE_BYTES = 32 << 20  # of a running text, for the vocabulary and for estimates


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The text that a model is trained on and the text that it is validated on."""

    config: CorpusConfig
    tokenizer: Tokenizer
    train: RunningText | EncodedText
    validation: EncodedText
    held_out: HeldOut | None  # which part that is; None for another text
    documents: tuple[DocumentInfo, ...]  # that were named as the corpus
    # Lines, pairs, or documents between separators in these, held-out ones included; 0 for a
    # running text without separator.
    examples: int = 0
    separators: int = 0  # number of document separators in the documents
    blank_lines: int = 0  # of white space, where lines or pairs are examples; they are left out
    source_characters: str = ""  # different characters of the sources of pairs
    # Of their whole text; only in the first process, which writes the model.
    fingerprint: Fingerprint | None = None

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each document, then of the held-out ids."""
        held_out = hashlib.sha256()
        for start in range(0, len(self.validation.ids), HASHED_AT_ONCE):
            held_out.update(self.validation.ids[start : start + HASHED_AT_ONCE].tobytes())
        return (*(document.sha256 for document in self.documents), held_out.hexdigest())

    def mirrored(self) -> "Corpus":
        """Return the same texts, each from its end to its beginning.

        A backward network is a forward network on the mirrored corpus.
        """
        return replace(self, train=self.train.mirrored(), validation=self.validation.mirrored())


def encode_corpus(
    documents: Sequence[Document],
    config: CorpusConfig,
    validation: Sequence[Document] = (),
    *,
    tokenizer: Tokenizer | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Corpus:
    """Read the documents, train the tokenizer on the training part, encode both parts.

    The end of a running text is held out, or every n-th line or pair, or the last lines or pairs,
    unless `validation` names documents to hold out. The vocabulary is that of the training part, so
    the validation score holds for characters that were never seen.

    Raises:
        CorpusError: If a text is not UTF-8, a line is not a pair where it must be one, or there is
            too little text.
        TrainingError: If another process reads another text.
    """
    infos = tuple(examine(document) for document in documents)
    characters = sum(info.characters for info in infos)
    if characters < SMALLEST_CORPUS:
        raise CorpusError(
            f"{_name(infos)} has {count(characters, 'character')}, "
            f"but training needs at least {SMALLEST_CORPUS}",
            hint="give a longer text; from some 50,000 characters on a model gets interesting",
        )
    sizes = ", ".join(f"{info.sha256} {info.bytes}" for info in infos)
    group.require_same(sizes.encode(), "text")
    encode = _encode_running_text if config.task == "text" else _encode_examples
    corpus = encode(documents, infos, config, validation, tokenizer, group)
    if corpus.validation.characters == 0:
        raise CorpusError("the validation text is empty")
    tokenizer = corpus.tokenizer
    encoded = json.dumps([corpus.digests, tokenizer.to_json()]).encode() + tokenizer.binary
    group.require_same(encoded, "held-out text")
    if not group.process.is_first:
        return corpus
    return replace(corpus, fingerprint=_fingerprint(documents, corpus))


def _fingerprint(documents: Sequence[Document], corpus: Corpus) -> Fingerprint:
    if corpus.config.task != "text":
        batches = (examples for examples, _ in read_examples(documents, 0.0, corpus.config))
        if corpus.config.task == "tags":  # whose tokens are looked up, one by one
            tokens = corpus.train.predictions + corpus.validation.predictions
            return Fingerprint.of_lines(map(_tokens_of, batches), tokens)
        return Fingerprint.of_lines(batches, corpus.examples)
    texts = (document.read_text() for document in documents)
    return Fingerprint.of_texts(texts, sum(info.characters for info in corpus.documents))


def _tokens_of(sentences: Sequence[str]) -> list[str]:
    return [line.partition("\t")[0] for part in sentences for line in part.split("\n")]


def _encode_running_text(
    documents: Sequence[Document],
    infos: tuple[DocumentInfo, ...],
    config: CorpusConfig,
    validation: Sequence[Document],
    tokenizer: Tokenizer | None,
    group: ProcessGroup,
) -> Corpus:
    separator = config.document_separator
    whole = [text_range(document, info) for document, info in zip(documents, infos, strict=True)]
    if validation:
        train = whole
        held_out = [text_range(document, examine(document)) for document in validation]
    else:
        train, held_out = hold_out_end(whole, infos, config)
    shards = cut_into_shards(train, separator)
    if not shards:
        raise CorpusError("the training text has nothing but document separators")
    group_count = max(1, round(sum(shard.bytes for shard in shards) / SAMPLE_BYTES))
    examples = separators = 0
    if separator is not None:
        pieces = [piece for text in whole for piece in split_documents(text, separator)]
        examples = sum(not is_blank(piece) for piece in pieces)
        separators = len(pieces) - len(whole)
    config = _with_beginning(config, shards[0], examples or len(train))
    predicts_end = bool(config.predicts_end)
    sample = (text for shard in shards[::group_count] for text, _ in shard.texts())
    tokenizer = tokenizer or _train_tokenizer(config, sample, group, reserved="")
    return Corpus(
        config=config,
        tokenizer=tokenizer,
        train=RunningText(shards, tokenizer, group_count, predicts_end=predicts_end),
        held_out=None if validation else config.held_out,
        validation=encode_shards(
            cut_into_shards(held_out, separator), tokenizer, predicts_end=predicts_end
        ),
        documents=infos,
        examples=examples,
        separators=separators,
    )


def _with_beginning(config: CorpusConfig, sample: Shard, documents: int) -> CorpusConfig:
    """Return the config with where texts begin, decided by the text unless it is given.

    Many documents show how a document begins. Fewer begin as their paragraphs do, or else their
    lines; a text without lines begins anywhere.
    """
    if config.begins_after is not None:
        return config
    begins_after = ""
    if documents < FEWEST_DOCUMENTS:
        text = "".join(part for part, _ in sample.texts())
        line_end = max(LINE_ENDS, key=text.count)
        lines, paragraphs = text.count(line_end), text.count(2 * line_end)
        if paragraphs >= max(FEWEST_BEGINNINGS, lines / MOST_LINES_OF_PARAGRAPHS):
            begins_after = 2 * line_end
        elif lines >= FEWEST_BEGINNINGS:
            begins_after = line_end
    return replace(config, begins_after=begins_after, predicts_end=documents > 1)


def _encode_examples(
    documents: Sequence[Document],
    infos: tuple[DocumentInfo, ...],
    config: CorpusConfig,
    validation: Sequence[Document],
    tokenizer: Tokenizer | None,
    group: ProcessGroup,
) -> Corpus:
    for info in infos:
        if info.kind.has_cr_alone:
            raise CorpusError(f"{info.name} ends its lines in CR alone", hint=CR_TO_LF)
    fraction = held_out_fraction(config, sum(info.characters for info in infos))
    config = replace(config, columns=with_columns(config, first_line(documents)))
    held_out_from = None
    if config.held_out == "end" and not validation:
        batches = read_examples(documents, 0.0, config)
        held_out_from = math.ceil(sum(len(parts) for parts, _ in batches) * (1 - fraction))

    def both_parts() -> Iterator[tuple[list[str], list[str]]]:
        return read_examples(documents, fraction, config, held_out_from=held_out_from)

    def training_examples() -> Iterator[list[str]]:
        for examples, held_out in both_parts():
            yield examples + held_out if validation else examples

    def validation_examples() -> Iterator[list[str]]:
        if validation:
            return (examples for examples, _ in read_examples(validation, 0.0, config))
        return (held_out for _, held_out in both_parts())

    if tokenizer is None:
        symbols = None
        if config.task not in ("text", "lines"):
            symbols = SymbolCounts.of(training_examples(), config)
        texts = _tokenizer_texts(training_examples(), symbols)
        reserved = TERMINATORS[config.task] + (FEATURE_MARK if symbols else "")
        base = _train_tokenizer(config, texts, group, reserved=reserved)
        tokenizer = base if symbols is None else symbols.tokenizer(base)
    train = encode_examples(training_examples(), tokenizer, config.task)
    if not train.tokens:
        raise CorpusError(f"{_name(infos)} has no lines to learn from")
    held_out = encode_examples(validation_examples(), tokenizer, config.task)
    if config.task != "lines":
        for part in (train, held_out):
            _check_lengths(part, config.task)
    if config.task in CLASS_TASKS:
        _check_classes(train, held_out, tokenizer, config.task)
    blank_lines, source_characters = survey_lines(documents)
    examples = (len(train.boundaries) + len(held_out.boundaries) - 2) // BOUNDARIES[config.task]
    if not validation and not held_out.tokens:
        raise CorpusError(
            f"{_name(infos)} has {count(examples, 'line')}; a validation fraction of "
            f"{config.validation_fraction:g} holds out none of them",
            hint="raise --validation-fraction, or name a --validation FILE",
        )
    return Corpus(
        config=config,
        tokenizer=tokenizer,
        train=train,
        held_out=None if validation else config.held_out,
        validation=held_out,
        documents=infos,
        examples=examples,
        blank_lines=0 if config.task == "tags" else blank_lines,
        source_characters=source_characters if config.task in ("pairs", "labels") else "",
    )


def _check_classes(
    train: EncodedText, held_out: EncodedText, tokenizer: Tokenizer, task: Task
) -> None:
    """Raise CorpusError if no label or tag of a part is one of the tokenizer's."""
    classes = tokenizer.pieces[tokenizer.first_symbol :]
    shown = ", ".join(visible(str(name)) for name in classes[:MOST_CLASSES_NAMED])
    if not train.predictions:
        raise CorpusError(
            f"the text has none of the {task} that the model of --from predicts: {shown}",
            hint="train a new model without --from",
        )
    if not held_out.predictions:
        raise CorpusError(
            f"the held-out part has none of the {task} of the training part: {shown}",
            hint="hold out another share with --validation-fraction, or another --validation FILE",
        )


def _check_lengths(text: EncodedText, task: Task) -> None:
    """Raise CorpusError if an example is so long that attention to all of it fills the memory."""
    lengths = np.diff(text.boundaries[:: BOUNDARIES[task]])
    if len(lengths) and lengths.max() > LONGEST_EXAMPLE:
        what = "sentence" if task == "tags" else "line"
        raise CorpusError(
            f"the longest {what} has {lengths.max():,} characters or other tokens, but at most "
            f"{LONGEST_EXAMPLE:,} are read at once",
            hint="end each sentence with an empty line; or use --labels for one label a line"
            if task == "tags"
            else "cut it, or leave it out",
        )


def _tokenizer_texts(
    batches: Iterable[Sequence[str]], symbols: SymbolCounts | None
) -> Iterator[str]:
    """Yield the texts that a tokenizer is trained on: without columns of symbols."""
    for examples in batches:
        lines = chain.from_iterable(example.split("\n") for example in examples)
        parts = lines if symbols is None else map(symbols.without_symbols, lines)
        yield "".join(f"{part}\n" for part in parts)


def _train_tokenizer(
    config: CorpusConfig, texts: Iterator[str], group: ProcessGroup, *, reserved: str
) -> Tokenizer:
    """Train a tokenizer in the first process and broadcast it: JSON, a NUL, its binary."""
    if group.process.is_first:
        tokenizer = tokenizers.train(
            config.tokenizer, texts, vocab_size=config.vocab_size, reserved=reserved
        )
        group.broadcast(json.dumps(tokenizer.to_json()).encode() + b"\0" + tokenizer.binary)
        return tokenizer
    record, _, binary = group.broadcast(b"").partition(b"\0")
    return tokenizers.from_json(json.loads(record), binary)


def _name(infos: Sequence[DocumentInfo]) -> str:
    return infos[0].name if len(infos) == 1 else f"the corpus of {len(infos)} documents"
