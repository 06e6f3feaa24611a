"""Options of `charlm eval` that do not fit together are refused."""

import pytest
from typer.testing import CliRunner

from charlm.cli import app
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--per-word", "--top", 3), "--per-word and --top exclude one another"),
        (("--heatmap", "--per-word"), "--per-word and --heatmap exclude one another"),
        (("--per-line", "--dynamic"), "--per-line and --dynamic exclude one another"),
        (("--min-score", 1, "--fail-above", 2), "--min-score and --fail-above exclude one another"),
        (("--per-line", "--direction", "both"), "--per-line and --direction both exclude"),
        (("--dynamic", "--direction", "both"), "--direction both and --dynamic exclude"),
        (("--device", "cpu", "--per-line"), "--per-line and --device exclude one another"),
        (("--device", "cpu", "--top", 1), "--top and --device exclude one another"),
        (("--device", "cpu", "--per-token"), "--per-token and --device exclude one another"),
        (("--device", "cpu", "--per-word"), "--per-word and --device exclude one another"),
        (("--device", "cpu", "--heatmap"), "--heatmap and --device exclude one another"),
        (("--device", "cpu", "--html", "page"), "--device and --html exclude one another"),
        (("--device", "cpu", "--direction", "both"), "--direction both and --device exclude"),
        (("--carry",), "--carry needs --per-line"),
        (("--score", "nats"), "--score needs --per-line"),
        (
            ("--score", "percentile", "--fail-above", 1),
            "a percentile is for lines that are read alone",
        ),
        (("--heatmap", "--per-line"), "--heatmap and --per-line exclude one another"),
        (("--heatmap", "--top", 1, "--carry"), "--heatmap and --carry exclude one another"),
        (("--heatmap", "--json"), "--heatmap and --json exclude one another"),
        (("-m", "x", "--baselines"), "several models and --baselines exclude one another"),
        (
            ("--per-line", "--carry", "--score", "percentile"),
            "a percentile is for lines that are read alone",
        ),
        (("--top", 0), "top must be a whole number of at least 1"),
        (("--min-score", "nan"), "min-score must be finite and at least 0"),
        (("--min-score", 3, "--max-score", 1), "no line scores at least 3 and at most 1"),
        (("--fail-above", -1), "fail-above must be at least 0"),
        (("--training-text", "x"), "--training-text needs --baselines"),
        (("--words", "x"), "--words needs --per-word"),
        (("--words", "(", "--per-word"), "words is not a valid regular expression"),
        (("--text-column", "x"), "--text-column needs --per-token or --per-word"),
        (("--per-word", "--id-column", "x"), "--id-column needs --text-column"),
        (("--context", "x"), "--context needs"),
        (("--context", "x", "--per-line", "--carry"), "--context and --carry exclude"),
        (("--choose", "--top", 3), "--choose and --top exclude"),
        (("-m", "x", "--top", 1), "several models and --top exclude one another"),
        (("-m", "x", "--per-token"), "several models and --per-token exclude one another"),
        (("-m", "x", "--fail-above", 1), "several models and --fail-above exclude one another"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(arguments, message):
    result = CliRunner().invoke(app, ["eval", "-m", "model", *map(str, arguments)])

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(message)
    assert result.stdout == ""
