"""A file that grows is read up to its former end; any other change is an error."""

import os
import threading

import pytest

from charlm.config import CorpusConfig
from charlm.corpus import encoding, reading, shards
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


def test_a_file_that_grows_is_read_up_to_its_former_end(text):
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


def test_a_corpus_is_the_same_while_another_program_appends(text):
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

    assert text.stat().st_size > before.documents[0].bytes
    assert after.documents == before.documents
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


def write_over_with_more(path):
    path.write_text(LINE.upper() * 200)


def insert_in_the_middle(path):
    path.write_text(LINE * 40 + "a line that was inserted\n" + LINE * 60)


def change_the_start_and_append(path):
    path.write_text("T" + LINE[1:] + LINE * 100)


@pytest.mark.parametrize(
    "change",
    [
        shorten,
        write_over,
        replace,
        write_over_with_more,
        insert_in_the_middle,
        change_the_start_and_append,
    ],
)
def test_a_file_that_changes_is_an_error(text, change):
    with (
        open_documents([str(text)]) as [document],
        pytest.raises(CorpusError, match=r"text\.txt changed while it was read$"),
    ):
        assert examine(document).characters == 2300
        change(text)
        text_of(document)


def test_a_file_that_is_gone_is_an_error(text):
    with (
        open_documents([str(text)]) as [document],
        pytest.raises(CorpusError, match=r"text\.txt cannot be read: No such file"),
    ):
        text.unlink()
        text_of(document)


def test_a_file_that_is_shortened_between_two_chunks_is_an_error(text, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    with (
        open_documents([str(text)]) as [document],
        pytest.raises(CorpusError, match="changed while it was read"),
    ):
        for _ in document.read_bytes():
            os.truncate(text, 100)


def test_a_long_file_that_is_written_anew_and_larger_is_an_error(text):
    """The file is longer than the sample that is compared."""
    lines = [f"line {number:06}\n" for number in range(20_000)]
    text.write_text("".join(lines))
    with open_documents([str(text)]) as [document], text.open("a") as log:
        log.write("a line that was appended\n")
        log.flush()
        assert sum(map(len, document.read_bytes())) == 240_000
        text.write_text("".join([*lines[:9_000], "inserted\n", *lines[9_000:]]))
        with pytest.raises(CorpusError, match="changed while it was read"):
            text_of(document)


def test_a_file_that_is_written_anew_and_larger_during_training_is_an_error(text, monkeypatch):
    """A shard is encoded when it is first read, which may be hours after the file was opened."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    monkeypatch.setattr(encoding, "SAMPLE_BYTES", 800)
    with open_documents([str(text)]) as documents:
        train = encode_corpus(documents, CorpusConfig()).train
        text.write_text(LINE.upper() * 200)
        with pytest.raises(CorpusError, match="changed while it was read"):
            train.read(0, 0, 2000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_text_that_changes_while_it_is_read_ends_training_with_one_error(charlm, text):
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

    assert result.returncode == 2
    message = f"error: {text} changed while it was read\n\nhint: read a copy of it\n"
    assert result.stderr.decode() == message
