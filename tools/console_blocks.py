"""Run the commands that a page shows, and compare what they print with the page.

    .venv/bin/python tools/console_blocks.py README.md docs/recipes/names.md

runs them and writes what they print into the pages, and the pictures that they draw into
docs/pictures. The tests run the same commands.

A page shows commands in blocks of `console`: a line that begins with `$ ` is run by bash, and the
lines below it are what it prints, stdout and stderr together. `…` stands for any lines. A block of
`python` is run by Python; a block without a language after it is what it prints. All blocks of a
page run in one new folder, which holds corpora/ and tests/. Two kinds of HTML comments, which
readers do not see, are for this tool:

    <!-- before FILE -->      the lines of this file run before the first block of the page
    <!-- within 20 % -->      the numbers of the next block agree if they differ by 20 % at most
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ELLIPSIS = "…"
BLOCK = re.compile(
    r"(?:^<!-- before (?P<before>\S+) -->$)"
    r"|(?:(?:^<!-- within (?P<percent>\d+) % -->\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$)",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")
BUDGET = re.compile(r"--max-(time \S+|steps \d+)")
FIXED_COUNT = ("--count", "--seed-file", "--top-tokens", "--jsonl")  # of texts that are generated
PROSE = ("--sentences", "fold")  # texts of any number of lines
UNKNOWN_COUNT = ("--min-score", "--max-score", "grep", "awk")  # of lines that are kept
SHORT_BUDGET = "--max-steps 3 --hidden-size 64"
CTRL_C = re.compile(r"^timeout --signal INT \S+ ")  # which a short run does not need
STOPPED = 124  # status of `timeout` when it has pressed Ctrl-C
# What takes long with a model of three steps, and what is tried instead.
SEARCHES = (
    (re.compile(r"--count \d{3,}"), "--count 10"),
    (re.compile(r"--attempts \d+"), "--attempts 10"),
)
# Variables that the commands do not get. Measuring coverage here would take a quarter longer.
UNSET = {"CHARLM_MODEL", "PYTHONPATH", "COVERAGE_PROCESS_START"}
BROKEN_PIPE = 141  # status of a program that writes to `head` when that has ended
LONGEST = 900  # seconds of one command


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a page, and what the page shows below it."""

    text: str
    shown: list[str]
    start: int  # of `shown`, as a position in the page
    end: int
    percent: int | None = None  # by which numbers may differ; None does not compare them
    is_python: bool = False
    is_shown: bool = True  # whether the page has a place for what it prints

    def problems(self, printed: list[str], status: int, *, is_short: bool) -> list[str]:
        """Return in which ways the command does not print what the page shows.

        With `is_short` the models are hardly trained: a search for texts may fail.
        """
        expected = [line for line in self.shown if line != ELLIPSIS]
        is_prose = not self._has(FIXED_COUNT) or self._has(PROSE)
        is_count_fixed = self.is_shown and not (
            ELLIPSIS in self.shown
            or ("charlm train" in self.text and "--quiet" not in self.text)
            or ("charlm generate" in self.text and is_prose)
            or (is_short and self._has(UNKNOWN_COUNT))
        )
        faults = []
        is_stopped = status == STOPPED and CTRL_C.match(self.text)
        if status > (1 if is_short else 0) and not is_stopped:
            faults.append(f"exit status {status}")
        if is_count_fixed and status == 0 and len(printed) != len(expected):
            faults.append(f"{len(printed)} lines, the page shows {len(expected)}")
        if not is_count_fixed and expected and not printed and not is_short:
            faults.append("nothing is printed")
        if printed and expected and is_count_fixed:
            faults += _different_names(expected, printed)
        if self.percent is not None and not is_short:
            faults += _different_numbers(expected, printed, self.percent / 100)
        return faults

    def _has(self, words: tuple[str, ...]) -> bool:
        return any(word in self.text for word in words)


def _different_names(expected: list[str], printed: list[str]) -> Iterator[str]:
    """Yield the names of columns and of figures that differ."""
    if "\t" in expected[0] and NUMBER.search(expected[0]) is None and expected[0] != printed[0]:
        yield f"the header is {printed[0]!r}"
    for shown, line in zip_longest(expected, printed, fillvalue=""):
        name = re.match(r"[a-z_]+(?=  )", shown)
        if name and not line.startswith(name[0]):
            yield f"{name[0]} is missing, there is {line!r}"


def _different_numbers(expected: list[str], printed: list[str], share: float) -> Iterator[str]:
    """Yield the numbers that differ by more than a share of what the page shows."""
    for shown, line in zip(expected, printed, strict=False):
        for old, new in zip(_numbers(shown), _numbers(line), strict=False):
            if abs(new - old) > share * abs(old):
                yield f"{new:g} instead of {old:g}: {line}"


