"""The house keeps its shape: who imports whom, what waits, what is said where."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import charlm

PACKAGE = Path(charlm.__file__).parent

# From the floor up; a room imports only from those below it. `training` may use `inference`.
LAYERS = [
    ["cells", "errors", "formatting"],
    ["config", "files", "fingerprint", "process_group"],
    ["tokenizers", "parameters"],
    ["corpus", "checkpoint"],
    ["inference"],
    ["training"],
    ["display"],
    ["cli"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room_of(module):
    return module.parts[0].removesuffix(".py")


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_has_its_level():
    assert {room_of(module) for module in MODULES} == LEVEL.keys() | {"__init__", "__main__"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_the_layers_below(module):
    room = room_of(module)
    if room not in LEVEL:
        return
    for name in imported_names(PACKAGE / module):
        if name.startswith("charlm."):
            imported = name.split(".")[1]
            assert imported == room or LEVEL[imported] < LEVEL[room], name


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_heavy_and_talking_libraries_stay_in_their_rooms(module):
    homes = {"torch": {"training"}, "typer": {"cli"}, "rich": {"display", "cli"}}
    for name in imported_names(PACKAGE / module):
        library = name.split(".")[0]
        assert library not in homes or room_of(module) in homes[library], name


def loaded_by(*lines):
    """Return the top-level modules that are loaded after some lines of Python."""
    code = "\n".join([*lines, "import sys", "print(*{m.split('.')[0] for m in sys.modules})"])
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(result.stdout.splitlines()[-1].split())


def after_command(*arguments, **environment):
    return loaded_by(
        "import os, sys, charlm.cli",
        f"os.environ.update({environment})",
        f"sys.argv = {['charlm', *map(str, arguments)]!r}",
        "try: charlm.cli.main()",
        "except SystemExit as end: assert not end.code, end.code",
        "print()",
    )


def test_the_package_itself_loads_nothing_heavy():
    assert not loaded_by("import charlm") & {"torch", "numpy", "rich", "typer", "sentencepiece"}


def test_every_file_of_the_package_is_installed():
    """What is no Python is left out of an installation unless pyproject.toml names it."""
    tomllib = pytest.importorskip("tomllib")
    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    files = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }

    assert files == set(pyproject["tool"]["setuptools"]["package-data"]["charlm"])


def test_public_names_are_there():
    assert all(getattr(charlm, name) is not None for name in charlm.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        charlm.nothing  # noqa: B018


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("train", "--help"), ("generate", "-h"), ("eval", "-h")],
)
def test_help_waits_for_neither_torch_nor_numpy(arguments):
    assert not after_command(*arguments) & {"torch", "numpy", "sentencepiece"}


def test_completion_waits_for_neither_torch_nor_numpy():
    asked = {"COMP_WORDS": "charlm tr", "COMP_CWORD": "1", "_CHARLM_COMPLETE": "complete_bash"}

    assert not after_command(**asked) & {"torch", "numpy", "sentencepiece"}


def test_speaking_and_judging_never_load_torch(verse_model_path, verse_path):
    for arguments in (
        ("generate", "-m", verse_model_path, "-n", 3),
        ("eval", "-m", verse_model_path, verse_path),
        ("info", verse_model_path),
        ("info", verse_model_path, "--json"),
    ):
        assert "torch" not in after_command(*arguments)
