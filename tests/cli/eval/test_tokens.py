"""`charlm eval --per-token` and `--per-word`: tables that awk, R and jq take."""

import csv
import json
import math

import pytest

PROBABILITIES = {"a": 0.5, "b": 0.25, " ": 0.125, "\n": 0.0625, "\t": 0.0625}


@pytest.fixture
def score(charlm, unigram_checkpoint, tmp_path):
    path = tmp_path / "letters.safetensors"
    unigram_checkpoint(PROBABILITIES).save(path)

    def run(*arguments, stdin=b"ab a\n\tb"):
        return charlm("eval", "-m", path, *arguments, stdin=stdin)

    return run


def rows_of(result):
    text = result.stdout.decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_row_has_position_surprisal_entropy_rank_and_likeliest_token(score):
    result = score("--per-token")

    assert result.stdout.startswith(b"line\tcolumn\ttoken\tsurprisal\tentropy\trank\tbest\n")
    rows = rows_of(result)
    assert [(row["line"], row["column"], row["token"], row["rank"]) for row in rows] == [
        ("1", "1", "a", "1"),
        ("1", "2", "b", "2"),
        ("1", "3", r"\x20", "3"),
        ("1", "4", "a", "1"),
        ("1", "5", r"\n", "4"),
        ("2", "1", r"\t", "4"),
        ("2", "2", "b", "2"),
    ]
    assert [float(row["surprisal"]) for row in rows] == pytest.approx([1, 2, 3, 1, 4, 4, 2])
    assert {row["best"] for row in rows} == {"a"}
    entropy = 0.5 * 1 + 0.25 * 2 + 0.125 * 3 + 2 * 0.0625 * 4
    assert [float(row["entropy"]) for row in rows] == pytest.approx([entropy] * 7)


def test_a_word_is_the_sum_of_its_tokens_and_stands_where_its_letters_do(score):
    rows = rows_of(score("--per-word"))

    assert [(row["line"], row["column"], row["token"]) for row in rows] == [
        ("1", "1", "ab"),
        ("1", "4", "a"),
        ("1", "5", r"\n"),
        ("2", "2", "b"),
    ]
    assert [float(row["surprisal"]) for row in rows] == pytest.approx([3, 4, 4, 6])


@pytest.mark.parametrize("mode", ["--per-token", "--per-word"])
def test_rows_add_up_to_the_whole(charlm, verse_model_path, verse_path, mode):
    how = ("eval", "-m", verse_model_path, verse_path)
    whole = json.loads(charlm(*how, "--json").stdout)
    rows = rows_of(charlm(*how, mode))

    total = math.fsum(float(row["surprisal"]) for row in rows)
    assert total == pytest.approx(whole["nats"] / math.log(2), rel=1e-9)


def test_json_has_tokens_as_they_are(score):
    rows = [json.loads(line) for line in score("--per-token", "--json").stdout.splitlines()]

    assert [row["token"] for row in rows] == list("ab a\n\tb")
    assert rows[2] == {
        "file": "stdin",
        "line": 1,
        "column": 3,
        "token": " ",
        "surprisal": pytest.approx(3),
        "entropy": rows[0]["entropy"],
        "rank": 3,
        "best": "a",
    }


def test_each_row_names_its_text_if_there_are_several(score, tmp_path):
    for name in ("one", "two words"):
        (tmp_path / name).write_text("a")
    rows = rows_of(score("--per-token", "one", "two words"))

    assert [row["file"] for row in rows] == ["one", r"two\x20words"]


def test_bytes_and_ends_have_names(charlm, unigram_checkpoint, tmp_path):
    unigram_checkpoint({"a": 0.5, None: 0.5}, task="lines").save(tmp_path / "lines")
    rows = rows_of(charlm("eval", "-m", "lines", "--per-token", stdin="aé\n".encode()))

    assert [row["token"] for row in rows] == ["a", "<0xC3>", "<0xA9>", "<end>"]
    assert [row["column"] for row in rows] == ["1", "2", "2", "3"]


def test_an_empty_text_is_an_empty_table(score):
    result = score("--per-word", stdin=b"")

    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1)
