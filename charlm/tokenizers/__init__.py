"""Text ⇄ ids.

base               the class of all tokenizers, lossless by byte fallback; decoding token by token
byte               bytes of UTF-8
character          characters of the training text
word               words and punctuation marks
symbols            labels, tags, features and phones, in the columns of a line
subword            BPE and unigram pieces, by SentencePiece
pre_tokenization   text → words and white space, for the word and subword tokenizers

`train` makes a tokenizer for a text; `from_json` reads one from a file. A new tokenizer is one
module here, one case in each of the two, and one entry in `config.TokenizerKind`.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, get_args

from charlm.config import DEFAULT_WORDS, TokenizerKind
from charlm.errors import ConfigError
from charlm.tokenizers.base import Ids as Ids
from charlm.tokenizers.base import StreamDecoder as StreamDecoder
from charlm.tokenizers.base import Tokenizer as Tokenizer
from charlm.tokenizers.base import UnfinishedText as UnfinishedText
from charlm.tokenizers.byte import ByteTokenizer as ByteTokenizer
from charlm.tokenizers.character import CharacterTokenizer as CharacterTokenizer
from charlm.tokenizers.symbols import SymbolTokenizer as SymbolTokenizer
from charlm.tokenizers.word import WordTokenizer as WordTokenizer


def train(
    kind: TokenizerKind, chunks: Iterable[str], *, vocab_size: int | None = None, reserved: str = ""
) -> Tokenizer:
    """Train a tokenizer on a text, which may be cut anywhere.

    It has at most `vocab_size` words or subwords beside the bytes; None lets the tokenizer choose.
    Characters of `reserved` are in no token of the vocabulary, only in bytes.
    """
    match kind:
        case "byte":
            return ByteTokenizer()
        case "char":
            return CharacterTokenizer.train(chunks, reserved=reserved)
        case "word":
            return WordTokenizer.train(chunks, vocab_size or DEFAULT_WORDS, reserved=reserved)
        case "bpe" | "unigram":
            from charlm.tokenizers.subword import SubwordTokenizer  # imports SentencePiece

            return SubwordTokenizer.train(kind, chunks, vocab_size, reserved=reserved)


def from_json(value: object, binary: bytes = b"") -> Tokenizer:
    """Return the tokenizer whose `to_json` and `binary` these are, trusting nothing in them.

    Raises:
        ConfigError: If they do not describe a tokenizer of this version.
    """
    try:
        match value:
            case {"kind": "byte", **rest} if not rest and not binary:
                return ByteTokenizer()
            case {"kind": "char", "characters": str(characters), **rest} if not rest and not binary:
                return CharacterTokenizer(characters)
            case {"kind": "word", "words": list(words), **rest} if not rest and not binary:
                return WordTokenizer(_texts(words))
            case {
                "kind": "word",
                "words": list(words),
                "characters": str(characters),
                **rest,
            } if not rest and not binary:
                return WordTokenizer(_texts(words), characters)
            case {
                "kind": str(kind),
                "base": dict(base),
                "features": list(features),
                "symbols": list(symbols),
                "separator": (str() | None) as separator,
                **rest,
            } if not rest and "base" not in base and base.get("kind") == kind:
                return SymbolTokenizer(
                    from_json(base, binary),
                    features=_texts(features),
                    symbols=_texts(symbols),
                    separator=separator,
                )
            case {
                "kind": "bpe" | "unigram" as kind,
                "white_space": list(texts),
                "model_sha256": str(digest),
                **rest,
            } if not rest:
                if hashlib.sha256(binary).hexdigest() != digest:  # before SentencePiece sees it
                    raise ValueError("its SentencePiece model does not match its SHA-256")
                from charlm.tokenizers.subword import SubwordTokenizer

                return SubwordTokenizer(kind, _texts(texts), binary)
    except ValueError as error:
        raise ConfigError(f"the tokenizer is damaged: {error}") from None
    if isinstance(value, dict) and value.get("kind") not in get_args(TokenizerKind):
        raise ConfigError(f"the tokenizer is of an unknown kind: {str(value.get('kind'))[:40]!r}")
    raise ConfigError("the tokenizer is damaged")


def _texts(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("pieces must be texts")
    return values
