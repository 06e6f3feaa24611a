"""No command needs the internet, opens a socket or imports a module that can."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import charlm as package

PACKAGE = Path(package.__file__).parent
NETWORK = {
    "aiohttp", "asyncio", "ftplib", "http", "httpx", "requests", "smtplib", "socket",
    "socketserver", "ssl", "urllib", "urllib3", "xmlrpc",
}  # fmt: skip
COMMANDS = {
    "train": [
        "train", "text.txt", "--max-steps", "3", "--hidden-size", "8", "--embedding-size", "4",
        "--threads", "1", "-o", "new.safetensors", "--overwrite", "--quiet",
    ],
    "generate": ["generate", "-n", "50", "--rng-seed", "1"],
    "eval": ["eval", "text.txt"],
    "eval --per-line": ["eval", "--per-line", "text.txt"],
    "info": ["info"],
    "--help": ["train", "--help"],
}  # fmt: skip
IN_NO_NETWORK = ["unshare", "--map-root-user", "--net"]
# Exits with status 77 when a socket is opened, so that no `except` can hide it.
WATCHED = """
import os, sys

def refuse(event, arguments):
    if event.startswith("socket."):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(77)

sys.addaudithook(refuse)
from charlm.cli import main
main()
"""


@pytest.fixture
def directory(tmp_path, verse_path, verse_model_path):
    """Make a directory with a text and a model."""
    shutil.copy(verse_path, tmp_path / "text.txt")
    shutil.copy(verse_model_path, tmp_path / "model.safetensors")
    return tmp_path


def outcome(line, directory):
    """Return exit status, stdout and stderr of a command in a directory."""
    result = subprocess.run(
        line,
        cwd=directory,
        env={**os.environ, "CHARLM_MODEL": "", "COLUMNS": "100"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_without_a_network_a_command_does_the_same(charlm_path, directory, command):
    try:
        subprocess.run([*IN_NO_NETWORK, "true"], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a network namespace cannot be made here")
    new = directory / "new.safetensors"
    usual, file = outcome([charlm_path, *command], directory), new.exists() and new.stat()
    alone = outcome([*IN_NO_NETWORK, charlm_path, *command], directory)

    assert usual[0] == 0
    assert alone == usual
    assert not file or new.stat().st_size == file.st_size


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_command_opens_a_socket(directory, command):
    status, _, stderr = outcome([sys.executable, "-c", WATCHED, *command], directory)

    assert status == 0, stderr


def test_a_socket_would_be_seen(directory):
    program = WATCHED.replace(
        "from charlm.cli import main\nmain()", "import socket; socket.socket()"
    )
    status, _, stderr = outcome([sys.executable, "-c", program], directory)

    assert status == 77
    assert stderr.startswith(b"socket.__new__")


def test_no_module_imports_a_network_library():
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not NETWORK & {name.split(".")[0] for name in names}, module
