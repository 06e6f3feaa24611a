"""Ids of bytes as tests write them down."""

BOUNDARY = 256


def letters(ids):
    """Return what ids of ASCII stand for, a boundary as ■."""
    return "".join("■" if token == BOUNDARY else chr(token) for token in ids)
