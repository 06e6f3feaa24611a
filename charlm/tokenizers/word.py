"""The word tokenizer: a token is a word with the space before it, a mark, or white space.

Case is kept: "The", " The" and " the" are three tokens. In scripts without spaces between words a
token is a character. Words out of vocabulary are spelled: in bytes, and in characters where one
takes several bytes. So are words that occur only once, which trains the spelling (see the character
tokenizer).
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
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
    """The most frequent words and marks of a text as tokens; characters and bytes for all others.

    >>> tokenizer = WordTokenizer(["This", " is", "."])
    >>> tokenizer.encode("This is.").tolist()
    [256, 257, 258]
    >>> tokenizer.encode("This is it.").tolist()
    [256, 257, 32, 105, 116, 258]
    """

    kind = "word"
    pattern = pre_token_pattern(unspaced="{1}")
    splits_words = False

    def __init__(self, words: Sequence[str], characters: str = "") -> None:
        """Take the words, and characters of several bytes that spell other words.

        Raises:
            ValueError: If a word or character is empty or repeated.
        """
        super().__init__([*words, *characters])
        self.words, self.characters = words, characters

    @classmethod
    def train(
        cls, chunks: Iterable[str], vocab_size: int, *, reserved: str = ""
    ) -> "WordTokenizer":
        """Return a tokenizer of `vocab_size` words and characters that recur in `chunks`.

        The characters are those of all words but the `vocab_size` most frequent ones. They are at
        most half of the vocabulary. Words with a character of `reserved` are left out.
        """
        counts = count_pre_tokens(cls.pattern, chunks)
        recurring = (
            (-number, word)
            for word, number in counts.items()
            if number >= FEWEST_OCCURRENCES and not set(word) & set(reserved)
        )
        words = [word for _, word in heapq.nsmallest(vocab_size, recurring)]
        characters = _characters_of(counts, set(words))[: vocab_size // 2]
        return cls(words[: vocab_size - len(characters)], "".join(sorted(characters)))

    @property
    def vocabulary(self) -> str:
        """The number of words, characters and bytes."""
        words, characters = count(len(self.words), "word"), count(len(self.characters), "character")
        return f"{words}{f', {characters}' if self.characters else ''} and {BYTES} bytes"

    def ids_of_pre_token(self, pre_token: str) -> tuple[int, ...]:
        """Return the word's id, or those of its characters and bytes."""
        word_id = self.id_of_text.get(pre_token)
        if word_id is not None:
            return (word_id,)
        if not self.characters or pre_token.isascii():
            return byte_fallback(pre_token)
        return tuple(
            token for character in pre_token for token in self._ids_of_character(character)
        )

    def _ids_of_character(self, character: str) -> tuple[int, ...]:
        token = None if character.isascii() else self.id_of_text.get(character)
        return byte_fallback(character) if token is None else (token,)

    def to_json(self) -> dict[str, Any]:
        """Return the kind, the words and, if there are any, the characters."""
        characters = {"characters": self.characters} if self.characters else {}
        return {"kind": self.kind, "words": list(self.words), **characters}


def _characters_of(counts: Mapping[str, int], vocabulary: Set[str]) -> Sequence[str]:
    """Return the characters of several bytes that recur out of vocabulary, most frequent first."""
    numbers: Counter[str] = Counter()
    for word, number in counts.items():
        if word not in vocabulary and not word.isascii():
            numbers.update(dict.fromkeys(word, number))
    recurring = (
        (-number, character)
        for character, number in numbers.items()
        if number >= FEWEST_OCCURRENCES and not character.isascii() and character not in vocabulary
    )
    return [character for _, character in sorted(recurring)]
