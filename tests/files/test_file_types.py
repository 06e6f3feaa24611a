"""Files that were named by mistake are recognised by their first bytes."""

import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from charlm.files.file_types import is_picture, is_text, recognise


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (gzip.compress(b"text", mtime=0), "a gzip archive"),
        (zipped(), "a zip archive (as .docx, .epub and PyTorch's .pt files are)"),
        (pickle.dumps({"a": 1}, protocol=4), "a Python pickle"),
        (save({"a": np.zeros(3, np.float32)}), "a safetensors file"),
        (b"%PDF-1.7", "a PDF document"),
        (b" \n<!DOCTYPE html><html>", "an HTML page"),
        (b"<HTML lang=en>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer, not the file itself"),
        ("\ufefftext".encode("utf-16-le"), "UTF-16 text"),
        ("text without a mark".encode("utf-16-be"), "UTF-16 text"),
        ("\ufefftext".encode("utf-32-le"), "UTF-32 text"),
        (b"Once upon a time", None),
        (b"", None),
        (b"\x00\x00\x00\x00", None),
    ],
)
def test_the_type_of_a_file_is_recognised(head, name):
    assert recognise(head) == name


def test_a_header_whose_length_looks_like_a_pickle_is_safetensors():
    assert recognise((0x0480).to_bytes(8, "little") + b'{"a":') == "a safetensors file"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("né 客".encode(), True),
        ("né 客".encode()[:-1], True),  # cut within a character
        (b"", True),
        (b"a\0b", False),
        (b"caf\xe9 au lait", False),
    ],
)
def test_text_is_utf8_without_nul(head, expected):
    assert is_text(head) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", True),
        (b"<?xml version='1.0'?>\n<!DOCTYPE svg>\n<svg>", True),
        (b"\x89PNG\r\n", True),
        (b"%PDF-1.4", True),
        (b"<?xml version='1.0'?>\n<book>", False),
        (b"The tide went out.", False),
        (b"", False),
    ],
)
def test_pictures_are_recognised(head, expected):
    assert is_picture(head) is expected
