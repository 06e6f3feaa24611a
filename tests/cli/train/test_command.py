"""`charlm train` as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

SMALL = ("--hidden-size", 16, "--embedding-size", 8, "--batch-size", 8, "--bptt-length", 32)


def test_training_says_what_it_will_do_and_what_it_did(charlm, verse_path, tmp_path):
    result = charlm("train", verse_path, *SMALL, "--max-steps", 40)
    talk = result.stderr.decode()

    assert result.returncode == 0
    assert result.stdout == b""
    assert talk.startswith(
        "read 5.64 k characters from verse.txt\n"
        "learning from 5.08 k characters: vocabulary of 22 characters and 256 bytes, "
    )
    assert " parameters, " in talk and " of memory, " in talk
    assert "40 steps" in talk
    assert "best validation" in talk
    assert talk.rstrip().endswith("try: charlm generate --length 300")
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors", "model.state.safetensors"]


def test_the_line_it_suggests_works(charlm, verse_path):
    talk = charlm("train", verse_path, *SMALL, "--max-steps", 5, "-o", "my model").stderr.decode()
    suggested = talk.rstrip().rpartition("try: ")[2]

    assert suggested == "charlm generate --length 300 --model 'my model'"
    assert charlm("generate", "--length", 300, "--model", "my model").returncode == 0


def test_help_tells_every_default_that_depends(charlm):
    """In square brackets of our own they would be taken for markup, and vanish."""
    text = " ".join(charlm("train", "--help", env={"COLUMNS": "200"}).stdout.decode().split())

    for default in ("5m, if no other budget", "20,000 words", "one a core", "others 0", "sgd 2"):
        assert default in text


def test_quiet_says_nothing(charlm, verse_path):
    result = charlm("train", verse_path, *SMALL, "--max-steps", 5, "--quiet")

    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_stdin_and_files_are_one_text(charlm, verse_path):
    result = charlm(
        "train", "-", verse_path, *SMALL, "--max-steps", 5, stdin=verse_path.read_bytes()
    )
    facts = json.loads(charlm("info", "--json").stdout)

    assert result.returncode == 0
    assert [each["name"] for each in facts["provenance"]["corpus"]] == ["stdin", "verse.txt"]


def test_bytes_can_be_the_tokens(charlm, verse_path):
    charlm("train", verse_path, *SMALL, "--max-steps", 5, "--tokenizer", "byte")

    assert json.loads(charlm("info", "--json").stdout)["tokenizer"] == {
        "kind": "byte",
        "vocab_size": 256,
    }


def test_a_validation_text_of_its_own(charlm, verse_path, tmp_path):
    (tmp_path / "held-out.txt").write_text("the cat sat")
    charlm("train", verse_path, *SMALL, "--max-steps", 5, "--validation", "held-out.txt")
    provenance = json.loads(charlm("info", "--json").stdout)["provenance"]

    assert provenance["validation"]["characters"] == 11
    assert provenance["train"]["characters"] == provenance["corpus"][0]["characters"]


def test_metrics_are_json_lines_that_are_appended(charlm, verse_path, tmp_path):
    for _ in range(2):
        charlm(
            "train", verse_path, *SMALL, "--max-steps", 20, "--metrics", "m.jsonl", "--overwrite"
        )
    records = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    train = [record for record in records if record["split"] == "train"]
    validation = [record for record in records if record["split"] == "validation"]

    assert [record["step"] for record in train] == [10, 20, 10, 20]
    assert train[0].keys() >= {"nats_per_token", "learning_rate", "gradient_norm", "seconds"}
    assert validation[-1]["step"] == 20
    assert {record["best"] for record in validation} <= {True, False}


def test_metrics_on_a_full_disk_are_one_line(charlm, verse_path):
    result = charlm("train", verse_path, *SMALL, "--max-steps", 10, "--metrics", "/dev/full", "-q")

    assert result.returncode == 1
    assert result.stderr == b"error: /dev/full cannot be written: No space left on device\n"


def test_metrics_are_not_appended_to_a_model(charlm, verse_path, verse_model_path, tmp_path):
    shutil.copy(verse_model_path, tmp_path / "a")
    result = charlm("train", verse_path, *SMALL, "--max-steps", 5, "-o", "b", "--metrics", "a")

    assert result.returncode == 1
    assert b"error: a is a safetensors file, to which no metrics are appended\n" in result.stderr
    assert (tmp_path / "a").read_bytes() == verse_model_path.read_bytes()


def test_overwrite_overwrites(charlm, verse_path, verse_model_path, tmp_path):
    """Also what is left of a model."""
    (tmp_path / "model.safetensors").write_bytes(verse_model_path.read_bytes()[:-1])

    assert charlm("train", verse_path, *SMALL, "--max-steps", 5, "--overwrite").returncode == 0
    assert charlm("info").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("nowhere.txt",), 1, "error: nowhere.txt does not exist"),
        (("empty.txt",), 1, "error: empty.txt has 0 characters, but training needs at least 20"),
        (("short.txt",), 1, "error: short.txt has 5 characters, but training needs"),
        (("latin1.txt",), 1, "error: latin1.txt is not UTF-8: byte 0xe9 at offset 3"),
        (("text.gz",), 1, "error: text.gz is a gzip archive, not UTF-8 text"),
        (("good.txt", "-o", "good.txt"), 1, "error: good.txt is the text to learn from"),
        (("good.txt", "-o", "."), 1, "error: . is a directory"),
        (("good.txt", "-o", "no/where"), 1, "no does not exist"),
        (("good.txt", "--metrics", "no/where"), 1, "error: no/where cannot be written"),
        (("good.txt", "-o", "m", "--threads", "4096"), 2, "error: threads must be at most"),
        (("good.txt", "--hidden-size", "0"), 2, "error: hidden-size must be a whole number"),
        (("good.txt", "--cell", "gru", "--forget-bias", "2"), 2, "forget-bias is for --cell lstm"),
        (("good.txt", "--residual"), 2, "residual connections are between layers"),
        (("good.txt", "--dropout", "1"), 2, "error: dropout must be at least 0 and below 1"),
        (("good.txt", "--max-time", "soon"), 2, "'soon' is no duration"),
        (("good.txt", "--optimizer", "magic"), 2, "'magic' is not one of"),
        ((), 2, "Usage"),
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


def test_a_byte_order_mark_is_told(charlm, tmp_path):
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbf" + b"some text " * 100)
    result = charlm("train", "marked.txt", *SMALL, "--max-steps", 1)

    assert b"note: marked.txt begins with a byte order mark, which was dropped" in result.stderr


def test_divergence_keeps_the_best_model_and_exits_1(charlm, verse_path):
    # Each step multiplies the matrices by 1 - 0.01 · 400 = -3, so they overflow after some 90.
    result = charlm(
        "train", verse_path, *SMALL, "--max-steps", 400, "--learning-rate", 0.01,
        "--weight-decay", 400,
    )  # fmt: skip

    assert result.returncode == 1
    assert b"training has diverged" in result.stderr
    assert b"hint: lower --learning-rate (0.01)" in result.stderr
    assert b"model.safetensors holds the best model until then" in result.stderr
    assert charlm("info").returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_keeps_its_best_model(
    charlm, charlm_path, verse_path, tmp_path, number, status
):
    with subprocess.Popen(
        [charlm_path, "train", str(verse_path), *map(str, SMALL), "--max-time", "1h"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    ) as process:
        process.stderr.readline()  # what was read
        process.stderr.readline()  # the plan: training begins
        time.sleep(1)
        process.send_signal(number)
        talk = process.communicate(timeout=30)[1].decode()

    assert process.returncode == status
    assert "stopped as asked after" in talk
    assert "saved model.safetensors" in talk
    assert charlm("generate", "-n", 10).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interruption_before_training_saves_nothing(charlm_path, verse_path, tmp_path):
    with subprocess.Popen(
        [charlm_path, "train", str(verse_path), "--max-time", "1h"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    ) as process:
        process.stderr.readline()  # what was read
        process.send_signal(signal.SIGINT)
        talk = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert talk == b"stopped before training began; nothing is saved\n"
    assert os.listdir(tmp_path) == []
