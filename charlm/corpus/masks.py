"""Masks: time stamps, numbers or ids of a line become one mark before the line is read.

    2026-03-01 00:00:03 upgrade libcrane25      with the mask [0-9]+ becomes
    □-□-□ □:□:□ upgrade libcrane□

Lines that differ in these alone are the same line to the model. What is printed stays as it was.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.config import UserPattern

MARK = "□"  # one character, so that a mark is one token, or three bytes


def masked_lines(lines: Sequence[str], mask: str | None) -> Sequence[str]:
    """Return lines in which each match of the pattern `mask` is a mark; None masks nothing.

    Raises:
        ConfigError: If the pattern takes too long.
    """
    if mask is None:
        return lines
    spans = UserPattern("--mask", mask).spans(lines)
    return [_masked(line, matches) for line, matches in zip(lines, spans, strict=True)]


def masked(text: str, mask: str | None) -> str:
    """Return a text with masked lines; see `masked_lines`."""
    if mask is None:
        return text
    return "\n".join(masked_lines(text.replace("\r\n", "\n").split("\n"), mask))


def offsets_of_masked(lines: Sequence[str], mask: str) -> Iterator[NDArray[np.int64]]:
    """Yield where each character of a masked line, and its end, is in the line: (characters + 1,).

    Raises:
        ConfigError: If the pattern takes too long.
    """
    spans = UserPattern("--mask", mask).spans(lines)
    for line, matches in zip(lines, spans, strict=True):
        is_kept = np.ones(len(line) + 1, np.bool_)
        for start, stop in matches:
            is_kept[start + 1 : stop] = False  # the mark stands for the first
        yield np.flatnonzero(is_kept)


def _masked(line: str, matches: Sequence[tuple[int, int]]) -> str:
    parts: list[str] = []
    end = 0
    for start, stop in matches:
        parts += [line[end:start], MARK]
        end = stop
    return "".join([*parts, line[end:]])
