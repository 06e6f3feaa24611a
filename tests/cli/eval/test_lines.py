"""`charlm eval` as a filter: it writes lines and scores in order, as they come."""

import json
import math
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from charlm.inference.model import load

# a: 1 bit, b: 2 bits, c and the line end: 3 bits.
PROBABILITIES = {"a": 0.5, "b": 0.25, "c": 0.125, "\n": 0.125}


@pytest.fixture
def score(charlm, unigram_checkpoint, tmp_path):
    """Run eval with a model of a, b, c and the line end."""
    path = tmp_path / "letters.safetensors"
    unigram_checkpoint(PROBABILITIES).save(path)

    def run(*arguments, stdin=b"aaa\ncccc\n\nbba\n"):
        return charlm("eval", "-m", path, *arguments, stdin=stdin)

    return run


def test_each_line_has_its_score_before_it(score):
    result = score("--per-line")

    assert result.stdout.decode() == "1.5000\taaa\n3.0000\tcccc\n0.0000\t\n2.0000\tbba\n"
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("unit", "scores"),
    [
        ("bits_per_character", [1.5, 3, 0, 2]),
        ("bits", [6, 15, 0, 8]),
        ("nats", [6 * math.log(2), 15 * math.log(2), 0, 8 * math.log(2)]),
        ("perplexity", [2**1.5, 8, 1, 4]),
    ],
)
def test_a_score_has_the_unit_of_score(score, unit, scores):
    lines = score("--per-line", "--score", unit).stdout.decode().splitlines()

    assert [float(line.split("\t")[0]) for line in lines] == pytest.approx(scores, abs=1e-3)


def test_lines_pass_unchanged_or_not_at_all(score):
    assert score("--min-score", 1.9).stdout == b"cccc\nbba\n"
    assert score("--max-score", 2.1).stdout == b"aaa\n\nbba\n"
    assert score("--min-score", 1.4, "--max-score", 2.1).stdout == b"aaa\nbba\n"
    assert score("--min-score", 1.9, "--per-line").stdout == b"3.0000\tcccc\n2.0000\tbba\n"
    assert score("--max-score", 2.1, stdin=b"\r\n").stdout == b"\r\n"  # an empty line
    assert score("--max-score", 9, stdin=b"a\r\nb\x0b\tc").stdout == b""  # spelled: far above 9
    assert score("--min-score", 9, stdin=b"a\r\nb\x0b\tc").stdout == b"a\r\nb\x0b\tc\n"


def test_a_filter_that_nothing_passes_exits_with_1(score):
    for arguments in (("--min-score", 4), ("--max-score", 1, "--min-score", 0.5)):
        result = score(*arguments)

        assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"")
    assert score("--top", 3, stdin=b"").returncode == 1
    assert score("--per-line", stdin=b"").returncode == 0


def test_top_lines_are_in_descending_order_and_equal_ones_in_order_of_the_file(score):
    text = b"a\ncc\nbb\nc\nccc\n"

    assert score("--top", 2, stdin=text).stdout == b"cc\nc\n"
    assert score("--top", 9, "--per-line", stdin=text).stdout.count(b"\n") == 5
    assert score("--top", 2, "--max-score", 2.9, stdin=text).stdout == b"bb\na\n"


def test_json_holds_every_figure_of_each_line(score):
    _, line, empty, _ = map(json.loads, score("--per-line", "--json").stdout.splitlines())

    assert line == {
        "file": "stdin",
        "line": 2,
        "text": "cccc",
        "nats": pytest.approx(15 * math.log(2)),
        "tokens": 5,
        "characters": 5,
        "bytes": 5,
        "bits": pytest.approx(15),
        "bits_per_character": pytest.approx(3),
        "perplexity": pytest.approx(8),
    }
    assert (empty["line"], empty["text"], empty["nats"]) == (3, "", 0)


def test_files_come_one_after_another(score, tmp_path):
    for name, text in {"one": "a\nb", "two": "c\n"}.items():
        (tmp_path / name).write_text(text)
    lines = map(json.loads, score("--per-line", "--json", "one", "two").stdout.splitlines())

    positions = [(line["file"], line["line"], line["text"]) for line in lines]
    assert positions == [("one", 1, "a"), ("one", 2, "b"), ("two", 1, "c")]


