"""What compressors make of a text: what a model has to beat."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

GZIP = 16 + zlib.MAX_WBITS  # zlib's way of asking for gzip's format


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    "gzip": lambda: zlib.compressobj(9, wbits=GZIP),
    "bzip2": lambda: bz2.BZ2Compressor(9),
    "xz": lambda: lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME),
}


def baselines(
    text: Callable[[], Iterable[bytes]], training_text: Callable[[], Iterable[bytes]] | None
) -> dict[str, int]:
    """Return the bytes that each compressor, at its strongest, makes of a text.

    Args:
        text: Gives the text in chunks, as often as it is asked.
        training_text: Gives another one. Under `…_after_training` stands what the text adds to
            the compressed size of that one.
    """
    sizes = {name: _size(begin(), text()) for name, begin in _COMPRESSORS.items()}
    if training_text is not None:
        for name, begin in _COMPRESSORS.items():
            alone = _size(begin(), training_text())
            sizes[f"{name}_after_training"] = _size(begin(), training_text(), text()) - alone
    return sizes


def _size(compressor: _Compressor, *texts: Iterable[bytes]) -> int:
    compressed = (compressor.compress(chunk) for text in texts for chunk in text)
    return sum(map(len, compressed)) + len(compressor.flush())
