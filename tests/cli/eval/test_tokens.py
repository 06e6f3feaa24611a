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

    assert [(row["line"], row["column"], row["word"]) for row in rows] == [
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


SENTENCES = ["the cat sat", "on the mat, the hat", "the cat"]


@pytest.fixture
def words_of(charlm, verse_model_path):
    """Run eval --per-word, and return the rows."""

    def run(text, *arguments):
        result = charlm(
            "eval", "-m", verse_model_path, "--per-word", *arguments, stdin=text.encode()
        )
        assert result.returncode == 0
        return rows_of(result)

    return run


def surprisals(rows):
    return [float(row["surprisal"]) for row in rows]


def test_lines_that_are_read_alone_have_the_words_of_as_many_files(words_of):
    """Read as one text, the words of later lines have other surprisals."""
    one_by_one = [words_of(f"{sentence}\n") for sentence in SENTENCES]
    lines = words_of("".join(f"{sentence}\n" for sentence in SENTENCES), "--per-line")
    joined = words_of("".join(f"{sentence}\n" for sentence in SENTENCES))

    expected = [surprisal for rows in one_by_one for surprisal in surprisals(rows)]
    assert surprisals(lines) == pytest.approx(expected, abs=1e-4)
    assert [int(row["line"]) for row in lines] == [1] * 4 + [2] * 6 + [3] * 3
    assert surprisals(joined) != pytest.approx(expected, abs=1e-2)


def test_many_lines_of_running_text_are_noted(charlm, verse_model_path):
    arguments = ("eval", "-m", verse_model_path, "--per-word")

    assert b"--per-line reads each alone" in charlm(*arguments, stdin=b"the cat\nsat").stderr
    assert charlm(*arguments, stdin=b"the cat\n").stderr == b""
    assert charlm(*arguments, "--per-line", stdin=b"the cat\nsat").stderr == b""


def test_words_may_be_matches_of_a_pattern(words_of):
    """What stands between them has rows of its own, so that all rows add up to the text."""
    text = "the mat,the  hat."
    rows = words_of(text, "--words", r"\w+")

    assert [row["word"] for row in rows] == ["the", "mat", ",", "the", "hat", "."]
    assert [int(row["column"]) for row in rows] == [1, 5, 8, 9, 14, 17]
    assert sum(surprisals(rows)) == pytest.approx(sum(surprisals(words_of(text))), abs=1e-4)


def test_a_pattern_may_join_words(words_of):
    assert [row["word"] for row in words_of("on the mat", "--words", "on the|mat")] == [
        r"on\x20the",
        "mat",
    ]


def test_words_have_their_number_of_tokens_and_of_bytes(words_of):
    """The model knows no ß, which is two bytes."""
    rows = words_of("the ßa")

    assert [(row["tokens"], row["bytes"]) for row in rows] == [("3", "0"), ("4", "2")]


def test_a_context_is_read_and_not_scored(words_of):
    """The words have the surprisals that they have after it."""
    after = words_of("on the mat", "--context", r"the cat\n")
    whole = words_of("the cat\non the mat")[3:]

    assert surprisals(after) == pytest.approx(surprisals(whole), abs=1e-4)
    assert [(row["line"], row["column"]) for row in after] == [("1", "1"), ("1", "4"), ("1", "8")]


def test_texts_and_ids_may_be_columns_of_a_table(words_of):
    table = "item\tcondition\tsentence\n7\ta\tthe cat\n\n9\tb\tsat\n"
    rows = words_of(table, "--text-column", "sentence", "--id-column", "item")

    assert [(row["item"], row["line"], row["word"]) for row in rows] == [
        ("7", "2", "the"),
        ("7", "2", "cat"),
        ("9", "4", "sat"),
    ]
    assert surprisals(rows)[:2] == pytest.approx(surprisals(words_of("the cat")), abs=1e-4)


def test_a_text_between_quotation_marks_is_noted_once(charlm, verse_model_path):
    table = b'item\tsentence\n1\t"the cat"\n2\t"the dog"\n3\tthe mat\n'
    arguments = ("--per-word", "--text-column", "sentence")
    result = charlm("eval", "-m", verse_model_path, *arguments, stdin=table)

    assert result.returncode == 0
    assert result.stderr.count(b"has a text between quotation marks") == 1
    assert b"stdin, line 2, has a text" in result.stderr


def test_a_table_with_commas_is_an_error_that_names_tabs(charlm, verse_model_path):
    arguments = ("--per-word", "--text-column", "sentence")
    result = charlm("eval", "-m", verse_model_path, *arguments, stdin=b"item,sentence\n1,the\n")

    assert result.returncode == 2
    assert b"columns are separated by tabs" in result.stderr


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("text",), b"stdin has no column 'text'"),
        (("sentence",), b"stdin, line 3, has 1 column, and the header has 2"),
    ],
)
def test_a_table_that_lacks_columns_is_an_error(charlm, verse_model_path, columns, message):
    table = b"item\tsentence\n1\tthe\n2\n"
    arguments = ("eval", "-m", verse_model_path, "--per-word", "--text-column", *columns)
    result = charlm(*arguments, stdin=table)

    assert result.returncode == 2
    assert message in result.stderr
