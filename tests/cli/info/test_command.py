"""`charlm info` describes a model; `charlm` describes its commands."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest

from charlm.checkpoint import Checkpoint
from charlm.formatting import token_name


def test_info_shows_every_matrix_and_the_sum(charlm, verse_model_path, verse_checkpoint):
    lines = charlm("info", verse_model_path).stdout.decode().splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    total = sum(array.size for array in verse_checkpoint.arrays.values())

    assert "192 × 48" in rows["recurrent.0.weight_hh"]
    assert rows["recurrent.0.weight_hh"].endswith("9,216  4H × H")
    assert rows["total"].split()[1] == f"{total:,}"
    assert "LSTM, 1 layer of 48 units" in rows["network"]
    assert "verse.txt" in rows["corpus"]


def test_info_in_json_has_all_fields(charlm, verse_model_path, verse_checkpoint):
    info = json.loads(charlm("info", verse_model_path, "--json").stdout)

    assert info["parameter_count"] == sum(p["size"] for p in info["parameters"])
    assert (info["hidden_size"], info["num_layers"], info["cell"]) == (48, 1, "lstm")
    assert info["provenance"] == verse_checkpoint.provenance
    assert info["task"] == "text"
    assert "form" not in info


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "byte"])
def test_info_leaves_out_the_vocabulary_unless_asked(charlm, random_model, tmp_path, kind):
    model = random_model(kind, "the cat sat on the mat.\n" * 40)
    model.checkpoint.save(tmp_path / "model")
    plain = json.loads(charlm("info", "model", "--json").stdout)
    with_tokens = json.loads(charlm("info", "model", "--json", "--vocabulary").stdout)
    lines = charlm("info", "model", "--vocabulary").stdout.decode().splitlines()

    assert set(plain["tokenizer"]) <= {"vocab_size", "kind", "white_space", "model_sha256"}
    assert with_tokens.pop("tokens")[0] == token_name(model.tokenizer.pieces[0])
    assert with_tokens == plain
    assert len(lines) == model.tokenizer.vocab_size
    assert [line.partition("\t")[0] for line in lines] == list(map(str, range(len(lines))))


def test_the_vocabulary_excludes_other_figures(charlm, verse_model_path):
    result = charlm("info", verse_model_path, "--vocabulary", "--ngrams", 2)

    assert result.returncode == 2
    assert b"--vocabulary and --ngrams exclude one another" in result.stderr


@pytest.mark.parametrize(
    "provenance",
    [
        {"corpus": [3], "steps": "many"},
        {
            "steps": 1,
            "epochs": 10**400,
            "seconds": 1,
            "charlm_version": "0",
        },  # no float is so large
    ],
)
def test_an_unknown_provenance_is_a_one_line_error(charlm, verse_checkpoint, tmp_path, provenance):
    odd = Checkpoint(
        config=verse_checkpoint.config,
        tokenizer=verse_checkpoint.tokenizer,
        arrays=verse_checkpoint.arrays,
        provenance=provenance,
    )
    odd.save(tmp_path / "odd")
    result = charlm("info", "odd")

    assert result.returncode == 2
    assert result.stderr == b"error: odd has an unknown kind of provenance\n"


@pytest.mark.parametrize("arguments", [("info",), ("eval", "-"), ("generate",)])
def test_a_damaged_model_is_a_one_line_error_in_every_command(charlm, tmp_path, arguments):
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04 pickle")
    result = charlm(*arguments)

    assert result.returncode == 2
    assert result.stderr.startswith(b"error: model.safetensors is a Python pickle")
    assert b"Traceback" not in result.stderr


def test_version_is_the_installed_one(charlm):
    version = f"charlm {importlib.metadata.version('charlm')}\n"
    as_module = subprocess.run(
        [sys.executable, "-m", "charlm", "--version"], capture_output=True, text=True, check=True
    )

    assert charlm("--version").stdout.decode() == as_module.stdout == version


@pytest.mark.parametrize("command", ["train", "generate", "eval", "info"])
def test_every_command_has_help_with_an_example_and_every_option_says_something(charlm, command):
    text = charlm(command, "-h", env={"COLUMNS": "300"}).stdout.decode()
    options = [line for line in text.splitlines() if line.lstrip("│ ").startswith("--")]

    assert f"Example: charlm {command}" in text
    assert options
    assert all(len(line.strip("│ ").split(maxsplit=3)) == 4 for line in options), options


def test_help_in_a_pipe_has_no_escape_codes(charlm):
    result = charlm("--help")

    assert result.returncode == 0
    assert b"\x1b" not in result.stdout
    assert result.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("trian", "x.txt"), "train"), (("generate", "--tempp", "1"), "--temp")],
)
def test_a_misspelt_word_gets_the_right_one_as_a_hint(charlm, arguments, meant):
    result = charlm(*arguments)

    assert result.returncode == 2
    assert re.search(rf"(?<!\w){meant}(?!\w)", result.stderr.decode())


def test_a_shell_can_complete_commands_and_options(charlm):
    script = charlm("--show-completion", "bash")
    checked = subprocess.run(["bash", "-n"], input=script.stdout, capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, b"")
    for words, found in (
        (["charlm", "tr"], ["train"]),
        (["charlm", "generate", "--temp"], ["--temperature", "--temp"]),
    ):
        asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        answer = charlm(env={"_CHARLM_COMPLETE": "complete_bash", **asked})

        assert answer.stdout.decode().split() == found


def test_it_runs_without_a_home_or_terminal(charlm_path, tmp_path):
    result = subprocess.run(
        [charlm_path, "--help"],
        env={"LANG": "C", "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert result.returncode == 0


def test_memory_is_shown_as_rows_and_as_json(charlm, verse_model_path, verse_path):
    shown = charlm("info", verse_model_path, "--memory", verse_path).stdout.decode().splitlines()
    info = json.loads(charlm("info", verse_model_path, "--memory", verse_path, "--json").stdout)

    assert shown[0].split() == ["tokens", *(str(1 << power) for power in range(10))]
    assert shown[1].startswith("context, bits/token")
    assert shown[3].startswith("gradient, layer 0")
    assert len(info["context"]) == len(info["gradient"]) == 10
    [length] = info["memory_length"]
    assert shown[-1].startswith(f"layer 0: after {length['tokens']:.0f} tokens the gradient is")


def test_info_shows_task_and_documents(charlm, random_checkpoint, unigram_checkpoint, tmp_path):
    unigram_checkpoint({"a": 0.5, None: 0.5}, task="lines").save(tmp_path / "lines")
    random_checkpoint(document_separator="%%", tie_weights=True).save(tmp_path / "documents")

    assert "\ntask        lines\n" in charlm("info", "lines").stdout.decode()
    shown = charlm("info", "documents").stdout.decode()
    assert "\ndocuments   separated by '%%'\n" in shown
    assert "embedding of 5, which is also the output matrix" in shown


def test_the_fragments_of_the_training_text_are_listed(charlm, verse_model_path, verse_path):
    rows = [
        line.split("\t")
        for line in charlm("info", verse_model_path, "--ngrams", 5).stdout.decode().splitlines()
    ]
    text = verse_path.read_text(encoding="utf-8")
    as_json = charlm("info", verse_model_path, "--ngrams", 5, "--json").stdout.splitlines()

    assert len(rows) >= 100
    assert all(fragment.replace("↵", "\n").replace("<end>", "") in text for _, fragment in rows)
    numbers = [int(number) for number, _ in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert json.loads(as_json[0])["count"] == numbers[0]
    assert len(json.loads(as_json[0])["tokens"]) == 6
    assert charlm("info", verse_model_path, "--ngrams", 0).returncode == 2
    assert b"no counts of 99 tokens" in charlm("info", verse_model_path, "--ngrams", 99).stderr