def test_a_line_comes_out_before_the_next_goes_in(charlm_path, verse_model_path):
    command = [charlm_path, "eval", "-m", str(verse_model_path), "--per-line", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for line in (b"the cat sat\n", b"\n", b"the dog went home\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\t" + line)
        process.stdin.close()

    assert process.returncode == 0


def test_lines_may_carry_the_state(charlm, verse_model_path, verse_path):
    how = ("eval", "-m", verse_model_path, verse_path)
    total = json.loads(charlm(*how, "--json").stdout)
    told = charlm(*how, "--per-line", "--carry", "--json").stdout.splitlines()
    lines = [json.loads(line) for line in told]

    assert sum(line["nats"] for line in lines) == pytest.approx(
        total["nats"], abs=1e-4 * total["tokens"]
    )
    assert sum(line["characters"] for line in lines) == total["characters"]


def test_percentiles_need_no_threshold(charlm, verse_model_path):
    text = b"the cat sat on the mat, and the dog sat on the log.\nzq!!9 Rx\n"
    how = ("eval", "-m", verse_model_path, "--score", "percentile")
    usual, odd = charlm(*how, "--per-line", stdin=text).stdout.decode().splitlines()

    assert 0 <= float(usual.split("\t")[0]) < 100
    assert odd == "100.0000\tzq!!9 Rx"
    assert charlm(*how, "--min-score", 99.9, stdin=text).stdout == b"zq!!9 Rx\n"


def test_a_line_that_is_not_utf8_prints_one_note(score):
    result = score("--min-score", 1, stdin=b"aaa\n\xffb\ncccc\n\xfe\n")

    assert result.stdout.decode() == "aaa\n\ufffdb\ncccc\n\ufffd\n"
    assert result.returncode == 0
    assert result.stderr.decode().startswith("note: stdin, line 2, is not UTF-8; ")
    assert result.stderr.count(b"\n") == 1


def test_a_context_is_read_before_each_line_and_not_scored(charlm, verse_model_path):
    """Its score is what the line adds to the score of the context, without a line end."""
    model = load(verse_model_path)
    context, line = "the cat sat ", "on the mat"
    expected = model.score(context + line).nats - model.score(context).nats
    arguments = ("eval", "-m", verse_model_path, "--per-line", "--score", "nats", "--json")
    result = charlm(*arguments, "--context", context, stdin=f"{line}\n{line}\n".encode())

    for row in map(json.loads, result.stdout.splitlines()):
        assert row["nats"] == pytest.approx(expected, abs=1e-3)
        assert row["characters"] == len(line)


def test_choices_have_probabilities_among_each_other(score):
    """The bits hold 3 for the line end."""
    result = score("--choose", stdin=b"b\n\na\nabb\n")
    rows = [line.split("\t") for line in result.stdout.decode().splitlines()]

    assert [row[1:] for row in rows] == [["4.0000", "a"], ["5.0000", "b"], ["8.0000", "abb"]]
    assert [float(row[0]) for row in rows] == pytest.approx([16 / 25, 8 / 25, 1 / 25], abs=1e-6)


def test_several_models_have_a_column_each_and_one_for_the_best(
    charlm, unigram_checkpoint, tmp_path
):
    unigram_checkpoint({"a": 0.5, "b": 0.25, "\n": 0.25}).save(tmp_path / "aaa.safetensors")
    unigram_checkpoint({"a": 0.25, "b": 0.5, "\n": 0.25}).save(tmp_path / "bbb.safetensors")
    models = ("-m", "aaa.safetensors", "-m", "bbb.safetensors")
    result = charlm("eval", *models, "--per-line", "--score", "bits", stdin=b"aa\nbb\nab\n")

    assert result.stdout.decode().splitlines() == [
        "4.0000\t6.0000\taaa\t0.6667\taa",  # three characters with the line end
        "6.0000\t4.0000\tbbb\t0.6667\tbb",
        "5.0000\t5.0000\taaa\t0.0000\tab",
    ]
    empty = charlm("eval", *models, "--per-line", stdin=b"\n").stdout
    assert empty == b"0.0000\t0.0000\t\t\t\n"
    told = json.loads(charlm("eval", *models, "--per-line", "--json", stdin=b"bb").stdout)
    assert (told["best"], told["scores"]["bbb"]) == ("bbb", pytest.approx(4 / 3))
    figures = json.loads(charlm("eval", *models, "--json", stdin=b"bb").stdout)
    assert figures["best"] == "bbb"
    assert figures["models"]["aaa"]["nats"] == pytest.approx(4 * math.log(2))
    table = charlm("eval", *models, stdin=b"bb").stdout.decode().splitlines()
    assert table[0].split() == ["model", "aaa", "bbb"]
    assert table[-1].split() == ["best", "bbb"]


def test_lines_of_equal_percentile_are_ordered_by_bits(charlm, unigram_checkpoint, tmp_path):
    checkpoint = unigram_checkpoint(PROBABILITIES)
    scores = np.array([0.5, 1.0], np.float32)
    replace(checkpoint, line_scores=scores).save(tmp_path / "m")
    how = ("--score", "percentile", "--top", 2, "--per-line")
    result = charlm("eval", "-m", "m", *how, stdin=b"b\ncc\na\nccc\n")

    assert result.stdout == b"100.0000\tcc\n100.0000\tccc\n"


def test_lines_before_a_wrong_pair_are_written(charlm, unigram_checkpoint, tmp_path):
    unigram_checkpoint({"a": 0.5, None: 0.5}, task="pairs").save(tmp_path / "pairs")
    (tmp_path / "text.tsv").write_text("a\ta\n\nb\ta\nbad\n")
    result = charlm("eval", "-m", "pairs", "--per-line", "text.tsv")

    assert result.stdout == b"1.0000\ta\ta\n0.0000\t\n1.0000\tb\ta\n"
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: text.tsv, line 4, has no tab")
    result = charlm("eval", "-m", "pairs", "--per-line", stdin=b"bad")
    assert result.stderr.startswith(b"error: stdin, line 1, has no tab")


def test_a_percentile_is_for_the_direction_of_the_held_out_lines(
    charlm, random_checkpoint, tmp_path
):
    scores = np.array([0.5, 1.0], np.float32)
    replace(random_checkpoint(direction="both"), line_scores=scores).save(tmp_path / "both")
    how = ("eval", "-m", "both", "--per-line", "--score", "percentile", "--direction")

    assert charlm(*how, "forward", stdin=b"abc").returncode == 0
    result = charlm(*how, "backward", stdin=b"abc")
    assert result.returncode == 2
    assert b"for lines read forward" in result.stderr


def test_the_name_of_a_model_reaches_no_terminal_raw(charlm, verse_checkpoint, tmp_path):
    for name in ("a\x1b[31mb", "c"):
        verse_checkpoint.save(tmp_path / name)
    result = charlm(
        "eval", "-m", "c", "-m", "a\x1b[31mb", "--per-line", "--json", "-", stdin=b"the cat\n"
    )

    assert result.returncode == 0
    assert b"\\u001b" not in result.stdout and b"\x1b" not in result.stdout