def _numbers(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def commands_of(page: str) -> tuple[list[str], list[Command]]:
    """Return the commands that run before a page's blocks, and those of its blocks."""
    before: list[str] = []
    commands: list[Command] = []
    for match in BLOCK.finditer(page):
        percent = None if match["percent"] is None else int(match["percent"])
        if match["before"] is not None:
            before += (ROOT / match["before"]).read_text(encoding="utf-8").splitlines()
        elif match["language"] == "console":
            commands += _console_commands(match["text"], match.start("text"), percent)
        elif match["language"] == "python":
            end = match.end()
            commands.append(
                Command(
                    text=match["text"],
                    shown=[],
                    start=end,
                    end=end,
                    is_python=True,
                    is_shown=False,
                )
            )
        elif match["language"] == "" and commands and commands[-1].is_python:
            last = commands.pop()
            start, end = match.span("text")
            commands.append(
                Command(
                    text=last.text,
                    shown=match["text"].splitlines(),
                    start=start,
                    end=end,
                    percent=percent,
                    is_python=True,
                )
            )
    return before, commands


def _console_commands(block: str, start: int, percent: int | None) -> Iterator[Command]:
    """Yield the commands of a block that begins at a position of the page."""
    for part in re.finditer(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        yield Command(
            text=part[1].replace("\n> ", "\n").rstrip("\n"),
            shown=part[2].splitlines(),
            start=start + part.start(2),
            end=start + part.end(2),
            percent=percent,
        )


@dataclass(frozen=True)
class Result:
    """What a command printed."""

    command: Command
    printed: list[str]
    status: int


def run_page(page: str, folder: Path, *, is_short: bool = False) -> Iterator[Result]:
    """Run the commands of a page in a folder, in their order.

    Args:
        page: The Markdown text.
        folder: An empty folder.
        is_short: Take three steps in every training, and generate 10 texts where the page
            generates hundreds.
    """
    for name in ("corpora", "tests"):
        (folder / name).symlink_to(ROOT / name)
    before, commands = commands_of(page)
    for text in before:
        printed, status = _run(_bash(text, is_short=is_short), folder)
        if status:
            raise RuntimeError(f"{text} ended with status {status}: {printed}")
    python = ""
    for command in commands:
        if command.is_python:
            # What earlier blocks print is left out, but their variables are there.
            code = f"{_silent(python)}\n{command.text}"
            printed, status = _run([sys.executable, "-c", code], folder)
            python += command.text
        else:
            printed, status = _run(_bash(command.text, is_short=is_short), folder)
        yield Result(command, printed.splitlines(), status)


def _silent(code: str) -> str:
    """Return code that runs `code` without its output."""
    redirect = "with contextlib.redirect_stdout(io.StringIO())"
    return f"import contextlib, io\n{redirect}: exec({code!r})"


def _bash(text: str, *, is_short: bool) -> list[str]:
    if is_short:
        for pattern, short in ((BUDGET, SHORT_BUDGET), (CTRL_C, ""), *SEARCHES):
            text = pattern.sub(short, text)
    return ["bash", "-o", "pipefail", "-c", text]


def _run(arguments: list[str], folder: Path) -> tuple[str, int]:
    environment = {k: v for k, v in os.environ.items() if k not in UNSET}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment |= {"COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST,
        check=False,
    )
    status = 0 if done.returncode == BROKEN_PIPE else done.returncode
    return done.stdout.decode("utf-8", "replace"), status


def with_output(page: str, results: list[Result]) -> str:
    """Return the page with what the commands printed; lines that `…` stands for stay left out."""
    for result in reversed(results):
        command = result.command
        if not command.is_shown:
            continue
        lines = result.printed
        if ELLIPSIS in command.shown:
            first = command.shown.index(ELLIPSIS)
            last = len(command.shown) - first - 1
            lines = [*lines[:first], ELLIPSIS, *lines[len(lines) - last :]]
        text = "".join(f"{line}\n" for line in lines)
        page = page[: command.start] + text + page[command.end :]
    return page


def main() -> None:
    """Run the pages that the arguments name, and write into them what their commands print."""
    for name in sys.argv[1:]:
        path = Path(name)
        page = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            results = []
            for result in run_page(page, Path(folder)):
                results.append(result)
                print(f"{name}: $ {result.command.text}", *result.printed[-3:], sep="\n")
                if result.status:
                    print(f"exit status {result.status}")
            for picture in re.findall(r"\]\([./]*(pictures/[\w-]+\.\w+)\)", page):
                if (made := Path(folder) / Path(picture).name).exists():
                    shutil.copy(made, ROOT / "docs" / picture)
        path.write_text(with_output(page, results), encoding="utf-8")


if __name__ == "__main__":
    main()
