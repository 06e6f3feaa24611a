"""`charlm export` writes a page, measures what it costs, and replaces nothing else."""

import json
import random
import re

import pytest

WORDS = "the cat sat on a mat and dog log where did went home café was not said".split()
TEXT = " ".join(random.Random(0).choices(WORDS, k=2000)) + "\n"


@pytest.fixture
def model_path(charlm, tmp_path):
    """Train a small model with counts."""
    (tmp_path / "text.txt").write_text(TEXT)
    charlm("train", "text.txt", "-o", "model", "--max-steps", 9, "--hidden-size", 16)
    return tmp_path / "model"


def data_of(page):
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def test_a_page_is_written_and_its_cost_measured(charlm, model_path, tmp_path):
    result = charlm("export", model_path, "-o", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert (result.returncode, result.stdout) == (0, b"")
    assert re.fullmatch(
        r"saved page\.html \(\d+ kB\): weights of 8 bits and all counts: \d\.\d{3} bits per "
        r"character, 0\.0\d{3} (more|less) than the exact model, on text that the model wrote\n",
        result.stderr.decode(),
    )
    assert "<title>model</title>" in page
    assert data_of(page)["config"]["cell"] == "lstm"


def test_equal_commands_write_equal_pages(charlm, model_path, tmp_path):
    for name in ("one.html", "two.html"):
        charlm("export", model_path, "-o", name, "--max-size", "0.07")

    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_counts_are_left_out_until_the_page_is_small_enough(charlm, model_path, tmp_path):
    charlm("export", model_path, "-o", "page.html")
    most = (tmp_path / "page.html").stat().st_size - 1500
    result = charlm("export", model_path, "-o", "page.html", "--max-size", most / 1e6)
    kept = re.search(r"and ([\d,]+) of ([\d,]+) counts", result.stderr.decode())

    assert (tmp_path / "page.html").stat().st_size <= most
    assert 0 < int(kept[1].replace(",", "")) < int(kept[2].replace(",", ""))


def test_a_page_that_cannot_be_small_enough_is_noted(charlm, model_path, tmp_path):
    printed = charlm("export", model_path, "-o", "page.html", "--max-size", "0.01").stderr.decode()

    assert "and 0 of " in printed
    assert "note: the page is larger than 0.01 MB, because only counts can be left out" in printed
    assert (tmp_path / "page.html").is_file()


def test_a_page_replaces_a_page(charlm, model_path, tmp_path):
    first, second = (
        charlm("export", model_path, "-o", "page.html", "--title", title)
        for title in ("one", "two")
    )

    assert first.returncode == second.returncode == 0
    assert "<title>two</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_exact_weights_keep_all_counts_and_cost_nothing(charlm, model_path):
    printed = charlm(
        "export", model_path, "-o", "page.html", "--weights", "float32"
    ).stderr.decode()

    assert printed.endswith(": exact weights and all counts\n")


def test_the_cost_is_measured_on_a_text_or_stdin(charlm, model_path, tmp_path):
    (tmp_path / "other.txt").write_text(TEXT[:500])
    command = ("export", "-m", model_path, "-o", "page.html", "--text")
    on_file = charlm(*command, "other.txt").stderr.decode()
    on_stdin = charlm(*command, "-", stdin=TEXT[:500].encode()).stderr.decode()
    exact = charlm(*command, "other.txt", "--weights", "float16").stderr.decode()
    score = json.loads(charlm("eval", "-m", model_path, "other.txt", "--json").stdout)

    assert on_file.endswith(" than the exact model, on other.txt\n")
    assert on_stdin == on_file.replace("other.txt", "stdin")
    assert f": {score['bits_per_character']:.3f} bits per character, " in exact


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("-o", "notes.txt"), "notes.txt is not a page that charlm wrote", "--output"),
        (("-o", "home.html"), "home.html is not a page that charlm wrote", "--output"),
        (("-o", "-"), "a page is a file, so --output - is none", "--output page.html"),
        (
            ("-o", "page.html", "--weights", "float32", "--text", "none"),
            "none does not exist",
            None,
        ),
        (("-o", "model"), "model is also an input", "--output"),
        (("-o", "none/page.html"), "none does not exist", None),
        (("-o", "page.html", "--text", "missing"), "missing does not exist", None),
        (("-o", "page.html", "--text", "empty"), "empty holds nothing to score", None),
        (("-o", "page.html", "--max-size", "0"), "max-size must be above 0", None),
        (("-o", "page.html", "--weights", "int4"), "'int4' is not one of", None),
        (("-o", "page.html", "-m", "model"), "MODEL and --model exclude one another", None),
        ((), "missing option '--output'", None),
    ],
)
def test_a_refused_page_changes_no_file(charlm, model_path, tmp_path, arguments, message, hint):
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "home.html").write_text("<!doctype html><title>my home page</title>")
    (tmp_path / "empty").touch()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = charlm("export", "model", *arguments)
    printed = result.stderr.decode()

    assert result.returncode == 2
    assert printed.startswith("error: ") and message in printed, printed
    assert hint is None or hint in printed.split("hint: ")[1]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_model_that_reads_backward_is_refused(charlm, random_checkpoint, tmp_path):
    random_checkpoint(direction="backward").save(tmp_path / "model")
    result = charlm("export", "model", "-o", "page.html")

    assert result.returncode == 2
    assert "a page needs a model of direction forward or both" in result.stderr.decode()


def test_a_model_of_both_directions_writes_forward(charlm, random_checkpoint, tmp_path):
    random_checkpoint(direction="both").save(tmp_path / "model")

    assert charlm("export", "model", "-o", "page.html").returncode == 0
    names = [
        entry["name"]
        for entry in data_of((tmp_path / "page.html").read_text())["weights"]["entries"]
    ]
    assert "recurrent.0.weight_hh" in names
    assert not any(name.startswith("backward.") for name in names)


def test_a_mask_is_noted(charlm, random_checkpoint, tmp_path):
    random_checkpoint(task="lines", mask="[0-9]+").save(tmp_path / "model")

    assert "does not mask" in charlm("export", "model", "-o", "page.html").stderr.decode()


def test_pairs_are_measured_on_a_text_alone(charlm, random_checkpoint, tmp_path):
    random_checkpoint(task="pairs").save(tmp_path / "model")
    command = ("export", "model", "-o", "page.html")
    alone = charlm(*command).stderr.decode()
    measured = charlm(*command, "--text", "-", stdin=b"ab\tba\n").stderr.decode()

    assert alone.endswith(": weights of 8 bits\n")
    assert " bits per character, " in measured and measured.endswith("on stdin\n")
