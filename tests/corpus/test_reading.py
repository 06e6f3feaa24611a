"""Texts are read strictly, and what is no text is called by its name."""

import gzip
import hashlib
import io
import os
import sys
import threading

import pytest

from charlm.corpus import reading
from charlm.corpus.reading import Document, examine, open_documents
from charlm.errors import ConfigError, CorpusError
from charlm.process_group import Process, ProcessGroup


@pytest.fixture
def document(tmp_path):
    def build(data):
        path = tmp_path / "text.txt"
        path.write_bytes(data)
        return Document("text.txt", path)

    return build


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 3)


def opened(*names):
    with open_documents(names):
        raise AssertionError("opened what should be refused")


def text_of(document):
    return "".join(document.read_text())


def test_text_is_read_byte_for_byte(document):
    text = "one\r\ntwo\rthree\n\n\ttab\0é客👨‍👩"

    assert text_of(document(text.encode())) == text


def test_characters_may_lie_across_chunks(document, small_chunks):
    text = "a客栈é" * 5

    assert text_of(document(text.encode())) == text


def test_a_byte_order_mark_is_dropped_and_told(document):
    marked = document(b"\xef\xbb\xbfabc")

    assert text_of(marked) == "abc"
    assert examine(marked).has_byte_order_mark
    assert not examine(document(b"abc")).has_byte_order_mark


def test_a_mark_inside_the_text_stays(document):
    assert text_of(document("a\ufeffb".encode())) == "a\ufeffb"


def test_a_document_is_measured_and_hashed(document):
    data = "\ufeffé客".encode()
    facts = examine(document(data))

    assert (facts.characters, facts.bytes) == (2, 5)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "offset", "byte"),
    [
        (b"caf\xe9 noir", 3, "e9"),
        (b"0123456789\xff", 10, "ff"),
        (b"abc\xed\xa0\x80", 3, "ed"),  # a surrogate
        (b"abcdefg\xe5\xae", 7, "e5"),  # cut short
        (b"abcd\xe5\xaex", 4, "e5"),
    ],
)
def test_wrong_utf8_is_named_by_offset(document, small_chunks, data, offset, byte):
    with pytest.raises(
        CorpusError, match=rf"text.txt is not UTF-8: byte 0x{byte} .*offset {offset}$"
    ):
        text_of(document(data))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (gzip.compress(b"text", mtime=0), "a gzip archive"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (b"PK\x03\x04\x14\x00\x00\x00", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a git-lfs pointer"),
        (b"\x89PNG\r\n", "a PNG picture"),
        ("text".encode("utf-16"), "UTF-16 text"),
        ("plain text".encode("utf-16-le"), "UTF-16 text"),
        ("plain text".encode("utf-16-be"), "UTF-16 text"),
        ("text".encode("utf-32"), "UTF-32 text"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"SQLite format 3\x00", "an SQLite database"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(document, data, name):
    with pytest.raises(CorpusError, match=f"text.txt is {name}"):
        text_of(document(data))


@pytest.mark.parametrize(
    "text", ["BZhang said so", "GIF89a is a format", "<!DOCTYPE html><p>é", "%PDF-1.7", "{\\rtf1}"]
)
def test_a_text_may_begin_as_it_likes(document, text):
    assert text_of(document(text.encode())) == text


def test_a_few_nul_bytes_do_not_make_a_text_utf16(document):
    assert text_of(document(b"a\0b\0 and so on, at length")) == "a\0b\0 and so on, at length"


def test_a_directory_is_its_text_files_in_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.txt", "deep/c.txt", "notes.md"):
        (tmp_path / name).write_text(name)

    with open_documents([str(tmp_path)]) as documents:
        assert [text_of(each) for each in documents] == ["a.txt", "b.txt", "deep/c.txt"]


def test_a_directory_without_texts_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"holds no \.txt file"):
        opened(str(tmp_path))


def test_a_missing_file_is_an_error():
    with pytest.raises(CorpusError, match=r"nowhere\.txt does not exist"):
        opened("nowhere.txt")


def test_a_pipe_that_the_shell_keeps_for_itself_is_told_with_the_cure():
    """As <(zcat text.gz) is where torchrun starts the command."""
    with (
        pytest.raises(CorpusError, match="/dev/fd/999 does not exist") as found,
        open_documents(["/dev/fd/999"]),
    ):
        pass
    assert "pipe the text into stdin" in found.value.hint


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())

    with pytest.raises(ConfigError, match="standard input is a terminal"):
        opened("-")


def test_stdin_can_be_read_again_and_again(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é\r\n".encode())))
    with open_documents(["-"]) as [document]:
        texts = [text_of(document), text_of(document)]

    assert texts == ["é\r\n", "é\r\n"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_can_be_read_again_and_again(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"from a pipe",))
    writer.start()
    with open_documents([str(pipe)]) as [document]:
        writer.join()
        texts = [text_of(document), text_of(document)]

    assert texts == ["from a pipe", "from a pipe"]


def test_standard_input_is_read_by_the_first_process_alone():
    class Receiver(ProcessGroup):
        def broadcast(self, data):
            return sent.pop(0)

    sent = [b"the first\n", b"and more", b""]
    group = Receiver(Process(rank=1, world_size=2, local_rank=1, local_world_size=2))
    with open_documents(["-"], group) as [document]:
        assert list(document.read_text()) == ["the first\nand more", ""]
    assert sent == []
