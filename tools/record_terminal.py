"""Record the README's picture: train and generate in a real terminal, as SVG.

Needs tmux and an installed charlm. From the project's folder:

    .venv/bin/python tools/record_terminal.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "terminal.svg"
WIDTH, HEIGHT = 94, 28
COMMANDS = [
    "charlm train ferry-house.txt --max-time 60s",
    'charlm generate --seed "This is" -n 400 --rng-seed 5',
]


def tmux(*arguments: str) -> str:
    """Run a tmux command on a server of its own and return what it prints."""
    return subprocess.run(
        ["tmux", "-L", "charlm-record", *arguments], capture_output=True, text=True, check=True
    ).stdout


def record() -> str:
    """Type the commands into a shell and return the screen, with its colours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ferry-house.txt").symlink_to(ROOT / "corpora" / "ferry-house.txt")
        shell = f"cd {folder}; PATH='{path}' PS1='$ ' bash --norc --noprofile"
        tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), shell)
        try:
            time.sleep(1)
            for command in COMMANDS:
                tmux("send-keys", "-l", command)
                tmux("send-keys", "Enter")
                time.sleep(2)
                while not tmux("capture-pane", "-p").rstrip().endswith("$"):
                    time.sleep(1)
            return tmux("capture-pane", "-p", "-e")
        finally:
            tmux("kill-server")


def main() -> None:
    """Write the picture."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: PTH123
    console.print(Text.from_ansi(record().rstrip().removesuffix("$").rstrip()))
    console.save_svg(str(PICTURE), title="charlm")


if __name__ == "__main__":
    main()
