"""Lines come as they are, and as soon as they are there."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.corpus import line_batches
from charlm.corpus.line_batches import LineBatch, read_line_batches
from charlm.errors import CorpusError


@pytest.fixture
def file_of(tmp_path):
    def write(data):
        path = tmp_path / "text"
        path.write_bytes(data)
        return str(path)

    return write


def test_a_line_ends_at_a_line_end_and_nowhere_else(file_of):
    name = file_of("a\r\nb\x0bc\x85d\u2028e\n\nlast".encode())

    assert list(read_line_batches(name)) == [
        LineBatch(name, 1, ["a\r\n", "b\x0bc\x85d\u2028e\n", "\n"]),
        LineBatch(name, 4, ["last"]),
    ]


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_of_nothing_there_is_no_line(file_of, data):
    assert [line for batch in read_line_batches(file_of(data)) for line in batch.lines] == []


def test_a_byte_order_mark_is_no_part_of_the_text(file_of):
    [batch] = read_line_batches(file_of(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n"))

    assert batch.lines == ["a\n", "\ufeffb\n"]


@given(st.lists(st.text(alphabet="ab客\r\u2028", max_size=12), max_size=40), st.integers(1, 7))
def test_however_much_is_read_at_once_the_lines_are_the_same(lines, size):
    reading, writing = os.pipe()
    os.write(writing, "\n".join(lines).encode())
    os.close(writing)
    before = line_batches.SMALLEST_READ, line_batches.LARGEST_READ
    line_batches.SMALLEST_READ = line_batches.LARGEST_READ = size
    try:
        found = list(read_line_batches(f"/dev/fd/{reading}"))
    finally:
        line_batches.SMALLEST_READ, line_batches.LARGEST_READ = before
        os.close(reading)

    assert "".join(line for batch in found for line in batch.lines) == "\n".join(lines)
    numbers = [batch.number + place for batch in found for place in range(len(batch.lines))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_line_is_there_before_the_next_is_written(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    written = threading.Event()

    def write():
        with pipe.open("wb", buffering=0) as file:
            file.write(b"one\ntw")
            written.wait(30)
            file.write(b"o\n")

    writer = threading.Thread(target=write)
    writer.start()
    found = read_line_batches(str(pipe))
    assert next(found).lines == ["one\n"]
    written.set()
    assert next(found) == LineBatch(str(pipe), 2, ["two\n"])
    writer.join()


def test_what_is_not_utf8_is_told_by_line_and_place_after_the_lines_before_it(file_of):
    found = read_line_batches(file_of(b"one\ntwo\nth\xffree\nfour\n"))

    assert next(found).lines == ["one\n", "two\n"]
    with pytest.raises(CorpusError, match=r"line 3, is not UTF-8: byte 0xff at offset 2"):
        next(found)


def test_what_is_not_utf8_may_be_read_all_the_same(file_of):
    name = file_of(b"one\nt\xffwo\nthree\n\xc3\n")

    [batch] = read_line_batches(name, is_strict=False)
    assert batch == LineBatch(name, 1, ["one\n", "t\ufffdwo\n", "three\n", "\ufffd\n"], wrong=2)


def test_where_more_is_there_a_lot_does_not_end_before_an_empty_line(file_of, monkeypatch):
    monkeypatch.setattr(line_batches, "SMALLEST_READ", 4)
    monkeypatch.setattr(line_batches, "LARGEST_READ", 4)
    name = file_of(b"a\nb\n\n\nc\nd\n\n")

    assert [batch.lines for batch in read_line_batches(name)] == [
        ["a\n"],
        ["b\n", "\n", "\n"],
        ["c\n", "d\n", "\n"],
    ]


def test_what_is_no_text_is_named(file_of):
    with pytest.raises(CorpusError, match="is a gzip"):
        next(read_line_batches(file_of(b"\x1f\x8b\x08\x00" + bytes(40))))


def test_what_is_not_there_is_one_line():
    with pytest.raises(CorpusError, match="nowhere cannot be read: No such file"):
        next(read_line_batches("nowhere"))
