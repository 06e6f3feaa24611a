"""The byte tokenizer: a token is a byte of the text's UTF-8 form.

256 tokens for every script, and no vocabulary to train. A text outside ASCII has more tokens than
characters.
"""

from typing import Any

import numpy as np

from charlm.tokenizers.base import BYTES, Ids, Tokenizer, utf8


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes as tokens.

    >>> ByteTokenizer().encode("né").tolist()
    [110, 195, 169]
    """

    kind = "byte"
    pieces = range(BYTES)
    vocabulary = "256 bytes"

    def encode(self, text: str) -> Ids:
        """Return the UTF-8 bytes of `text`, shape (bytes,)."""
        return np.frombuffer(utf8(text), dtype=np.uint8).astype(self.id_dtype)

    def out_of_vocabulary(self, text: str) -> str:
        """Return the empty string: every text is bytes."""
        del text
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return the kind."""
        return {"kind": self.kind}
