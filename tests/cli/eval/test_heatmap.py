"""`charlm eval --heatmap`: colours, or bars below each line."""

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
