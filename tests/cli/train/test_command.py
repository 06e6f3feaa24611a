"""`charlm train` as a user runs it."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest

SMALL = ("--hidden-size", 16, "--embedding-size", 8, "--batch-size", 8, "--bptt-length", 32)


def test_training_prints_its_plan_its_results_and_a_command_that_works(
    charlm, verse_path, tmp_path
):
    result = charlm(
        "train", verse_path, *SMALL, "--max-steps", 20, "-o", "my model", "--metrics", "m.jsonl"
    )
    output = result.stderr.decode()
    suggested = output.rstrip().rpartition("try: ")[2]
    metrics = list(map(json.loads, (tmp_path / "m.jsonl").read_text().splitlines()))

    assert result.returncode == 0
    assert result.stdout == b""
    assert output.startswith(
        "note: 5,640 characters are little to learn from; from some 50,000 on a model gets "
        "interesting. --from starts from a model of a longer text of this kind\n"
        "read 5.64 k characters from verse.txt\n"
        "learning from 5.08 k characters: vocabulary of 22 characters and 256 bytes, "
    )
    assert " parameters, " in output and " of memory, " in output
    assert "20 steps" in output
    assert "best validation" in output
    assert sorted(os.listdir(tmp_path)) == ["m.jsonl", "my model", "my model.state"]
    assert suggested == "charlm generate --length 300 --model 'my model'"
    assert charlm(*shlex.split(suggested)[1:]).returncode == 0
    assert {record["run"] for record in metrics} == {"my model"}
    assert [record["step"] for record in metrics if record["split"] == "train"] == [10, 20]
    assert (metrics[-1]["split"], metrics[-1]["step"]) == ("validation", 20)


def test_few_held_out_characters_are_noted(charlm, tmp_path):
    (tmp_path / "names.txt").write_text("Anna\nBert\nCleo\nDora\nEmil\nFritz\nGabi\nHans\n" * 3)
    result = charlm("train", "names.txt", "--lines", *SMALL, "--max-steps", 5)

    assert b" held-out characters can hardly judge a model" in result.stderr


def test_quiet_prints_nothing(charlm, verse_path):
    result = charlm("train", verse_path, *SMALL, "--max-steps", 5, "--quiet")

    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_stdin_and_files_are_one_text(charlm, verse_path):
    result = charlm(
        "train", "-", verse_path, *SMALL, "--max-steps", 5, stdin=verse_path.read_bytes()
    )
    info = json.loads(charlm("info", "--json").stdout)

    assert result.returncode == 0
    assert [document["name"] for document in info["provenance"]["corpus"]] == ["stdin", "verse.txt"]


def test_a_validation_text_of_its_own(charlm, verse_path, tmp_path):
    (tmp_path / "held-out.txt").write_text("the cat sat")
    charlm("train", verse_path, *SMALL, "--max-steps", 5, "--validation", "held-out.txt")
    provenance = json.loads(charlm("info", "--json").stdout)["provenance"]

    assert provenance["validation"]["characters"] == 11
    assert provenance["train"]["characters"] == provenance["corpus"][0]["characters"]


def test_overwrite_overwrites(charlm, verse_path, verse_model_path, tmp_path):
    """Also a damaged model."""
    (tmp_path / "model.safetensors").write_bytes(verse_model_path.read_bytes()[:-1])

    assert charlm("train", verse_path, *SMALL, "--max-steps", 5, "--overwrite").returncode == 0
    assert charlm("info").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("nowhere.txt",), 2, "error: nowhere.txt does not exist"),
        (("empty.txt",), 2, "error: empty.txt has 0 characters, but training needs at least 20"),
        (("short.txt",), 2, "error: short.txt has 5 characters, but training needs"),
        (("latin1.txt",), 2, "error: latin1.txt is not UTF-8: byte 0xe9 at offset 3"),
        (("text.gz",), 2, "error: text.gz is a gzip archive, not UTF-8 text"),
        (("good.txt", "-o", "good.txt"), 2, "error: good.txt is the text to learn from"),
        (("good.txt", "-o", "."), 2, "error: . is a directory"),
        (("good.txt", "-o", "no/where"), 2, "no does not exist"),
        (("good.txt", "--metrics", "no/where"), 2, "error: no/where cannot be written"),
        (("good.txt", "-o", "m", "--threads", "4096"), 2, "error: threads must be at most"),
        (("good.txt", "--hidden-size", "0"), 2, "error: hidden-size must be a whole number"),
        (("good.txt", "--lines", "--pairs"), 2, "--lines and --pairs exclude one another"),
        (("good.txt", "--max-time", "soon"), 2, "'soon' is no duration"),
        (("good.txt", "--optimizer", "magic"), 2, "'magic' is not one of"),
        ((), 2, "missing argument 'CORPUS'"),
    ],
)
def test_bad_input_is_one_clear_line(charlm, tmp_path, arguments, status, message):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("short")
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9" * 100)
    (tmp_path / "text.gz").write_bytes(b"\x1f\x8b\x08\x00" * 10)
    (tmp_path / "good.txt").write_text("good text " * 100)
    before = sorted(os.listdir(tmp_path))
    result = charlm("train", *arguments, "--max-steps", 1) if arguments else charlm("train")

    assert result.returncode == status
    assert message in result.stderr.decode() + result.stdout.decode()
    assert b"Traceback" not in result.stderr
    assert sorted(os.listdir(tmp_path)) == before


def test_a_byte_order_mark_and_a_missing_separator_are_noted(charlm, tmp_path):
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbf" + b"some text " * 100)
    options = ("--document-separator", "ZZZ", "--max-steps", 1)
    output = charlm("train", "marked.txt", *SMALL, *options).stderr

    assert b"note: marked.txt begins with a byte order mark, which was dropped\n" in output
    taken = "note: the document separator was taken for “ZZZ”, which is not in the text"
    assert taken in output.decode()


@pytest.mark.parametrize(
    ("text", "options", "note"),
    [
        (
            "one line\r\n",
            [],
            "text.txt has CRLF line ends, and the model will write them; to remove",
        ),
        (
            "one line\r",
            [],
            "text.txt has CR line ends; to make them LF: tr '\\r' '\\n' < FILE > NEW",
        ),
        ("Ka\u0308se\n", [], "text.txt has decomposed accents (NFD)"),
        ("one line\n \t\n", ["--lines"], "200 lines of white space were left out"),
    ],
)
def test_what_surprises_in_a_text_is_noted_before_training(charlm, tmp_path, text, options, note):
    (tmp_path / "text.txt").write_bytes(text.encode() * 200)
    output = charlm("train", "text.txt", *SMALL, *options, "--max-steps", 1).stderr.decode()

    assert f"note: {note}" in output
    assert output.index("note: ") < output.index("learning from")


def test_lines_that_end_in_cr_alone_are_refused_with_the_cure(charlm, tmp_path):
    (tmp_path / "mac.txt").write_bytes(b"one line\r" * 200)
    result = charlm("train", "mac.txt", "--lines", "--max-steps", 1)

    assert result.returncode == 2
    assert (
        b"error: mac.txt ends its lines in CR alone\n\nhint: to make them LF: tr" in result.stderr
    )


def test_what_a_folder_holds_beside_texts_is_noted(charlm, tmp_path):
    folder = tmp_path / "folder"
    (folder / ".checkpoints").mkdir(parents=True)
    for name in ("a.txt", "B.TXT", "notes.md", "._a.txt", ".checkpoints/a.txt"):
        (folder / name).write_text(f"{name} is a text. " * 40)
    result = charlm("train", "folder", *SMALL, "--max-steps", 1)
    output = result.stderr.decode()

    assert result.returncode == 0
    assert (
        "note: folder holds 2 .txt files; left out: 1 file of another type, such as notes.md and "
        "2 hidden files, such as ._a.txt\n"
    ) in output
    assert "from 2 documents" in output


def test_divergence_keeps_the_best_model_and_exits_1(charlm, verse_path):
    # Each step multiplies the matrices by 1 - 0.01 · 400 = -3, so they overflow after some 90.
    result = charlm(
        "train", verse_path, *SMALL, "--max-steps", 400, "--learning-rate", 0.01,
        "--weight-decay", 400,
    )  # fmt: skip

    assert result.returncode == 2
    assert b"training has diverged" in result.stderr
    assert b"hint: lower --learning-rate (0.01)" in result.stderr
    assert b"model.safetensors holds the best model so far" in result.stderr
    assert charlm("info").returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interruption_before_training_saves_nothing(charlm_path, verse_path, tmp_path):
    with subprocess.Popen(
        [charlm_path, "train", str(verse_path), "--max-time", "1h"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    ) as process:
        while not process.stderr.readline().startswith(b"read "):
            pass
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert output == b"stopped before training began; nothing is saved\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["word", "unigram"])
def test_a_vocabulary_that_the_text_cannot_fill_is_noted(charlm, verse_path, kind):
    result = charlm(
        "train", verse_path, *SMALL, "--tokenizer", kind, "--vocab-size", 9000, "--max-steps", 1
    )

    assert result.returncode == 0
    assert b"note: the text fills a vocabulary of " in result.stderr
    assert b"not of 9,000" in result.stderr


def test_a_full_temporary_directory_is_one_line(charlm, verse_path, tmp_path):
    """As under `ulimit -f 0`: ids cannot be written."""
    if os.name == "nt":
        pytest.skip("no limits on file sizes")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        f"sys.argv = ['charlm', 'train', {str(verse_path)!r}, '--max-steps', '1'];"
        "from charlm.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "COVERAGE_PROCESS_START": ""},  # which could not write its data
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert b"error: ids cannot be written to " in result.stderr
    assert b"$TMPDIR" in result.stderr
    assert b"Traceback" not in result.stderr


def test_word_vectors_are_a_start_and_are_counted(charlm, verse_path, tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1 2 3\ncat 4 5 6\ndog 7 8 9\nyak 1 1 1\n")
    result = charlm(
        "train", verse_path, "--tokenizer", "word", "--embeddings", "vectors.txt", "--max-steps", 2
    )
    info = json.loads(charlm("info", "--json").stdout)

    # "the", with and without a space before it, "cat" and "dog"; the yak has no token.
    assert b"vectors.txt has vectors of 3 for 3 of 19 words of the vocabulary" in result.stderr
    assert info["embedding_size"] == 3
    assert charlm("train", verse_path, "--embeddings", "x", "--embedding-size", 3).returncode == 2


def test_stdin_can_be_read_until_training_ends(verse_path, tmp_path):
    """Only a part of a long text is encoded before training begins."""
    arguments = ["charlm", "train", "-", *map(str, SMALL), "--max-steps", "40", "--quiet"]
    code = (
        "import sys; from charlm.cli import main; from charlm.corpus import encoding, shards;"
        f"shards.SHARD_BYTES, encoding.SAMPLE_BYTES, sys.argv = 500, 1000, {arguments!r};"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=verse_path.read_bytes() * 9,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize("arguments", [(), ("--resume",), ("--max-time", "60s")])
def test_without_a_corpus_one_line_says_that_it_is_missing(charlm, arguments):
    result = charlm("train", *arguments)

    assert result.returncode == 2
    assert result.stdout == b""
    assert result.stderr.decode() == (
        "error: missing argument 'CORPUS'\n\n"
        "hint: name a text, as in charlm train book.txt; charlm train -h shows all options\n"
    )
