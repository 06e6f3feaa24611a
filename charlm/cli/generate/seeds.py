"""Seed texts from the command line, files and pipes."""

import sys
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from charlm.cli.options import unescaped
from charlm.cli.output import print_note
from charlm.config import ModelConfig
from charlm.errors import CharlmError, ConfigError
from charlm.formatting import visible

if TYPE_CHECKING:
    from charlm.inference.model import Model

MOST_SHOWN = 20  # characters
STDIN = "-"


def read_seed_text(option: str) -> str:
    """Return the seed text of --seed; "-" reads it from stdin.

    Raises:
        CharlmError: If it is not UTF-8, so that it could not be echoed unchanged.
    """
    if option == STDIN:
        data = _standard_input("--seed -").read()
        text = _decoded(data, "the seed text on stdin")
        if text.startswith("\ufeff"):
            print_note("the seed text begins with a byte order mark, which was dropped")
        return _without_line_end(text.removeprefix("\ufeff"))
    check_unicode(option, "the seed text")
    if option.isdecimal():
        print_note("--seed is the text to continue; for the random generator use --rng-seed")
    return unescaped(option)


def read_seed_batches(name: str, config: ModelConfig) -> Iterator[list[str]]:
    """Yield the lines of a file, or of stdin for "-", without line ends.

    A batch has as many lines as can be read without waiting, so that the texts of a slow pipe are
    printed as its lines come.

    Raises:
        CharlmError: If the file cannot be read, or a line is not UTF-8 or no seed text for the
            model; the lines before it are yielded first.
    """
    from charlm.corpus.line_batches import read_line_batches  # NumPy, which --help does not need
    from charlm.inference.seed_texts import read_example

    if name == STDIN:
        _standard_input("--seed-file -")
    for batch in read_line_batches(name):
        seeds: list[str] = []
        for number, line in enumerate(batch.lines, start=batch.number):
            seed = _without_line_end(line)
            try:
                read_example(seed, config, f"seed text in line {number:,} of {batch.name},")
            except CharlmError:
                yield seeds
                raise
            seeds.append(seed)
        yield seeds


def note_out_of_vocabulary(
    batches: Iterable[list[str]], model: "Model", ending: str
) -> Iterator[list[str]]:
    """Yield the batches, and print one note on the first characters out of vocabulary.

    Characters that no source of a model of pairs had are noted, too.
    """
    from charlm.corpus.masks import masked_lines  # NumPy, which --help does not need

    source_characters = model.provenance.get("source_characters")
    is_noted = False
    for batch in batches:
        texts = [] if is_noted else masked_lines([*batch, ending], model.config.mask)
        text = "".join(text.partition("\t")[0] for text in texts)  # without features
        if unknown_features := _unknown_features(batch, model):
            is_noted = True
            print_note(f"features that no source of the training text had: {unknown_features}")
        unknown = model.tokenizer.out_of_vocabulary(text)
        what = "out of the model's vocabulary, encoded as bytes"
        if isinstance(source_characters, str) and not unknown:
            unknown = "".join(sorted({*text} - {*source_characters}))
            what = "in no source of the training text, so that answers are guesses"
        if unknown:
            is_noted = True
            names = " ".join(
                character
                if character.isprintable() and character != " "
                else f"U+{ord(character):04X}"
                for character in unknown[:MOST_SHOWN]
            )
            others = " and others" if len(unknown) > MOST_SHOWN else ""
            print_note(f"{what}: {names}{others}")
        yield batch


def _unknown_features(batch: Iterable[str], model: "Model") -> str:
    """Return the features in a batch of sources that are out of vocabulary."""
    from charlm.corpus.columns import as_source
    from charlm.tokenizers.symbols import features_of

    if not model.config.has_features:
        return ""
    unknown = {
        feature[1:]
        for source in batch
        for feature in features_of(as_source(source, model.config.columns))
        if feature not in model.tokenizer.pieces
    }
    return ", ".join(map(visible, sorted(unknown)[:MOST_SHOWN]))


def check_unicode(text: str, name: str) -> None:
    """Raise CharlmError for a text of the command line that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CharlmError(f"{name} is not UTF-8") from None


def _standard_input(option: str) -> IO[bytes]:
    if sys.stdin is None:
        raise CharlmError(f"{option} reads stdin, which is closed")
    if sys.stdin.isatty():
        raise ConfigError(f"{option} reads stdin, which is a terminal")
    return sys.stdin.buffer


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CharlmError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start:,}"
        ) from None
