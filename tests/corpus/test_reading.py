"""Texts are read strictly from files, pipes and stdin; another type of file is named."""

import gzip
import hashlib
import io
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from charlm.corpus import reading
from charlm.corpus.reading import Document, examine, open_documents, refuse_device
from charlm.errors import ConfigError, CorpusError
from charlm.process_group import Process, ProcessGroup

needs_named_pipes = pytest.mark.skipif(
    not hasattr(os, "mkfifo"), reason="the system has no named pipes"
)
LINE = "the cat sat on the mat\n"


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


def text_of(document):
    return "".join(document.read_text())


def test_text_is_read_byte_for_byte(document):
    text = "one\r\ntwo\rthree\n\n\ttab\0é客👨‍👩"

    assert text_of(document(text.encode())) == text


def test_characters_may_lie_across_chunks(document, small_chunks):
    text = "a客栈é" * 5

    assert text_of(document(text.encode())) == text


def test_a_byte_order_mark_is_dropped_and_reported(document):
    marked = document(b"\xef\xbb\xbfabc")

    assert text_of(marked) == "abc"
    assert examine(marked).has_byte_order_mark
    assert not examine(document(b"abc")).has_byte_order_mark


@pytest.mark.parametrize("size", [1, 2])
def test_a_byte_order_mark_may_come_byte_by_byte(document, monkeypatch, size):
    monkeypatch.setattr(reading, "CHUNK_BYTES", size)
    marked = document("\ufeffé\ufeff".encode())

    assert text_of(marked) == "é\ufeff"
    assert examine(marked).has_byte_order_mark
    assert examine(marked).characters == 2


def test_another_type_of_file_is_named_when_it_comes_byte_by_byte(document, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 1)
    with pytest.raises(CorpusError, match=r"text\.txt is a gzip archive"):
        text_of(document(gzip.compress(b"text", mtime=0)))


def test_a_part_of_a_byte_order_mark_is_not_utf8(document):
    for data in (b"\xef", b"\xef\xbb"):
        with pytest.raises(CorpusError, match="byte 0xef at offset 0"):
            text_of(document(data))


def test_a_mark_inside_the_text_stays(document):
    assert text_of(document("a\ufeffb".encode())) == "a\ufeffb"


def test_a_document_is_measured_and_hashed(document):
    data = "\ufeffé客".encode()
    info = examine(document(data))

    assert (info.characters, info.bytes) == (2, 5)
    assert info.sha256 == hashlib.sha256(data).hexdigest()


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
def test_another_type_of_file_is_named(document, data, name):
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
        assert [text_of(document) for document in documents] == ["a.txt", "b.txt", "deep/c.txt"]


def test_a_directory_without_texts_is_an_error(tmp_path):
    with (
        pytest.raises(CorpusError, match=r"holds no \.txt file"),
        open_documents([str(tmp_path)]),
    ):
        pass


def test_a_missing_file_is_an_error():
    with (
        pytest.raises(CorpusError, match=r"nowhere\.txt does not exist"),
        open_documents(["nowhere.txt"]),
    ):
        pass


def test_a_pipe_that_the_shell_has_closed_is_an_error_with_a_hint():
    """As <(zcat text.gz) is where torchrun starts the command."""
    with (
        pytest.raises(CorpusError, match="/dev/fd/999 does not exist") as caught,
        open_documents(["/dev/fd/999"]),
    ):
        pass
    assert "pipe the text into stdin" in caught.value.hint


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())

    with pytest.raises(ConfigError, match="standard input is a terminal"), open_documents(["-"]):
        pass


def test_a_closed_stdin_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(ConfigError, match="standard input is closed"), open_documents(["-"]):
        pass


def test_stdin_can_be_read_again_and_again(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é\r\n".encode())))
    with open_documents(["-"]) as [document]:
        texts = [text_of(document), text_of(document)]

    assert texts == ["é\r\n", "é\r\n"]


@needs_named_pipes
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


@needs_named_pipes
def test_a_slow_pipe_is_the_same_text(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write():
        with pipe.open("wb", buffering=0) as file:
            for byte in b"\xef\xbb\xbfhello":
                file.write(bytes([byte]))
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    with open_documents([str(pipe)]) as [document]:
        writer.join()
        assert text_of(document) == "hello"
        assert examine(document).has_byte_order_mark


def test_a_file_without_a_size_may_have_a_text():
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("the system has no /proc")
    with open_documents([str(status)]) as [document]:
        first = text_of(document)

        assert first.startswith("Name:")
        assert text_of(document) == first


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
def test_a_device_without_end_is_refused(device):
    if not Path(device).exists():
        pytest.skip(f"the system has no {device}")
    with pytest.raises(CorpusError, match=f"{device} is a device, not a text"):
        refuse_device(Path(device))


@pytest.mark.parametrize(
    "command",
    [["train"], ["eval"], ["eval", "--per-line"], ["generate", "--seed-file"]],
    ids=" ".join,
)
def test_every_command_refuses_a_device(charlm, verse_model_path, command):
    if not Path("/dev/zero").exists():
        pytest.skip("the system has no /dev/zero")
    result = charlm(*command, "/dev/zero", env={"CHARLM_MODEL": str(verse_model_path)}, timeout=30)

    assert result.returncode == 2
    assert result.stderr.decode().startswith("error: /dev/zero is a device, not a text\n")


def test_the_null_device_is_an_empty_text():
    with open_documents([os.devnull]) as [document]:
        assert text_of(document) == ""


@needs_named_pipes
def test_every_pipe_is_the_file_that_it_is_fed_from(
    charlm, charlm_path, verse_model_path, tmp_path
):
    path = tmp_path / "text.txt"
    path.write_text(LINE * 100)
    os.mkfifo(tmp_path / "named")
    score = charlm("eval", "-m", verse_model_path, path).stdout

    for text in ("/dev/stdin < text.txt", "<(cat text.txt)", "- < text.txt", "named"):
        feed = "cat text.txt > named &" * (text == "named")
        result = subprocess.run(
            ["bash", "-c", f"{feed} '{charlm_path}' eval -m '{verse_model_path}' {text}"],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert result.stdout == score


@pytest.mark.parametrize("lines", [100, 1000])  # some kilobytes, which a buffer may hold, or more
def test_a_full_temporary_directory_is_an_error_with_a_hint(tmp_path, lines):
    pytest.importorskip("resource")
    limited = (
        "import resource, sys; sys.argv = ['charlm', 'train', '-'];"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from charlm.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited],
        input=LINE.encode() * lines,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "COVERAGE_PROCESS_START": ""},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr.decode() == (
        f"error: the text of stdin cannot be written to {tmp_path}: File too large\n\n"
        "hint: name a directory with more room in $TMPDIR\n"
    )


def test_without_a_temporary_directory_there_is_an_error_with_a_hint(monkeypatch):
    def fail():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(CorpusError, match="a temporary file cannot be opened: No usable") as caught:
        reading.open_temporary()
    assert "$TMPDIR" in caught.value.hint


def test_a_socket_cannot_be_read(tmp_path):
    socket = pytest.importorskip("socket")
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with (
            pytest.raises(CorpusError, match="socket cannot be read: No such device or address"),
            open_documents([str(path)]),
        ):
            pass

    assert stat.S_ISSOCK(path.stat().st_mode)
