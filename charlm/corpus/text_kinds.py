"""Properties of a text that surprise its owner: line ends and decomposed accents.

charlm changes neither. It names them before training, and where a text and a model differ.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from charlm.config import Task
from charlm.tokenizers import Tokenizer

COMPOSE = "to compose them: uconv -x any-nfc FILE > NEW"
DECOMPOSE = "to decompose them: uconv -x any-nfd FILE > NEW"
WITHOUT_CR = "to remove the CR: tr -d '\\r' < FILE > NEW"
CR_TO_LF = "to make them LF: tr '\\r' '\\n' < FILE > NEW"


@dataclass
class TextKind:
    """The line ends of a text, and whether its accents are decomposed (NFD)."""

    lf: int = 0
    crlf: int = 0
    cr: int = 0
    is_decomposed: bool = False

    def add(self, chunk: str) -> None:
        """Take the next part of the text."""
        crlf = chunk.count("\r\n")
        self.crlf += crlf
        self.lf += chunk.count("\n") - crlf
        self.cr += chunk.count("\r") - crlf
        self.is_decomposed = self.is_decomposed or has_decomposed_accents(chunk)

    @property
    def has_cr_alone(self) -> bool:
        """Whether lines end in CR, and none in LF."""
        return self.cr > 0 and self.lf == self.crlf == 0

    def notes(self, task: Task) -> Iterator[str]:
        """Yield what its owner should know before a model is trained on it, and the cure."""
        if task == "text" and self.crlf:
            yield f"has CRLF line ends, and the model will write them; {WITHOUT_CR}"
        if task == "text" and self.has_cr_alone:
            yield f"has CR line ends; {CR_TO_LF}"
        if self.is_decomposed:
            yield (
                "has decomposed accents (NFD), a letter and a mark each, and the model will score "
                f"composed ones badly; {COMPOSE}"
            )


def has_decomposed_accents(text: str) -> bool:
    """Return whether letters and marks stand apart that could be one character each."""
    if unicodedata.is_normalized("NFC", text):
        return False
    return len(unicodedata.normalize("NFC", text)) < len(text)


def differences(text: str, tokenizer: Tokenizer, task: Task) -> Iterator[str]:
    """Yield how a text differs from the one that a vocabulary is of, and the cure."""
    if task == "text" and "\r\n" in text and tokenizer.out_of_vocabulary("\r"):
        yield f"has CRLF line ends, and the training text had none; {WITHOUT_CR}"
    marks = "".join(filter(unicodedata.combining, set(text)))
    if marks and has_decomposed_accents(text) and tokenizer.out_of_vocabulary(marks):
        yield (
            "has decomposed accents (NFD), which the training text had not, so they cost much; "
            f"{COMPOSE}"
        )
    composed = (
        (character, unicodedata.normalize("NFD", character))
        for character in tokenizer.out_of_vocabulary(text)
    )
    if any(
        parts != character and not tokenizer.out_of_vocabulary(parts)
        for character, parts in composed
    ):
        yield (
            "has composed accents (NFC), and the training text had decomposed ones (NFD); "
            f"{DECOMPOSE}"
        )
