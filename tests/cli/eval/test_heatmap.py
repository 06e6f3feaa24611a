"""`charlm eval --heatmap`: colours, or bars below each line."""

import pytest

PROBABILITIES = {"a": 0.5, "b": 0.25, " ": 0.125, "\n": 0.0625, "\t": 0.0625}


def test_without_colours_a_heatmap_has_bars(charlm, unigram_checkpoint, tmp_path):
    unigram_checkpoint(PROBABILITIES).save(tmp_path / "letters")
    result = charlm("eval", "-m", "letters", "--heatmap", stdin=b"ab a\n\nb\tb")

    assert result.stdout.decode().splitlines() == ["ab a", "▂▂▄▂", "", "b b", "▂▄▂"]
    assert result.stderr.decode() == "bits a character, from:    0  ▂ 1  ▄ 3  ▆ 6  █ 10 \n"


def test_with_colours_a_heatmap_is_the_text_itself(charlm, verse_model_path):
    text = "the cat sat on the mat, zq!! 客"
    result = charlm(
        "eval", "-m", verse_model_path, "--heatmap", stdin=text.encode(),
        env={"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"},
    )  # fmt: skip
    shown = result.stdout.decode()

    assert "48;2;193;18;31m" in shown  # of 10 bits and more
    parts = [part.partition("m")[2] for part in f"m{shown}".split("\x1b[")]
    assert "".join(parts).rstrip("\n") == text


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (("--min-score", 2), ["ab a", "▂▂▄▂", "bb", "▂▂"]),
        (("--max-score", 2), ["aaa", "▂▂▂", ""]),
        (("--top", 1), ["bb", "▂▂"]),
        (("--top", 1, "--max-score", 2.5), ["ab a", "▂▂▄▂"]),
    ],
)
def test_a_filter_chooses_the_lines_of_a_heatmap(
    charlm, unigram_checkpoint, tmp_path, filters, shown
):
    """In bits a character, with 4 for the line end: ab a 2.2, aaa 1.75, bb 2.67; nothing 0."""
    unigram_checkpoint(PROBABILITIES).save(tmp_path / "letters")
    result = charlm("eval", "-m", "letters", "--heatmap", *filters, stdin=b"ab a\naaa\n\nbb\n")

    assert result.returncode == 0
    assert result.stdout.decode().splitlines() == shown
    assert result.stderr.decode().startswith("bits a character, from:")


def test_a_heatmap_of_no_lines_says_no(charlm, unigram_checkpoint, tmp_path):
    unigram_checkpoint(PROBABILITIES).save(tmp_path / "letters")
    result = charlm("eval", "-m", "letters", "--heatmap", "--min-score", 9, stdin=b"ab a\n")

    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"")


def test_a_heatmap_of_lines_has_the_context_before_them(charlm, verse_model_path):
    arguments = ("eval", "-m", verse_model_path, "--heatmap", "--top", 1)
    alone = charlm(*arguments, stdin=b"ere did the dog go?\n").stdout.decode()
    after = charlm(*arguments, "--context", "wh", stdin=b"ere did the dog go?\n").stdout.decode()

    assert alone.splitlines()[0] == after.splitlines()[0]
    assert alone.splitlines()[1].count("▄") > after.splitlines()[1].count("▄")
