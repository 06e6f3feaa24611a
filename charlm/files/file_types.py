"""Recognise files that were named by mistake, from their first bytes.

The message "is a gzip archive" saves the user a search. A file is never accepted or trusted
because of its type.
"""

import codecs

HEAD_SIZE = 4096  # bytes that `recognise` and `is_text` look at

SAFETENSORS = "a safetensors file"
GIT_LFS_POINTER = "a git-lfs pointer, not the file itself"

_SIGNATURES: list[tuple[bytes, str]] = [
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"PK\x03\x04", "a zip archive (as .docx, .epub and PyTorch's .pt files are)"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\xff\xfe\x00\x00", "UTF-32 text"),
    (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"version https://git-lfs.github.com/spec/", GIT_LFS_POINTER),
]


def recognise(head: bytes) -> str | None:
    """Return the type of a file that begins with `head` ("a PDF document"), or None.

    Plain text has no signature. UTF-16 without a mark is recognised, because every other byte of
    an ASCII text in it is NUL.
    """
    # safetensors comes first: the length at its beginning may look like any signature.
    if head[4:16].strip(b"\x00").startswith(b"{") and head[8:9] == b"{":
        return SAFETENSORS
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if is_html(head):
        return "an HTML page"
    for zeros, letters in ((head[0::2], head[1::2]), (head[1::2], head[0::2])):
        if len(head) >= 4 and zeros.count(0) > 0.7 * len(zeros) and letters.count(0) == 0:
            return "UTF-16 text"
    return None


def is_html(head: bytes) -> bool:
    """Return whether `head` is the beginning of an HTML page."""
    return head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))


def is_page(head: bytes) -> bool:
    """Return whether `head` is the beginning of a page that charlm wrote."""
    return is_html(head) and b'<meta name="generator" content="charlm">' in head


def is_picture(head: bytes) -> bool:
    """Return whether `head` is the beginning of a picture as charlm writes: SVG, PNG or PDF."""
    is_svg = head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head)
    return is_svg or head.startswith((b"\x89PNG", b"%PDF-"))


def is_text(head: bytes) -> bool:
    """Return whether `head` is UTF-8 without a NUL; its last character may be cut."""
    try:
        return "\0" not in codecs.getincrementaldecoder("utf-8")("strict").decode(head)
    except UnicodeDecodeError:
        return False
