"""Lines are read unchanged, and as soon as they arrive."""

import os
import threading
import time

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
def test_an_empty_file_has_no_line(file_of, data):
    assert [line for batch in read_line_batches(file_of(data)) for line in batch.lines] == []


def test_a_byte_order_mark_is_no_part_of_the_text(file_of):
    [batch] = read_line_batches(file_of(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n"))

    assert batch.lines == ["a\n", "\ufeffb\n"]


def from_a_slow_pipe(*pieces, is_strict=True):
    """Return the lines of a pipe that delivers one piece after another."""
    reading, writing = os.pipe()

    def write():
        for piece in pieces:
            os.write(writing, piece)
            time.sleep(0.02)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        batches = read_line_batches(f"/dev/fd/{reading}", is_strict=is_strict)
        return [line for batch in batches for line in batch.lines]
    finally:
        writer.join()
        os.close(reading)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\xef", b"\xbb", b"\xbf", b"hello\n"],
        [b"\xef\xbb", b"\xbfhe", b"llo\n"],
        [b"\xef\xbb\xbf", b"hello\n"],
    ],
)
def test_a_byte_order_mark_may_arrive_in_pieces(pieces):
    assert from_a_slow_pipe(*pieces) == ["hello\n"]


def test_a_character_that_begins_like_a_byte_order_mark_stays():
    assert from_a_slow_pipe(b"\xef", b"\xbc\x81\n", "\ufeff\n".encode()) == ["！\n", "\ufeff\n"]


@pytest.mark.parametrize("data", [b"\xef", b"\xef\xbb"])
def test_a_part_of_a_byte_order_mark_is_not_utf8(file_of, data):
    with pytest.raises(CorpusError, match="line 1, is not UTF-8: byte 0xef at offset 0"):
        list(read_line_batches(file_of(data)))


@pytest.mark.parametrize("is_strict", [True, False])
def test_another_type_of_file_is_named_when_it_arrives_in_pieces(is_strict):
    for head in (b"\x1f\x8b\x08\x00", "text".encode("utf-16-le")):
        with pytest.raises(CorpusError, match=r"is a gzip archive|is UTF-16 text"):
            from_a_slow_pipe(*(bytes([byte]) for byte in head), is_strict=is_strict)


@given(st.lists(st.text(alphabet="ab客\r\u2028", max_size=12), max_size=40), st.integers(1, 7))
def test_however_much_is_read_at_once_the_lines_are_the_same(lines, size):
    reading, writing = os.pipe()
    os.write(writing, "\n".join(lines).encode())
    os.close(writing)
    before = line_batches.SMALLEST_READ, line_batches.LARGEST_READ
    line_batches.SMALLEST_READ = line_batches.LARGEST_READ = size
    try:
        batches = list(read_line_batches(f"/dev/fd/{reading}"))
    finally:
        line_batches.SMALLEST_READ, line_batches.LARGEST_READ = before
        os.close(reading)

    assert "".join(line for batch in batches for line in batch.lines) == "\n".join(lines)
    numbers = [batch.number + index for batch in batches for index in range(len(batch.lines))]
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
    batches = read_line_batches(str(pipe))
    assert next(batches).lines == ["one\n"]
    written.set()
    assert next(batches) == LineBatch(str(pipe), 2, ["two\n"])
    writer.join()


def test_a_line_that_is_not_utf8_is_an_error_after_the_lines_before_it(file_of):
    batches = read_line_batches(file_of(b"one\ntwo\nth\xffree\nfour\n"))

    assert next(batches).lines == ["one\n", "two\n"]
    with pytest.raises(CorpusError, match=r"line 3, is not UTF-8: byte 0xff at offset 2"):
        next(batches)


def test_a_line_that_is_not_utf8_may_be_read_with_replacements(file_of):
    name = file_of(b"one\nt\xffwo\nthree\n\xc3\n")

    [batch] = read_line_batches(name, is_strict=False)
    assert batch == LineBatch(name, 1, ["one\n", "t\ufffdwo\n", "three\n", "\ufffd\n"], wrong=2)


def test_another_type_of_file_is_named(file_of):
    with pytest.raises(CorpusError, match="is a gzip"):
        next(read_line_batches(file_of(b"\x1f\x8b\x08\x00" + bytes(40))))


def test_a_missing_file_is_an_error():
    with pytest.raises(CorpusError, match="nowhere cannot be read: No such file"):
        next(read_line_batches("nowhere"))


def test_stdin_is_read_under_its_name(monkeypatch, file_of):
    with open(file_of(b"one\ntwo\n")) as file:
        monkeypatch.setattr("sys.stdin", file)
        assert list(read_line_batches("-")) == [LineBatch("stdin", 1, ["one\n", "two\n"])]


def test_a_file_that_cannot_be_read_is_an_error(monkeypatch, file_of):
    def fail(file, size):
        raise OSError(5, "Input/output error")

    name = file_of(b"one\n")
    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(CorpusError, match="text cannot be read: Input/output error"):
        next(read_line_batches(name))
