"""The word tokenizer: a token is a word with the space before it, a mark, or white space.

Case is kept: "The", " The" and " the" are three tokens. In scripts without spaces between words a
token is a character. Words out of vocabulary become bytes. So do words that occur only once, which
trains the byte fallback (see the character tokenizer).
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

from charlm.formatting import count
from charlm.tokenizers.base import BYTES, FEWEST_OCCURRENCES
from charlm.tokenizers.pre_tokenization import (
    SplitTokenizer,
    byte_fallback,
    count_pre_tokens,
    pre_token_pattern,
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
    pattern = pre_token_pattern(unspaced="{1}")

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)
        self.words = words

    @classmethod
    def train(
        cls, chunks: Iterable[str], vocab_size: int, *, reserved: str = ""
    ) -> "WordTokenizer":
        """Return the tokenizer of the `vocab_size` most frequent words that recur in `chunks`.

        Words with a character of `reserved` are left out.
        """
        counts = count_pre_tokens(cls.pattern, chunks)
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

    def ids_of_pre_token(self, pre_token: str) -> tuple[int, ...]:
        """Return the word's id, or its bytes."""
        word_id = self.id_of_text.get(pre_token)
        return byte_fallback(pre_token) if word_id is None else (word_id,)

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the words."""
        return {"kind": self.kind, "words": list(self.words)}
