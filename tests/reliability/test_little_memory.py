"""Long lines need little memory, and too little memory ends in one line of error."""

import subprocess
import sys

import pytest
from processes import without_coverage

from charlm.corpus.examples import LONGEST_LINE
from charlm.errors import CorpusError
from charlm.inference import token_scores

resource = pytest.importorskip("resource")

WORDS = b"the cat sat on the mat and the dog sat on the log and "
SMALL = ["--max-steps", 5, "--hidden-size", 8, "--embedding-size", 4, "--threads", 1, "-q"]
# Runs a command with a limit of bytes of address space (-1: none); prints its peak.
MEASURED = """
import resource, subprocess, sys
limit = int(sys.argv[1])
def lower():
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
result = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, preexec_fn=lower)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(result.returncode, peak * (1 if sys.platform == "darwin" else 1024))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does")


@pytest.fixture
def measured(charlm_path, tmp_path):
    """Run the command; return its exit status, its peak memory in bytes and its stderr."""

    def run(*arguments, limit=-1, timeout=120):
        result = subprocess.run(
            [sys.executable, "-c", MEASURED, str(limit), charlm_path, *map(str, arguments)],
            cwd=tmp_path, env=without_coverage(), timeout=timeout,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        status, peak = map(int, result.stdout.split())
        return status, peak, result.stderr

    return run


def write_line(path, size):
    """Write one line of `size` bytes without a line end."""
    with path.open("wb") as file:
        block = WORDS * 20_000
        for place in range(0, size, len(block)):
            file.write(block[: size - place])
    return path


def test_training_on_a_long_line_needs_little_memory(measured, tmp_path):
    short, long = (write_line(tmp_path / f"{size}", size << 20) for size in (2, 20))
    of_short = measured("train", short, *SMALL, "-o", "short")
    of_long = measured("train", long, *SMALL, "-o", "long")

    assert (of_short[0], of_long[0]) == (0, 0), of_long
    # The sample's ids and chunks, not the text; and at most 4 million tokens that are counted.
    assert of_long[1] - of_short[1] < 300 << 20


def test_a_line_that_is_too_long_for_an_example_is_refused(measured, tmp_path):
    line = write_line(tmp_path / "line", 60 << 20)
    status, peak, output = measured("train", line, "--lines", *SMALL)

    assert status == 2
    assert peak < 300 << 20
    assert output == (
        f"error: {line} has a line of more than {LONGEST_LINE:,} characters\n\n"
        "hint: train on it as running text, without --lines and --pairs\n"
    )


@pytest.mark.parametrize("mode", [[], ["--per-line"]], ids=["whole", "lines"])
def test_scoring_a_long_line_needs_little_memory(measured, tmp_path, verse_model_path, mode):
    short, long = (write_line(tmp_path / f"{size}", size << 19) for size in (1, 4))
    of_short = measured("eval", "-m", verse_model_path, short, *mode)
    of_long = measured("eval", "-m", verse_model_path, long, *mode)

    assert (of_short[0], of_long[0]) == (0, 0), of_long
    assert of_long[1] - of_short[1] < 3 * 25 << 19


def test_tokens_of_a_very_long_text_are_refused(random_model, monkeypatch):
    monkeypatch.setattr(token_scores, "LONGEST_TEXT", 10)
    model = random_model("char", "abc")

    assert len(model.score_tokens("abcabcabca").ids) == 10
    with pytest.raises(
        CorpusError, match="book has 11 characters; the scores of tokens are for texts"
    ):
        model.score_tokens("abcabcabcab", name="book")


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval"], ["eval", "--per-line"], ["eval", "--per-token"], ["eval", "--heatmap"],
        ["eval", "--baselines"], ["generate", "--seed-file"], ["train"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_too_little_memory_is_an_error_with_a_hint(measured, tmp_path, verse_model_path, arguments):
    line = write_line(tmp_path / "line", 150_000_000)
    model = [] if arguments == ["train"] else ["-m", verse_model_path]
    status, _, output = measured(*arguments, line, *model, limit=300 << 20)

    assert status == 2
    assert "Traceback" not in output
    if arguments == ["train"]:  # PyTorch alone needs more
        assert output.endswith(
            "error: PyTorch needs 900 MB of address space, but this shell allows 314 MB\n\n"
            "hint: ulimit -v 1757812, or more\n"
        ), output
        return
    assert output.endswith(
        "error: there is not enough memory\n\n"
        "hint: raise ulimit -v, or use less at once: a shorter text, a smaller model, "
        "fewer texts\n"
    ), output


@pytest.mark.slow
def test_a_line_of_500_megabytes(measured, tmp_path, verse_model_path):
    line = write_line(tmp_path / "line", 500_000_000)
    trained = measured("train", line, *SMALL, timeout=1200)
    refused = measured("train", line, "--lines", *SMALL, "-o", "lines", timeout=1200)
    tokens = measured("eval", "-m", verse_model_path, line, "--per-token", timeout=1200)
    scored = measured("eval", "-m", verse_model_path, line, timeout=7200)

    assert (trained[0], refused[0], tokens[0], scored[0]) == (0, 1, 1, 0)
    assert trained[1] < 1 << 30
    assert refused[1] < 300 << 20
    assert tokens[1] < 2 << 30
    assert scored[1] < 8 << 30
