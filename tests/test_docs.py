"""The README and docs/ are true: commands run, links lead somewhere, lists are complete."""

import importlib.metadata
import io
import re
import shlex
import sys
from pathlib import Path

import command_reference
import console_blocks
import pytest

import charlm.cli
from charlm.errors import CharlmError, ConfigError

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (README, *sorted((ROOT / "docs").rglob("*.md")))
}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def with_commands(language):
    """Return the names of the pages that have a block of a language."""
    return [name for name, page in PAGES.items() if f"```{language}\n" in page]


def command_lines():
    """Yield the words of every charlm command in the blocks of shell, which are not run."""
    for page in PAGES.values():
        for language, block in FENCED.findall(page):
            for line in block.splitlines() if language == "sh" else ():
                for command in re.split(r"&&|\||;", line.partition("  #")[0]):
                    if match := re.search(r"\bcharlm ((?:train|generate|eval|info) .*)", command):
                        yield tuple(shlex.split(match[1]))


# The README: a screen at a time.


def test_the_readme_is_short():
    page = COMMENT.sub("", PAGES["README.md"])
    first_block = FENCED.search(page)[2]
    prose = re.sub(r"^\|.*$", "", FENCED.sub("", page), flags=re.MULTILINE)
    lines = [line for line in page.splitlines() if line not in first_block.splitlines()]

    assert len(PAGES["README.md"].splitlines()) <= 200
    assert len(page.split()) <= 1600
    assert max(len(part.split()) for part in re.split(r"\n\n|\n- ", prose)) <= 60
    assert [line for line in lines if len(line) > 120] == []


def test_the_first_block_is_two_commands():
    language, block = FENCED.findall(PAGES["README.md"])[0]
    job, tests = block.splitlines()

    assert language == "sh"
    assert "train corpora/" in job and job.endswith('generate --seed "This is"')
    assert tests.endswith("pytest")


# Commands.


def test_the_pages_show_commands():
    assert {"train", "generate", "eval"} <= {words[0] for words in command_lines()}
    assert len(set(command_lines())) > 15


@pytest.mark.parametrize("words", sorted(set(command_lines())), ids=shlex.join)
def test_every_command_of_a_page_is_accepted(words, tmp_path, monkeypatch):
    """Its options and values are: if a command fails, it is because a file is not here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARLM_MODEL", raising=False)
    monkeypatch.setattr(sys, "argv", ["charlm", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    try:
        charlm.cli.app([*words], standalone_mode=False)
    except CharlmError as error:
        assert not isinstance(error, ConfigError), error


def problems_of(name, folder, *, is_short):
    """Run the commands of a page, and return what differs from it."""
    return [
        f"$ {result.command.text}\n{problem}\n" + "\n".join(result.printed)
        for result in console_blocks.run_page(PAGES[name], folder, is_short=is_short)
        for problem in result.command.problems(result.printed, result.status, is_short=is_short)
    ]


@pytest.mark.parametrize("name", sorted({*with_commands("console"), *with_commands("python")}))
def test_the_commands_of_a_page_run(name, tmp_path):
    """Each training takes three steps here: what models write is not compared."""
    assert problems_of(name, tmp_path, is_short=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", with_commands("console"))
def test_the_commands_of_a_page_print_what_it_shows(name, tmp_path):
    assert problems_of(name, tmp_path, is_short=False) == []


@pytest.mark.parametrize(
    ("shown", "printed", "problem"),
    [
        ("accuracy  0.9", "accuracy  0.8", None),
        ("accuracy  0.9", "accuracy  0.6", "0.6 instead of 0.9"),
        ("accuracy  0.9", "precision  0.9", "accuracy is missing"),
        ("accuracy  0.9", "", "0 lines"),
        ("line\tword\n1\tThe", "line\ttoken\n1\tThe", "the header is"),
        ("1.5", "1.5\n1.6", "2 lines"),
        ("…\n1.5", "1.5\n1.6", None),
    ],
)
def test_output_that_differs_from_a_page_is_found(shown, printed, problem):
    page = f"<!-- within 20 % -->\n```console\n$ charlm eval x\n{shown}\n```\n"
    [command] = console_blocks.commands_of(page)[1]
    problems = command.problems(printed.splitlines(), 0, is_short=False)

    assert (problem in problems[0]) if problem else problems == []
    assert command.problems(printed.splitlines(), 2, is_short=True)[0] == "exit status 2"


def test_output_is_written_into_a_page():
    page = "```console\n$ printf 'a\\nb\\nc\\n'\nold\n…\n$ echo d\n```\n"
    commands = console_blocks.commands_of(page)[1]
    results = [
        console_blocks.Result(command, printed, 0)
        for command, printed in zip(commands, (["a", "b", "c"], ["d"]), strict=True)
    ]

    assert console_blocks.with_output(page, results) == (
        "```console\n$ printf 'a\\nb\\nc\\n'\na\n…\n$ echo d\nd\n```\n"
    )


# Links and lists.


@pytest.mark.parametrize("name", PAGES)
def test_links_and_pictures_exist(name):
    prose = FENCED.sub("", PAGES[name])
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", prose)]
    missing = [
        target
        for target in targets
        if target and "//" not in target and not (ROOT / name).parent.joinpath(target).exists()
    ]

    assert missing == []


def test_every_page_is_in_the_navigation():
    tomllib = pytest.importorskip("tomllib", reason="a module of Python 3.11 and later")

    def listed(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            name
            for value in (entry.values() if isinstance(entry, dict) else entry)
            for name in listed(value)
        ]

    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]

    assert sorted(f"docs/{name}" for name in listed(navigation)) == sorted(
        PAGES.keys() - {"README.md"}
    )


def test_the_reference_is_what_the_program_has():
    assert PAGES["docs/reference/commands.md"] == command_reference.reference()


def test_the_python_page_has_every_public_name():
    documented = set(
        re.findall(r"^::: charlm\.(\w+)$", PAGES["docs/reference/python.md"], re.MULTILINE)
    )

    assert documented == set(charlm.__all__)


def test_files_that_a_page_lists_exist():
    blocks = [block for _, block in FENCED.findall(PAGES["docs/how-it-works.md"])]
    [file_map] = [block for block in blocks if block.startswith("charlm/errors.py")]
    listed = [line.split()[0] for line in file_map.splitlines()]

    assert len(listed) > 10
    assert all((ROOT / path).exists() for path in listed)


def test_the_citation_has_this_version():
    version = importlib.metadata.version("charlm")

    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
