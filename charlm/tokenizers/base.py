"""What all tokenizers share: text ⇄ ids without loss.

A token stands for a piece of text or for one byte. What a vocabulary lacks is spelled out in the
bytes of its UTF-8 form, so there is no unknown token and no text is refused.
"""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import TokenizerKind

Ids = NDArray[np.unsignedinteger[Any]]

BYTES = 256
FEWEST_OCCURRENCES = 2  # in the training text, for a character or word to be a token


class Tokenizer(ABC):
    """A fixed vocabulary and the lossless way between text and ids in [0, vocab_size)."""

    kind: TokenizerKind
    pieces: Sequence[str | int]  # what each id stands for: a text, or a byte in [0, 256)

    @property
    def vocab_size(self) -> int:
        """Number of tokens that can be predicted."""
        return len(self.pieces)

    @property
    def boundary_id(self) -> int:
        """The id beyond the vocabulary that stands between texts.

        It is read before the first token of a text. Where texts are items of their own, it is
        predicted after the last.
        """
        return self.vocab_size

    @property
    def id_dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest unsigned integer type that holds every id, the boundary's included."""
        return np.min_scalar_type(self.boundary_id)

    @property
    @abstractmethod
    def vocabulary(self) -> str:
        """What the tokens are, in words, such as "65 characters and 256 bytes"."""

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Return the ids of `text`, shape (tokens,); any str is accepted."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what `tokenizers.from_json` needs to build the same tokenizer."""

    @property
    def binary(self) -> bytes:
        """What belongs to it beside the JSON: a SentencePiece model, for most tokenizers none."""
        return b""

    def unlisted(self, text: str) -> str:
        """Return the characters of `text` that no piece of the vocabulary holds, each once."""
        listed = {
            character for piece in self.pieces if isinstance(piece, str) for character in piece
        }
        return "".join(sorted(set(text) - listed))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD.

        `decode(encode(text)) == text` for every str, lone surrogates included.
        """
        pieces: list[str] = []
        spelled = bytearray()
        for token in ids:
            piece = self.pieces[token]
            if isinstance(piece, int):
                spelled.append(piece)
                continue
            pieces += [_text_of(spelled), piece]
            spelled.clear()
        return "".join([*pieces, _text_of(spelled)])


class StreamDecoder:
    """Turns ids into text one at a time, holding back the bytes of an unfinished character.

    The text is always valid Unicode: bytes that cannot become a character come out as U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_spelling = False

    def push(self, token: int) -> str:
        """Return the text that is complete now that `token` has come."""
        piece = self._pieces[token]
        if isinstance(piece, int):
            self._is_spelling = True
            return self._decoder.decode(bytes([piece]))
        return self.finish() + piece if self._is_spelling else piece

    def finish(self) -> str:
        """Return what is still held back, and start anew."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        self._is_spelling = False
        return rest


def lengths(tokenizer: Tokenizer) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the characters that each token begins, and whether it goes on with one, shape (V,).

    Bytes 0x80 to 0xBF go on with the character that an earlier byte has begun.
    """
    goes_on = np.array([isinstance(each, int) and each >> 6 == 2 for each in tokenizer.pieces])
    length = np.array([1 if isinstance(each, int) else len(each) for each in tokenizer.pieces])
    return np.where(goes_on, 0, length), goes_on


def utf8(text: str) -> bytes:
    """Return the UTF-8 form of any str; a lone surrogate takes three bytes, as in WTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _text_of(spelled: bytearray) -> str:
    try:
        return spelled.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return spelled.decode("utf-8", "replace")
