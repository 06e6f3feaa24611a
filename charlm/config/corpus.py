"""How texts become training data."""

from dataclasses import dataclass
from typing import Literal, get_args

from charlm.config.checks import LARGEST_SIZE, require, require_choice, require_whole
from charlm.errors import ConfigError

TokenizerKind = Literal["char", "byte", "word", "bpe", "unigram"]
Task = Literal["text", "lines", "pairs", "labels", "tags"]
HeldOut = Literal["end", "spread"]

# The ends of an example and of a source. No token contains them, only bytes, so byte 10 is always
# the end of a line.
TERMINATORS: dict[Task, str] = {
    "text": "",
    "lines": "\n",
    "pairs": "\n\t",
    "labels": "\n\t",
    "tags": "\n\t",
}
CLASS_TASKS: tuple[Task, ...] = ("labels", "tags")  # which predict one of a closed set
MOST_COLUMNS = 1000
Columns = tuple[int, ...]
LARGE_VOCABULARIES: tuple[TokenizerKind, ...] = ("word", "bpe", "unigram")
DEFAULT_HELD_OUT = 0.1  # share of a text
# Of pairs, labels and tags: of 800 words with pronunciation each tenth is missed in training.
DEFAULT_HELD_OUT_EXAMPLES = 0.05
DEFAULT_WORDS = 20_000  # in a vocabulary of words, at most


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """How texts become training data, and which part of them is held out for validation."""

    tokenizer: TokenizerKind = "char"
    # Words or subwords beside the bytes; None lets the tokenizer choose.
    vocab_size: int | None = None
    # Running text; lines, each one example; pairs: lines with a source, a tab and a target; labels:
    # pairs whose target is one of a closed set; tags: lines with a token, a tab and a tag, and an
    # empty line between sentences.
    task: Task = "text"
    # The numbers of the columns with source, target and, if there are any, features, from 1; None
    # takes the first two, and of pairs a third one as features.
    columns: Columns | None = None
    # Between the symbols of a target of pairs; None lets the targets decide, "" makes each
    # character one.
    separator: str | None = None
    document_separator: str | None = None  # between documents, in none of them
    mask: str | None = None  # of lines, as in `ModelConfig`
    # Where a running text may begin, and whether its end is predicted, as in `ModelConfig`; None
    # decides it by the text.
    begins_after: str | None = None
    predicts_end: bool | None = None
    # Which part is held out: the end, or lines and pairs spread evenly; None is the default of the
    # task.
    validation_from: HeldOut | None = None
    validation_fraction: float = DEFAULT_HELD_OUT
    # The most characters that are held out; None sets no limit, as an explicit fraction does.
    max_validation_characters: int | None = 500_000

    @property
    def held_out(self) -> HeldOut:
        """Which part is held out, unless another text is."""
        return self.validation_from or ("end" if self.task == "text" else "spread")

    def __post_init__(self) -> None:
        require_choice("tokenizer", self.tokenizer, get_args(TokenizerKind))
        require_choice("task", self.task, get_args(Task))
        require_choice("validation-from", self.validation_from, (None, *get_args(HeldOut)))
        if self.task == "text" and self.validation_from == "spread":
            raise ConfigError("validation-from spread is for lines and pairs, not for running text")
        require("validation-fraction", self.validation_fraction, above=0, below=1)
        if self.vocab_size is not None:
            require_whole("vocab-size", self.vocab_size, 1, LARGEST_SIZE)
            if self.tokenizer not in LARGE_VOCABULARIES:
                raise ConfigError(
                    f"vocab-size has no meaning for the {self.tokenizer} tokenizer",
                    hint=f"it is for --tokenizer {', '.join(LARGE_VOCABULARIES)}",
                )
        if self.max_validation_characters is not None:
            require_whole("max-validation-characters", self.max_validation_characters, 1)
        if self.document_separator == "":
            raise ConfigError("document-separator must not be empty")
        try:
            (self.document_separator or "").encode()
        except UnicodeEncodeError:  # a shell may pass bytes that are not UTF-8
            raise ConfigError("document-separator must be UTF-8, as texts are") from None
        check_columns(self.columns, self.task)
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))  # JSON has lists
        if self.separator is not None and self.task != "pairs":
            raise ConfigError("separator is for pairs: it separates the symbols of a target")
        if self.document_separator is not None and self.task != "text":
            raise ConfigError(f"document-separator is for running text, not for {self.task}")


def check_columns(columns: object, task: Task) -> None:
    """Raise ConfigError unless columns are numbers of different columns that a task has."""
    if columns is None:
        return
    if task in ("text", "lines"):
        raise ConfigError("columns are for pairs, labels and tags")
    most = 3 if task == "pairs" else 2
    if not isinstance(columns, tuple | list) or not 2 <= len(columns) <= most:
        raise ConfigError(f"columns must be {'2 or 3' if most == 3 else '2'} numbers")
    for number in columns:
        require_whole("columns", number, 1, MOST_COLUMNS)
    if len(set(columns)) < len(columns):
        raise ConfigError("columns must be different")
