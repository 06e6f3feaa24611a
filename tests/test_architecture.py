"""The house keeps its shape: layers, sizes of files and functions, and what starts quickly."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import charlm

PACKAGE = Path(charlm.__file__).parent

# From the lowest up. A module imports from lower layers and from its own package or module.
LAYERS = [
    ["cells", "errors", "formatting"],
    ["config", "files", "fingerprint", "process_group"],
    ["tokenizers", "parameters", "ngram"],
    ["corpus", "checkpoint"],
    ["inference"],
    ["training"],
    ["display", "pages"],
    ["cli"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LIBRARIES = {
    "torch": {"training"},
    "typer": {"cli"},
    "rich": {"display", "cli"},
    "matplotlib": {"display"},
}
MOST_LINES = 350  # of a file
MOST_SCRIPT_LINES = 700  # of a script of a page
LONGEST_FUNCTION = 80  # lines after the signature
MOST_ENTRIES = 9  # in cli/: five commands, and what they share

TREES = {
    path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}


def layer_of(path):
    """Return the top-level module or package of a file."""
    return path.parts[0].removesuffix(".py")


def dotted_name(path):
    parts = ("charlm", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(node):
    """Yield the full names that a tree imports, those inside functions included."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            yield from (f"{inner.module}.{alias.name}" for alias in inner.names)


def imports_at_module_level(node):
    """Yield the import statements that run when a module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for statement in child.orelse:
                yield from imports_at_module_level(statement)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports_at_module_level(child)


def functions_of(tree):
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_module_has_its_layer():
    assert {layer_of(path) for path in TREES} == LEVEL.keys() | {"__init__", "__main__"}


def test_a_module_imports_only_from_lower_layers():
    upward = [
        f"{path} imports {name}"
        for path, tree in TREES.items()
        if (layer := layer_of(path)) in LEVEL
        for name in imported_names(tree)
        if name.startswith("charlm.")
        and (imported := name.split(".")[1]) != layer
        and LEVEL[imported] >= LEVEL[layer]
    ]

    assert upward == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions and for types alone do not count."""
    modules = {dotted_name(path) for path in TREES}
    graph = {}
    for path, tree in TREES.items():
        names = {name for node in imports_at_module_level(tree) for name in imported_names(node)}
        imported = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[dotted_name(path)] = (imported & modules) - {dotted_name(path)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_torch_and_the_libraries_that_print_stay_in_their_layers():
    strays = [
        f"{path} imports {name}"
        for path, tree in TREES.items()
        for name in imported_names(tree)
        if layer_of(path) not in LIBRARIES.get(name.split(".")[0], {layer_of(path)})
    ]

    assert strays == []


def test_the_docstring_of_a_package_lists_all_its_modules():
    omitted = []
    for path in TREES:
        name, package = path.stem, path.parent / "__init__.py"
        if name == "__init__":
            name, package = path.parent.name, path.parent.parent / "__init__.py"
        if package in TREES and package != path and name not in ("", "__main__"):
            words = re.findall(r"\w+", ast.get_docstring(TREES[package]) or "")
            omitted += [str(path)] * (name not in words)

    assert omitted == []


def test_no_file_is_longer_than_350_lines():
    lengths = {
        str(path): len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in TREES
    }

    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_script_of_a_page_has_700_lines():
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in (PACKAGE / "pages").glob("*.js")
    }

    assert {name: length for name, length in lengths.items() if length >= MOST_SCRIPT_LINES} == {}


def test_no_function_is_longer_than_80_lines():
    """The signature does not count: that of a command declares its options."""
    lengths = {
        f"{path}: {function.name}": function.end_lineno - function.body[0].lineno + 1
        for path, tree in TREES.items()
        for function in functions_of(tree)
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_the_commands_share_little():
    entries = [path.name for path in (PACKAGE / "cli").iterdir() if path.name != "__pycache__"]

    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def modules_loaded_by(*lines):
    """Return the top-level modules that are loaded after some lines of Python."""
    code = "\n".join([*lines, "import sys", "print(*{m.split('.')[0] for m in sys.modules})"])
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(result.stdout.splitlines()[-1].split())


def modules_loaded_by_commands(*commands, **environment):
    """Return the modules that are loaded after some commands, one after another."""
    return modules_loaded_by(
        "import os, sys, charlm.cli",
        f"os.environ.update({environment})",
        f"for arguments in {[list(map(str, command)) for command in commands]}:",
        "    sys.argv = ['charlm', *arguments]",
        "    try: charlm.cli.main()",
        "    except SystemExit as end: assert not end.code, end.code",
        "print()",
    )


def test_the_package_itself_loads_nothing_heavy():
    heavy = {"torch", "numpy", "rich", "typer", "sentencepiece"}

    assert not modules_loaded_by("import charlm") & heavy


def test_every_file_of_the_package_is_installed():
    """An installation lacks files that are not Python unless pyproject.toml names them."""
    tomllib = pytest.importorskip("tomllib")
    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    files = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }

    assert files == set(pyproject["tool"]["setuptools"]["package-data"]["charlm"])


def test_the_public_names_exist():
    assert all(getattr(charlm, name) is not None for name in charlm.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        charlm.nothing  # noqa: B018


def test_dir_shows_the_public_names_and_loads_nothing():
    code = "import charlm; print(*dir(charlm)); charlm.load; print(*dir(charlm))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    before, after = map(str.split, result.stdout.splitlines())

    assert before == after == sorted(charlm.__all__)
    assert not modules_loaded_by("import charlm", "dir(charlm)") & {"numpy", "torch"}


def test_help_loads_neither_torch_nor_numpy():
    loaded = modules_loaded_by_commands(
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["generate", "-h"],
        ["eval", "-h"],
        ["export", "-h"],
    )

    assert not loaded & {"torch", "numpy", "sentencepiece"}


def test_completion_loads_neither_torch_nor_numpy():
    shell = {"COMP_WORDS": "charlm tr", "COMP_CWORD": "1", "_CHARLM_COMPLETE": "complete_bash"}

    assert not modules_loaded_by_commands([], **shell) & {"torch", "numpy", "sentencepiece"}


def test_generation_scoring_and_export_never_load_torch(verse_model_path, verse_path, tmp_path):
    loaded = modules_loaded_by_commands(
        ["generate", "-m", verse_model_path, "-n", 3],
        ["eval", "-m", verse_model_path, verse_path],
        ["info", verse_model_path],
        ["info", verse_model_path, "--json"],
        ["export", verse_model_path, "-o", tmp_path / "page.html"],
    )

    assert "numpy" in loaded
    assert "torch" not in loaded
