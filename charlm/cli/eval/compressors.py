"""The size of a text after gzip, bzip2, xz and PPMd: a baseline for models."""

import bz2
import importlib
import importlib.util
import lzma
import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

PPMD_ORDER, PPMD_MEMORY = 6, 1 << 26  # bytes of a context, bytes of memory
GZIP_FORMAT = 16 + zlib.MAX_WBITS  # zlib takes the format from this number


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    "gzip": lambda: zlib.compressobj(9, wbits=GZIP_FORMAT),
    "bzip2": lambda: bz2.BZ2Compressor(9),
    "xz": lambda: lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME),
}


def compressed_sizes(
    text: Callable[[], Iterable[bytes]], training_text: Callable[[], Iterable[bytes]] | None
) -> dict[str, int]:
    """Return the compressed size of a text in bytes, by compressor, each at its strongest.

    PPMd, which predicts by counts that learn the text as it is read, is there where pyppmd is
    installed.

    Args:
        text: Returns the chunks of the text, each time that it is called.
        training_text: Returns the chunks of another text. `…_after_training` is what the text adds
            to the compressed size of that one.
    """
    compressors = dict(_COMPRESSORS)
    if importlib.util.find_spec("pyppmd") is not None:
        compressors["ppmd"] = _ppmd
    sizes = {name: _size(compressor(), text()) for name, compressor in compressors.items()}
    if training_text is not None:
        for name, compressor in compressors.items():
            alone = _size(compressor(), training_text())
            both = _size(compressor(), training_text(), text())
            sizes[f"{name}_after_training"] = both - alone
    return sizes


def _ppmd() -> _Compressor:
    compressor: _Compressor = importlib.import_module("pyppmd").PpmdCompressor(
        PPMD_ORDER, PPMD_MEMORY
    )
    return compressor


def _size(compressor: _Compressor, *texts: Iterable[bytes]) -> int:
    """Return the compressed size of some texts together, in bytes."""
    compressed = (compressor.compress(chunk) for text in texts for chunk in text)
    return sum(map(len, compressed)) + len(compressor.flush())
