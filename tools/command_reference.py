"""Write docs/reference/commands.md: every command and option, from the program itself.

    .venv/bin/python tools/command_reference.py

A test fails when the page is not what this prints.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import charlm.cli

KINDS = {"int": "N", "float": "X", "str": "TEXT", "path": "FILE"}  # what help calls them
PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "commands.md"
INTRODUCTION = """# Commands

Every command and option, as `charlm COMMAND --help` prints them. (This page is written by
`tools/command_reference.py`.)

| command | what it does |
|---|---|
"""


def reference() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(charlm.cli.app)
    commands = {name: group.commands[name] for name in charlm.cli.COMMANDS}
    rows = [
        f"| [`charlm {name}`](#charlm-{name}) | {_summary(command)} |\n"
        for name, command in commands.items()
    ]
    options = list(_option_tables(group))
    sections = [
        section for name, command in commands.items() for section in _section(name, command)
    ]
    return "".join([INTRODUCTION, *rows, "\n", *options, *sections]).rstrip() + "\n"


def _section(name: str, command: Any) -> Iterator[str]:
    """Yield the section of a command: what it does, an example, and its options."""
    paragraphs = [_flat(paragraph) for paragraph in (command.help or "").split("\n\n")]
    yield f"\n## charlm {name}\n\n"
    for paragraph in paragraphs:
        label, _, example = paragraph.partition(": ")
        is_example = label == "Example" or label.startswith("To ")
        yield f"{label}:\n\n```sh\n{example}\n```\n\n" if is_example else f"{paragraph}\n\n"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    if arguments:
        yield "| argument | what it is |\n|---|---|\n"
        yield from (f"| `{p.metavar}` | {_cell(p.help)}{_default(p)} |\n" for p in arguments)
        yield "\n"
    yield from _option_tables(command)
    yield f"{_flat(command.epilog)}\n"


def _option_tables(command: Any) -> Iterator[str]:
    """Yield a table of the options of each panel."""
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            panels.setdefault(parameter.rich_help_panel or "Options", []).append(parameter)
    for panel, parameters in panels.items():
        yield f"### {panel}\n\n" if panel != "Options" else ""
        yield "| option | what it does |\n|---|---|\n"
        for parameter in parameters:
            names = ", ".join(
                f"`{name}`" for name in sorted(parameter.opts + parameter.secondary_opts, key=len)
            )
            yield f"| {names}{_value(parameter)} | {_cell(parameter.help)}{_default(parameter)} |\n"
        yield "\n"


def _value(parameter: Any) -> str:
    """Return what stands behind an option: a FILE, an integer, one of its choices."""
    if parameter.is_flag:
        return ""
    kind = parameter.metavar or parameter.display_type(None).strip("<>").removeprefix("list[")
    if "|" in kind:
        return " " + ", ".join(f"`{choice}`" for choice in kind.split("|"))
    return f" {KINDS.get(kind, kind)}"


def _default(parameter: Any) -> str:
    """Return the default of an option in brackets, if it has one."""
    shown = parameter.show_default
    if isinstance(shown, str):
        return f" [{_cell(shown)}]"
    default = parameter.default
    if not shown or default is None or isinstance(default, bool):
        return ""
    return f" [{default:,}]" if isinstance(default, int | float) else f" [{default}]"


def _summary(command: Any) -> str:
    return _cell((command.help or "").split("\n\n")[0])


def _cell(text: str | None) -> str:
    """Return a text for a cell of a table."""
    return _flat(text or "").replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
