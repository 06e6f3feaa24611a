"""The figures of `charlm eval`: their values, notes, exit status and page."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch


@pytest.fixture
def score(charlm, verse_model_path):
    def run(*arguments, **more):
        return charlm("eval", "-m", verse_model_path, *arguments, **more)

    return run


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("where did the cat go? the cat went to the café.\r\n客".encode())
    return path


def test_json_has_the_sums_and_what_follows_from_them(score, text):
    found = json.loads(score(text, "--json").stdout)

    assert list(found) == [
        "nats",
        "tokens",
        "characters",
        "bytes",
        "nats_per_token",
        "perplexity",
        "bits_per_character",
        "bits_per_byte",
    ]
    assert found["characters"] == 50
    assert (found["tokens"], found["bytes"]) == (52, 53)
    assert found["nats_per_token"] == found["nats"] / 52
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]))
    assert found["bits_per_character"] == pytest.approx(found["nats"] / math.log(2) / 50)
    assert found["bits_per_byte"] == pytest.approx(found["nats"] / math.log(2) / 53)


def test_a_perplexity_that_is_too_large_is_null_in_json(charlm, unigram_checkpoint, tmp_path):
    """A token of probability exp(-1000) has a perplexity that no float can hold."""
    unigram_checkpoint({"a": 1.0}).save(tmp_path / "model")
    found = json.loads(charlm("eval", "-m", "model", "--json", stdin=b"b").stdout)

    assert found["nats"] == pytest.approx(1000)
    assert found["perplexity"] is None


def test_without_json_there_is_a_figure_a_line(score, text):
    lines = [line.split() for line in score(text).stdout.decode().splitlines()]

    assert lines[1:4] == [["tokens", "52"], ["characters", "50"], ["bytes", "53"]]


def test_stdin_is_a_text_too(score, text):
    by_name = score(text, "--json").stdout

    assert score("-", "--json", stdin=text.read_bytes()).stdout == by_name
    assert score("--json", stdin=text.read_bytes()).stdout == by_name


def test_the_scores_of_several_texts_are_added(score, text):
    one, two = (json.loads(score(*names, "--json").stdout) for names in ([text], [text, text]))

    assert two["nats"] == pytest.approx(2 * one["nats"])
    assert two["tokens"] == 2 * one["tokens"]


def test_nothing_to_score_is_an_error(score):
    result = score(stdin=b"")

    assert result.returncode == 2
    assert b"there is no text to score" in result.stderr


def test_a_text_that_is_not_utf8_is_an_error(score):
    result = score(stdin=b"abc\xff")

    assert result.returncode == 2
    assert b"error: stdin is not UTF-8: byte 0xff at offset 3" in result.stderr


def test_dynamic_figures_follow_the_static_ones(score, text):
    static = json.loads(score(text, text, "--json").stdout)
    found = json.loads(score(text, text, "--dynamic", "--json").stdout)

    assert list(found)[-3:] == [
        "dynamic_nats",
        "dynamic_nats_per_token",
        "dynamic_bits_per_character",
    ]
    assert {name: found[name] for name in static} == static
    assert 0 < found["dynamic_nats"] < static["nats"] * 1.1
    assert found["dynamic_nats_per_token"] == found["dynamic_nats"] / found["tokens"]
    alone = json.loads(score(text, "--dynamic", "--json").stdout)
    assert found["dynamic_nats"] == pytest.approx(2 * alone["dynamic_nats"])  # each from the start


def test_a_note_tells_when_dynamic_evaluation_is_worse(charlm, verse_checkpoint, text, tmp_path):
    rates = {name: 50 * rate for name, rate in verse_checkpoint.dynamic_rates.items()}
    replace(verse_checkpoint, dynamic_rates=rates).save(tmp_path / "hasty")
    result = charlm("eval", "-m", "hasty", text, text, "--dynamic")

    assert b"note: dynamic evaluation makes the score worse" in result.stderr


def test_an_old_model_without_rates_is_refused(charlm, text):
    old = Path(__file__).parents[2] / "data" / "ferry-format-1.safetensors"
    result = charlm("eval", text, "-m", old, "--dynamic")

    assert result.returncode == 2
    assert result.stderr.decode().startswith("error: this model has no learning rates for dynamic")


def test_on_a_device_the_figures_are_those_of_numpy(score, text, verse_path):
    arguments = (verse_path, text, "--baselines", "--dynamic", "--json")
    plain, found = (
        json.loads(score(*arguments, *more).stdout) for more in ([], ["--device", "cpu"])
    )

    assert list(found) == list(plain)
    for name, figure in plain.items():
        assert found[name] == pytest.approx(figure, rel=1e-5), name


def test_several_models_compare_on_a_device_as_in_numpy(
    charlm, verse_model_path, random_checkpoint, text, tmp_path
):
    """One reads backward only, of the other both directions are there."""
    random_checkpoint(direction="both").save(tmp_path / "both")
    random_checkpoint(direction="backward").save(tmp_path / "backward")
    arguments = ("eval", "-m", "both", "-m", "backward", "--direction", "backward", text, "--json")
    plain, found = (
        json.loads(charlm(*arguments, *more).stdout) for more in ([], ["--device", "cpu"])
    )

    assert (list(found), found["best"]) == (list(plain), plain["best"])
    for label in ("both", "backward"):
        assert found["models"][label] == pytest.approx(plain["models"][label], rel=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("more", [(), ("--dynamic",)])
def test_a_missing_device_is_an_error_with_a_hint(score, text, more):
    result = score(text, "--device", "cuda", *more)
    error, hint = filter(None, result.stderr.decode().splitlines())

    assert (result.returncode, result.stdout) == (2, b"")
    assert error.startswith("error: device 'cuda' is not available to this PyTorch (")
    assert hint == "hint: use --device auto"


def test_device_auto_always_works(score, text):
    assert score(text, "--device", "auto").returncode == 0


def test_a_text_that_scores_too_high_fails(score, text):
    found = json.loads(score(text, "--json").stdout)
    for unit in ("bits_per_character", "perplexity", "nats"):
        limit = found[unit]
        above = score(text, "--score", unit, "--fail-above", limit * 0.99)
        below = score(text, "--score", unit, "--fail-above", limit * 1.01)

        assert (above.returncode, below.returncode) == (1, 0)
        assert f"note: {unit} {limit:.4f} is above " in above.stderr.decode()
        assert above.stdout == below.stdout == score(text).stdout


def test_a_note_is_printed_for_training_text(score, verse_path, tmp_path):
    (tmp_path / "new").write_text("where did the mat go? the log went to the café at home.\n" * 9)
    part = "".join(verse_path.read_text(encoding="utf-8")[200:900])
    (tmp_path / "half").write_text(part + "quite another text, of 50 characters and more. " * 15)

    assert score("new").stderr == b""
    assert score(verse_path).stderr.decode().startswith("note: about 100 % of ")
    share = re.match(r"note: about (\d+) % of half is in", score("half").stderr.decode())
    assert 35 <= int(share[1]) <= 65
    assert json.loads(score(verse_path, "--json").stdout)["tokens"] > 0


def test_a_page_is_written_in_addition_to_the_figures(score, text, tmp_path):
    result = score(text, "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert (result.returncode, result.stdout) == (0, score(text).stdout)
    assert "where did the cat go?" in page
    assert "<title>" in page and "text.txt" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("text.txt", "--html", "text.txt"), "text.txt is also an input"),
        (
            ("text.txt", "--baselines", "--training-text", "old", "--html", "old"),
            "old is also an input",
        ),
        (("text.txt", "text.txt", "--html", "page"), "a page shows one text; these are 2"),
        (("text.txt", "--html", "no/where"), "no does not exist"),
        (("empty", "--html", "page"), "there is no text to score"),
        (
            ("text.txt", "--html", "notes.txt"),
            "notes.txt is not a page that charlm wrote, so it is not",
        ),
    ],
)
def test_a_refused_page_changes_no_file(score, text, tmp_path, arguments, message):
    (tmp_path / "empty").touch()
    (tmp_path / "old").write_text("old")
    (tmp_path / "notes.txt").write_text("precious")
    before = sorted(path.name for path in tmp_path.iterdir())
    result = score(*arguments)

    assert result.returncode in (1, 2)
    assert message in result.stderr.decode()
    assert text.read_bytes().startswith(b"where did")
    assert (tmp_path / "notes.txt").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_page_never_replaces_the_model(charlm, verse_checkpoint, text, tmp_path):
    verse_checkpoint.save(tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    result = charlm("eval", text, "--html", "model.safetensors", cwd=tmp_path)

    assert (result.returncode, result.stdout) == (2, b"")
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_the_score_does_not_depend_on_threads(score, text):
    one, two = (
        json.loads(score(text, "--json", env={"OPENBLAS_NUM_THREADS": threads}).stdout)
        for threads in ("1", "2")
    )

    assert one["nats"] == pytest.approx(two["nats"], abs=1e-4 * one["tokens"])
