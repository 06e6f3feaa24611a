"""Texts that are not UTF-8, or have lines that are too long, are refused with file and place."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.corpus import examples, reading
from charlm.corpus.reading import Document, examine
from charlm.errors import CorpusError

SURROGATE = b"\xed\xa0\x80"
UTF8 = st.text().map(str.encode)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("text") / "text.txt"


def reported_offset(path, data):
    """Return the offset in the error message, or None if the text was read without loss."""
    path.write_bytes(data)
    try:
        text = "".join(Document("text.txt", path).read_text())
    except CorpusError as error:
        if " is not UTF-8: byte" not in error.message:
            return "not a text"
        assert error.message.startswith("text.txt is not UTF-8: byte 0x")
        return int(error.message.rpartition(" ")[2].replace(",", ""))
    assert text.encode() == data.removeprefix(b"\xef\xbb\xbf")
    return None


def offset_of_wrong_byte(data):
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


@pytest.mark.parametrize("wrong", [b"\xff", b"\xe9", SURROGATE, b"\xf4\x90\x80\x80", b"\xc0\x80"])
@pytest.mark.parametrize("chunk_bytes", [3, 4, 5, 1 << 22])
def test_wrong_bytes_are_found_at_any_place(path, monkeypatch, wrong, chunk_bytes):
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
    text = "aé客😀\0\n".encode() * 2
    for place in range(len(text) + 1):
        data = text[:place] + wrong + text[place:]
        assert reported_offset(path, data) == offset_of_wrong_byte(data)


@pytest.mark.parametrize("place", range(-3, 2))
def test_wrong_bytes_are_found_at_the_border_of_chunks(path, place):
    data = bytearray(b"a" * (reading.CHUNK_BYTES + 10))
    data[reading.CHUNK_BYTES + place] = 0xE5

    assert reported_offset(path, bytes(data)) == reading.CHUNK_BYTES + place


@given(st.lists(st.one_of(st.binary(max_size=8), UTF8), max_size=8).map(b"".join))
def test_any_bytes_are_read_without_loss_or_refused_with_the_offset(path, data):
    offset = reported_offset(path, data)

    assert offset == offset_of_wrong_byte(data) or offset == "not a text"


def test_a_measured_text_is_checked_as_well(path):
    path.write_bytes(b"caf\xe9")

    with pytest.raises(CorpusError, match=r"at offset 3$"):
        examine(Document("text.txt", path))


@pytest.mark.parametrize(
    "command",
    [
        ["train"], ["train", "--lines"], ["train", "--pairs"], ["eval"], ["eval", "--baselines"],
        ["eval", "--per-token"], ["eval", "--per-word"], ["eval", "--heatmap"],
        ["eval", "--dynamic"], ["generate", "--seed-file"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_names_file_and_offset_of_wrong_bytes(
    charlm, tmp_path, verse_model_path, command
):
    (tmp_path / "odd.txt").write_bytes(b"the\tcat\n" * 20 + b"sat" + SURROGATE + b"\n")
    result = charlm(*command, "odd.txt", env={"CHARLM_MODEL": str(verse_model_path)})
    stderr = result.stderr.decode()

    assert result.returncode == 2
    assert "Traceback" not in stderr
    assert "error: odd.txt" in stderr
    assert "is not UTF-8: byte 0xed at offset " in stderr


@pytest.mark.parametrize("arguments", [["--seed", b"the\xff"], ["--seed", "-"]], ids=str)
def test_a_seed_text_that_is_not_utf8_is_refused(charlm_path, verse_model_path, arguments):
    result = subprocess.run(
        [charlm_path, "generate", "-m", verse_model_path, *arguments],
        input=b"the\xff",
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr.startswith(b"error: the seed text")
    assert b"is not UTF-8" in result.stderr


def test_lines_that_are_not_utf8_are_scored_with_a_note(charlm, verse_model_path):
    stdin = b"the cat\n" + SURROGATE + b"\n\0\n"
    result = charlm("eval", "-m", verse_model_path, "--per-line", "--json", stdin=stdin)

    texts = [json.loads(line)["text"] for line in result.stdout.splitlines()]
    assert texts == ["the cat", "\ufffd" * 3, "\0"]
    assert b"stdin, line 2, is not UTF-8" in result.stderr


def test_nul_is_a_character_like_any_other(charlm, tmp_path):
    (tmp_path / "nul.txt").write_bytes(b"the\0cat sat\0on\n" * 100)
    trained = charlm("train", "nul.txt", "--max-steps", 3, "--hidden-size", 8)
    generated = charlm("generate", "--seed", "the", "-n", 30)
    scored = charlm("eval", "nul.txt", "--json")

    assert (trained.returncode, generated.returncode, scored.returncode) == (0, 0, 0)
    assert json.loads(scored.stdout)["characters"] == 1500


def test_a_line_that_is_too_long_for_an_example_is_refused(corpus_of, monkeypatch):
    monkeypatch.setattr(examples, "LONGEST_LINE", 50)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 20)
    lines = ["a" * 50, "b" * 50]
    corpus = corpus_of("\n".join(lines * 5), task="lines")

    assert corpus.examples == 10
    with pytest.raises(CorpusError, match="has a line of more than 50 characters"):
        corpus_of("\n".join([*lines, "c" * 51, *lines]), task="lines")
