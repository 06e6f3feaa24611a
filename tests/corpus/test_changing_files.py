"""A file is taken as it was when it was opened, or not at all."""

import os
import threading
from pathlib import Path

import pytest

from charlm.config import CorpusConfig
from charlm.corpus import reading
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import examine, open_documents
from charlm.errors import CorpusError

LINE = "the cat sat on the mat\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(LINE * 100)
    return path


def text_of(document):
    return "".join(document.read_text())


def test_a_file_that_grows_is_read_as_far_as_it_went(text):
    with open_documents([str(text)]) as [document], text.open("a") as log:
        before = examine(document)
        log.write("a line that was written later\n")
        log.flush()

        assert examine(document) == before
        assert text_of(document) == LINE * 100


def test_a_file_that_grows_while_it_is_read_is_one_text(text, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    with open_documents([str(text)]) as [document], text.open("a") as log:
        read = []
        for chunk in document.read_bytes():
            read.append(chunk)
            log.write("later\n")
            log.flush()

        assert b"".join(read) == (LINE * 100).encode()


def test_a_corpus_is_the_same_whoever_goes_on_writing(text):
    with open_documents([str(text)]) as documents:
        before = encode_corpus(documents, CorpusConfig())
    has_begun, is_over = threading.Event(), threading.Event()

    def write():
        with text.open("a", encoding="utf-8") as log:
            while not is_over.is_set():
                log.write("Qüx\n" * 100)
                log.flush()
                has_begun.set()

    with open_documents([str(text)]) as documents:
        writer = threading.Thread(target=write)
        writer.start()
        has_begun.wait()
        try:
            after = encode_corpus(documents, CorpusConfig())
        finally:
            is_over.set()
            writer.join()

    assert text.stat().st_size > before.facts[0].bytes
    assert after.facts == before.facts
    assert after.tokenizer.pieces == before.tokenizer.pieces
    assert after.validation.characters == before.validation.characters


def shorten(path):
    os.truncate(path, 10)


def write_over(path):
    path.write_text(LINE.upper() * 100)
    os.utime(path, ns=(1, 1))  # for a clock may be slower than this test


def replace(path):
    other = path.with_name("other")
    other.write_text(LINE.upper() * 200)
    os.replace(other, path)


@pytest.mark.parametrize("change", [shorten, write_over, replace])
def test_a_file_that_changes_is_an_error(text, change):
    with (
        open_documents([str(text)]) as [document],
        pytest.raises(CorpusError, match=r"text\.txt changed while it was read$"),
    ):
        assert examine(document).characters == 2300
        change(text)
        text_of(document)


def test_a_file_that_is_shortened_between_two_chunks_is_an_error(text, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    with (
        open_documents([str(text)]) as [document],
        pytest.raises(CorpusError, match="changed while it was read"),
    ):
        for _ in document.read_bytes():
            os.truncate(text, 100)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_text_that_changes_while_it_is_learnt_ends_in_a_line(charlm, text):
    pipe = text.with_name("pipe")
    os.mkfifo(pipe)

    def change():
        with pipe.open("w") as file:  # opened when the text has been, for it is named after it
            os.truncate(text, 10)
            file.write(LINE * 100)

    writer = threading.Thread(target=change)
    writer.start()
    result = charlm("train", text, pipe, "--max-steps", 2, "--hidden-size", 8)
    writer.join()

    assert result.returncode == 1
    told = f"error: {text} changed while it was read\n\nhint: read a copy of it\n"
    assert result.stderr.decode() == told


def test_a_file_without_a_size_may_have_a_text():
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("the system has no /proc")
    with open_documents([str(status)]) as [document]:
        assert text_of(document).startswith("Name:")
