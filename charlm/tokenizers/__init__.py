"""Text ⇄ ids: the tokenizers, how they are learnt from a text and found again in a file."""

from collections.abc import Iterable

from charlm.config import TokenizerKind
from charlm.errors import ConfigError
from charlm.tokenizers.base import Ids, StreamDecoder, Tokenizer
from charlm.tokenizers.byte import ByteTokenizer
from charlm.tokenizers.character import CharacterTokenizer

__all__ = [
    "ByteTokenizer",
    "CharacterTokenizer",
    "Ids",
    "StreamDecoder",
    "Tokenizer",
    "from_json",
    "learn",
]


def learn(kind: TokenizerKind, chunks: Iterable[str]) -> Tokenizer:
    """Return a tokenizer of the given kind for the text in `chunks`."""
    if kind == "byte":
        return ByteTokenizer()
    return CharacterTokenizer.learn(chunks)


def from_json(value: object) -> Tokenizer:
    """Return the tokenizer that `to_json` wrote, trusting nothing in `value`.

    Raises:
        ConfigError: If the object is not a tokenizer that this version knows.
    """
    match value:
        case {"kind": "byte", **rest} if not rest:
            return ByteTokenizer()
        case {"kind": "char", "characters": str(characters), **rest} if not rest:
            try:
                return CharacterTokenizer(characters)
            except ValueError as error:
                raise ConfigError(f"the character tokenizer is damaged: {error}") from None
        case {"kind": str(kind)} if kind not in ("byte", "char"):
            raise ConfigError(f"the tokenizer is of a kind unknown here: {kind[:40]!r}")
    raise ConfigError("the tokenizer is damaged")
