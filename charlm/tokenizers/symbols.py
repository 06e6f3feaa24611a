"""A tokenizer of columns: labels, tags, features and phones are one token each.

    kind        line                       tokens
    classes     the cat sat⇥ANIMAL         t h e · c a t · s a t ⇥ ANIMAL
    targets     hond⇥ɦ ɔ n t               h o n d ⇥ ɦ ·ɔ ·n ·t             (between spaces)
    features    gel␟V;PST⇥geldi            g e l ␟V ;PST ⇥ g e l d i

Everything else is encoded by another tokenizer, the base, so every text can be encoded without
loss. The feature mark ␟ (U+001F) stands for the tab between a source and its features.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from charlm.formatting import count
from charlm.tokenizers.base import Ids, Tokenizer, UnfinishedText

FEATURE_MARK = "\x1f"
FEATURE_SEPARATOR = ";"
_FEATURES = re.compile(rf"{FEATURE_MARK}[^\t\n]*")
_FEATURE = re.compile(rf"[{FEATURE_MARK}{FEATURE_SEPARATOR}][^{FEATURE_SEPARATOR}]*")
_TARGET = re.compile(r"(?<=\t)[^\t\n]+")


def features_of(source: str) -> list[str]:
    """Return the features of a source, each with the mark or separator before it."""
    _, mark, features = source.partition(FEATURE_MARK)
    return _FEATURE.findall(mark + features)


class SymbolTokenizer(Tokenizer):
    r"""A base tokenizer, and symbols that are tokens in the columns of a line.

    >>> from charlm.tokenizers import ByteTokenizer
    >>> tokenizer = SymbolTokenizer(ByteTokenizer(), features=(), symbols=("yes", "no"))
    >>> tokenizer.encode("a\tno").tolist()
    [97, 9, 257]
    """

    def __init__(
        self,
        base: Tokenizer,
        *,
        features: Sequence[str],
        symbols: Sequence[str],
        separator: str | None = None,
    ) -> None:
        """Take the vocabulary.

        Args:
            base: Encodes what is no symbol.
            features: Each with the mark or separator before it.
            symbols: Of targets. With a separator each but the first of a target stands behind it.
            separator: Between the symbols of a target; None makes a whole target one symbol.

        Raises:
            ValueError: If a symbol is there twice or empty.
        """
        if len({*features, *symbols}) < len(features) + len(symbols) or "" in symbols:
            raise ValueError("its symbols must be different, and not empty")
        if separator == "":
            raise ValueError("its separator is empty")
        self.base, self.features, self.symbols = base, tuple(features), tuple(symbols)
        self.kind, self.separator = base.kind, separator
        self.pieces = (*base.pieces, *features, *symbols)
        added = enumerate([*features, *symbols], start=base.vocab_size)
        self._ids = {symbol: number for number, symbol in added}
        self._columns = re.compile(f"{_FEATURES.pattern}|{_TARGET.pattern}")
        self._unit = None
        if separator is not None:
            escaped = re.escape(separator)
            self._unit = re.compile(f"(?s)(?:{escaped})?(?:(?!{escaped}).)*")

    @property
    def first_symbol(self) -> int:
        """The id of the first symbol of targets; the others follow, and end the vocabulary."""
        return self.vocab_size - len(self.symbols)

    @property
    def vocabulary(self) -> str:
        """The base's vocabulary, and the numbers of symbols and features."""
        parts = [self.base.vocabulary]
        if self.features:
            parts.append(count(len(self.features), "feature"))
        if self.symbols and self.separator is not None:
            parts.append(count(len(self.symbols) // 2, "symbol"))  # with and without separator
        elif self.symbols:
            parts.append(f"{len(self.symbols):,} classes")
        return ", ".join(parts)

    @property
    def binary(self) -> bytes:
        """The SentencePiece model of the base, if it has one."""
        return self.base.binary

    def encode(self, text: str) -> Ids:
        """Return the ids of lines, shape (tokens,)."""
        parts: list[Ids] = []
        end = 0
        for column in self._columns.finditer(text):
            for start, unit in self._units(column):
                token = self._ids.get(unit)
                if token is not None:
                    if start > end:
                        parts.append(self.base.encode(text[end:start]))
                    parts.append(np.array([token]))
                    end = start + len(unit)
        if end < len(text):
            parts.append(self.base.encode(text[end:]))
        joined = np.concatenate(parts) if parts else np.empty(0)
        return joined.astype(self.id_dtype)

    def encode_unfinished(self, text: str) -> UnfinishedText:
        """Return the ids of a source that may go on in the middle of a word."""
        if FEATURE_MARK in text or "\t" in text:
            return UnfinishedText(self.encode(text), "", ())
        return self.base.encode_unfinished(text)

    def _units(self, column: "re.Match[str]") -> Iterable[tuple[int, str]]:
        """Yield the texts of a column that may be symbols, and where they begin."""
        text = column[0]
        if text.startswith(FEATURE_MARK):
            return [(column.start() + unit.start(), unit[0]) for unit in _FEATURE.finditer(text)]
        if self._unit is None:
            return [(column.start(), text)]
        return [(column.start() + unit.start(), unit[0]) for unit in self._unit.finditer(text)]

    def to_json(self) -> dict[str, Any]:
        """Return the base and the symbols."""
        return {
            "kind": self.kind,
            "base": self.base.to_json(),
            "features": list(self.features),
            "symbols": list(self.symbols),
            "separator": self.separator,
        }
