"""The word tokenizer: a token is a word with the space before it, a mark, or white space.

Case is kept: "The", " The" and " the" are three tokens. Scripts without spaces between words
go by the character. What the vocabulary lacks is spelled out in bytes, and so is a word that
occurs only once, for that is how a model learns to spell (see the character tokenizer).
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

from charlm.formatting import count
from charlm.tokenizers.base import BYTES, FEWEST_OCCURRENCES
from charlm.tokenizers.pre_tokenization import (
    SplitTokenizer,
    count_stretches,
    spelled,
    stretch_pattern,
)


class WordTokenizer(SplitTokenizer):
    """The most frequent words and marks of a text as tokens, and 256 bytes for all others.

    >>> tokenizer = WordTokenizer(["This", " is", "."])
    >>> tokenizer.encode("This is.").tolist()
    [256, 257, 258]
    >>> tokenizer.encode("This is it.").tolist()
    [256, 257, 32, 105, 116, 258]
    """

    kind = "word"
    pattern = stretch_pattern(unspaced="{1}")

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)
        self.words = words

    @classmethod
    def learn(
        cls, chunks: Iterable[str], vocab_size: int, *, reserved: str = ""
    ) -> "WordTokenizer":
        """Return the tokenizer of the `vocab_size` most frequent words that recur in `chunks`.

        No word holds a character of `reserved`.
        """
        counts = count_stretches(cls.pattern, chunks)
        recurring = (
            (-number, word)
            for word, number in counts.items()
            if number >= FEWEST_OCCURRENCES and not set(word) & set(reserved)
        )
        return cls([word for _, word in heapq.nsmallest(vocab_size, recurring)])

    @property
    def vocabulary(self) -> str:
        """The number of words, and the bytes."""
        return f"{count(len(self.words), 'word')} and {BYTES} bytes"

    def ids_of_stretch(self, stretch: str) -> tuple[int, ...]:
        """Return the word's id, or the bytes that spell it."""
        known = self.id_of_text.get(stretch)
        return spelled(stretch) if known is None else (known,)

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the words."""
        return {"kind": self.kind, "words": list(self.words)}
