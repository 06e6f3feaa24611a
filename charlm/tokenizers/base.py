"""The base class of tokenizers: text ⇄ ids without loss.

A token is a piece of text or one byte. Text that is out of vocabulary becomes the bytes of its
UTF-8 form (byte fallback), so there is no unknown token, and every text can be encoded.
"""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlm.config import TokenizerKind

Ids = NDArray[np.unsignedinteger[Any]]

BYTES = 256
FEWEST_OCCURRENCES = 2  # of a character or word in the training text, to become a token


class UnfinishedText(NamedTuple):
    """A text whose last word may go on, as in "Old Marr": "Old", and a token from " Marr" on."""

    ids: Ids  # of the text before its last token, shape (tokens,)
    typed: str  # the rest of the text; empty if all of it is in `ids`
    next_tokens: Sequence[int]  # tokens that begin with `typed`


class Tokenizer(ABC):
    """A fixed vocabulary: encode text to ids in [0, vocab_size), and decode them without loss."""

    kind: TokenizerKind
    pieces: Sequence[str | int]  # the text of each id, or its byte in [0, 256)
    separator: str | None = None  # between the symbols of targets, if these are tokens

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the boundary not counted."""
        return len(self.pieces)

    @property
    def boundary_id(self) -> int:
        """The id between texts (BOS and EOS in one): the first beyond the vocabulary.

        A network reads it before the first token of a text, so that token has a probability, too.
        Models of lines and pairs predict it after the last token of an example.
        """
        return self.vocab_size

    @property
    def first_symbol(self) -> int:
        """The id of the first symbol that stands only in targets; vocab_size if there is none."""
        return self.vocab_size

    @property
    def id_dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned integer type that holds every id, including the boundary's."""
        return np.min_scalar_type(self.boundary_id)

    @property
    @abstractmethod
    def vocabulary(self) -> str:
        """A description of the tokens: "65 characters and 256 bytes"."""

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Return the ids of any `text`, shape (tokens,)."""

    def encode_unfinished(self, text: str) -> "UnfinishedText":
        """Return the ids of a text that may go on in the middle of a word."""
        return UnfinishedText(self.encode(text), "", ())

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what `tokenizers.from_json` needs to build the same tokenizer."""

    @property
    def binary(self) -> bytes:
        """A SentencePiece model, which is stored beside the JSON; empty in most tokenizers."""
        return b""

    def out_of_vocabulary(self, text: str) -> str:
        """Return the different characters of `text` that are in no piece of the vocabulary."""
        texts = (piece for piece in self.pieces if isinstance(piece, str))
        return "".join(sorted(set(text).difference(*texts)))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD.

        `decode(encode(text)) == text` for every str, lone surrogates included.
        """
        pieces: list[str] = []
        pending = bytearray()
        for token in ids:
            piece = self.pieces[token]
            if isinstance(piece, int):
                pending.append(piece)
                continue
            pieces += [_from_utf8(pending), piece]
            pending.clear()
        return "".join([*pieces, _from_utf8(pending)])


class StreamDecoder:
    """Decodes one id at a time, and holds back the bytes of an incomplete character.

    The text is always valid Unicode: bytes that are not UTF-8 become U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._holds_bytes = False

    def push(self, token: int) -> str:
        """Return the text that `token` completes."""
        piece = self._pieces[token]
        if isinstance(piece, int):
            self._holds_bytes = True
            return self._decoder.decode(bytes([piece]))
        return self.finish() + piece if self._holds_bytes else piece

    def finish(self) -> str:
        """Return the text of the bytes held back, and start again."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        self._holds_bytes = False
        return rest


def lengths(tokenizer: Tokenizer) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return how many characters begin in each token, and whether it is a continuation byte.

    Both have shape (V,). A continuation byte, 0x80 to 0xBF, belongs to the character of an earlier
    byte.
    """
    pieces = tokenizer.pieces
    continues = np.array([isinstance(piece, int) and piece >> 6 == 2 for piece in pieces])
    length = np.array([1 if isinstance(piece, int) else len(piece) for piece in pieces])
    return np.where(continues, 0, length), continues


def utf8(text: str) -> bytes:
    """Return the UTF-8 form of any str; a lone surrogate takes three bytes, as in WTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _from_utf8(data: bytearray) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
