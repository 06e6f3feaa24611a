"""The byte tokenizer: a token is a byte of the text's UTF-8 form.

256 tokens for every script and no vocabulary to learn; a text outside ASCII takes more tokens
than characters.
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

    def unlisted(self, text: str) -> str:
        """Return nothing: every text is bytes."""
        del text
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return the kind; there is nothing else to know."""
        return {"kind": self.kind}
