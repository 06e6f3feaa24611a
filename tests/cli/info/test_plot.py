"""`charlm info --plot` draws the curves of a run, and the memory of a model."""

import json
import sys

import pytest

from charlm.cli.info.plot import check_plot
from charlm.errors import CharlmError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def metrics(tmp_path):
    """Write metrics of two runs; the loss of "a" falls from 4 to 2 bits, that of "b" stays 3."""
    lines = [
        {"run": run, "split": split, "step": step, "bits_per_character": bits}
        for run, split, step, bits in [
            ("a.safetensors", "train", 10, 4.0),
            ("a.safetensors", "train", 20, 2.0),
            ("a.safetensors", "validation", 20, 2.5),
            ("b.safetensors", "train", 10, 3.0),
            ("b.safetensors", "validation", 10, 3.0),
        ]
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def texts(path):
    """Return the words of an SVG picture."""
    from xml.etree import ElementTree

    return [element.text for element in ElementTree.parse(path).iter(f"{SVG}text")]


def test_metrics_are_drawn_as_curves_of_each_run(charlm, metrics, tmp_path):
    result = charlm("info", "--metrics", metrics, "--plot", "curves.svg")
    words = texts(tmp_path / "curves.svg")

    assert (result.returncode, result.stdout) == (0, b"")
    assert result.stderr == b"saved curves.svg\n"
    assert {"step", "bits per character"} <= set(words)
    assert {"a.safetensors, training", "a.safetensors, validation"} <= set(words)
    assert {"b.safetensors, training", "b.safetensors, validation"} <= set(words)


def test_a_model_chooses_its_run(charlm, metrics, tmp_path):
    charlm("info", "a.safetensors", "--metrics", metrics, "--plot", "curves.svg")

    assert "a.safetensors" in texts(tmp_path / "curves.svg")
    assert not any("b.safetensors" in word for word in texts(tmp_path / "curves.svg"))


def test_the_same_metrics_make_the_same_picture(charlm, metrics, tmp_path):
    for name in ("one.svg", "two.svg"):
        charlm("info", "--metrics", metrics, "--plot", name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize(("suffix", "head"), [("png", b"\x89PNG"), ("pdf", b"%PDF-")])
def test_the_name_chooses_the_format(charlm, metrics, tmp_path, suffix, head):
    charlm("info", "--metrics", metrics, "--plot", f"curves.{suffix}")

    assert (tmp_path / f"curves.{suffix}").read_bytes().startswith(head)


def test_the_memory_of_a_model_is_drawn_beside_its_figures(
    charlm, verse_model_path, verse_path, tmp_path
):
    memory = ("info", verse_model_path, "--memory", verse_path)
    plain, result = charlm(*memory), charlm(*memory, "--plot", "memory.svg")
    words = texts(tmp_path / "memory.svg")

    assert result.stdout == plain.stdout
    assert {"tokens of context", "bits per token", "layer 0"} <= set(words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "x.svg"], b"--plot needs --metrics FILE or --memory FILE"),
        (["--metrics", "runs.jsonl"], b"--metrics needs --plot FILE"),
        (["--metrics", "runs.jsonl", "--plot", "x.txt"], b"x.txt is no name of a picture"),
        (["--metrics", "absent", "--plot", "x.svg"], b"absent cannot be read"),
        (["--metrics", "text.txt", "--plot", "x.svg"], b"text.txt: line 1 is no line of train"),
        (["--metrics", "empty.jsonl", "--plot", "x.svg"], b"empty.jsonl holds no metrics"),
        (["--metrics", "runs.jsonl", "--plot", "text.svg"], b"text.svg is not a picture"),
        (["c", "--metrics", "runs.jsonl", "--plot", "x.svg"], b"runs.jsonl holds no metrics of c"),
        (["--metrics", "runs.jsonl", "--plot", "x.svg", "--json"], b"--metrics and --json exclude"),
    ],
)
def test_what_cannot_be_drawn_is_named(charlm, metrics, tmp_path, arguments, message):
    for name in ("text.txt", "text.svg"):
        (tmp_path / name).write_text("The tide went out.\n")
    (tmp_path / "empty.jsonl").touch()
    result = charlm("info", *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "x.svg").exists()
    assert (tmp_path / "text.svg").read_text() == "The tide went out.\n"


def test_a_picture_is_checked_before_a_model_is_read(charlm):
    result = charlm("info", "absent.safetensors", "--memory", "absent.txt", "--plot", "x.txt")

    assert result.returncode == 2
    assert b"x.txt is no name of a picture" in result.stderr


def test_without_matplotlib_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CharlmError, match="needs matplotlib") as error:
        check_plot(tmp_path / "x.svg")

    assert error.value.hint == 'pip install "charlm[plot]"'
