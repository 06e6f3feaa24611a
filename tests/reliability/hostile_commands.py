"""Runs commands on files that nobody trusts: each in a process of its own, within bounds.

A light process imports the command line once and forks a child for each file, so that thousands
take a minute. A child runs the commands one after another.
"""

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import typer

import charlm.cli

SECONDS = 2  # of processor time that a command may take
MOST_WAITED = 60  # seconds that the commands on a file may wait for what never comes
MEMORY = 500  # MB that they may take
MOST_TOLD = 4000  # characters of what a command wrote

# What is asked of every file; MODEL and TEXT stand for paths.
COMMANDS = [
    ["info", "MODEL"],
    ["info", "MODEL", "--json"],
    ["generate", "-m", "MODEL", "-n", "5"],
    ["eval", "-m", "MODEL", "TEXT"],
]
UNTOLD = {"builtins.id", "sys._getframe"}  # audit events that name nothing but addresses
TEXT = "the café\tsat\nwhere\tthe \x1b[31m\U0001f63a went\n"  # pairs, so that any model reads it

IMPORTED = [
    "charlm.cli.eval.figures",
    "charlm.cli.generate.show",
    "charlm.corpus.reading",
    "charlm.display",
    "charlm.inference.model",
    "charlm.inference.scoring",
    "charlm.tokenizers.subword",
    "numpy.ma",
    "numpy.random",
]


def run(paths, directory, *, each=4, is_audited=False):
    """Run commands on each file and return, for each, what became of them.

    All four, or so many in turn: with one, every fourth file is for `info`.

    That is {"seconds", "megabytes", "signal", "ends": [{"command", "status", "stdout", "stderr"}],
    "events": [[name, what], …]}. If it is audited, events are what Python tells an auditor: files
    that are opened, modules that are imported, sockets, processes.
    """
    text = Path(directory) / "text.txt"
    text.write_bytes(TEXT.encode())
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(
            {
                "text": str(text),
                "each": each,
                "is_audited": is_audited,
                "paths": list(map(str, paths)),
            }
        ),
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "always"},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def count_endings(outcomes):
    """Return how many files every command refused, and how many did no harm.

    Raises:
        AssertionError: If a command ended otherwise than it may.
    """
    found = Counter()
    for name, outcome in outcomes.items():
        problem = problem_of(outcome)
        assert problem is None, f"{name}: {problem}"
        statuses = {end["status"] for end in outcome["ends"]}
        found["refused" if statuses == {1} else "harmless"] += 1
    return found


def problem_of(outcome):
    """Return what is wrong with how the commands ended, None if nothing is."""
    if outcome["signal"]:
        done = len(outcome["ends"])
        return f"ended by {signal.Signals(outcome['signal']).name} after {done} commands"
    if not outcome["ends"]:
        return "no command was run"
    if outcome["megabytes"] > MEMORY:
        return f"the commands took {outcome['megabytes']:.0f} MB"
    for end in outcome["ends"]:
        command = end["command"]
        said = f"{command[:3]} ended with {end['status']} and {end['stderr'][-1500:]!r}"
        lines = end["stderr"].splitlines()
        told = [line.split(":")[0] for line in lines]
        allowed = {0: ([], ["note"]), 1: (["error"], ["error", "", "hint"])}
        if told not in allowed.get(end["status"], ()):
            return said
        if any(len(line) > 1000 or not line.isprintable() for line in lines):
            return said
        if (end["status"] == 0) != bool(end["stdout"]) and command[0] != "generate":
            return f"{said} after {end['stdout'][:60]!r}"
        if command[0] == "eval" and "nan" in end["stdout"]:
            return f"{command[:3]} wrote {end['stdout'][-300:]!r}"
    return None


def serve():
    """Run the jobs that stdin names, as many at once as there are processors."""
    jobs = json.load(sys.stdin)
    warm_up()
    running, outcomes = {}, [None] * len(jobs["paths"])
    for number, path in enumerate(jobs["paths"]):
        with tempfile.TemporaryFile("w+") as report:
            child = os.fork()
            if child == 0:
                chosen = [(COMMANDS * 2)[number % len(COMMANDS) + n] for n in range(jobs["each"])]
                paths = {"MODEL": path, "TEXT": jobs["text"]}
                run_all(chosen, paths, report, is_audited=jobs["is_audited"])
            running[child] = number, os.fdopen(os.dup(report.fileno())), time.monotonic()
        if len(running) == os.cpu_count():
            reap(running, outcomes)
    while running:
        reap(running, outcomes)
    json.dump(outcomes, sys.stdout)


def warm_up():
    """Do once what no child has to do again: import, build the parser, fail."""
    for name in IMPORTED:
        importlib.import_module(name)
    charlm.cli.app = typer.main.get_command(charlm.cli.app)
    kept = [os.dup(number) for number in (1, 2)]
    streams = redirected()
    for command in COMMANDS:
        run_one(command, streams)  # MODEL and TEXT are not there
    for number, stream in zip(kept, (1, 2), strict=True):
        os.dup2(number, stream)
    gc.freeze()


def redirected():
    """Let stdout and stderr go to files that are returned."""
    streams = [tempfile.TemporaryFile() for _ in range(2)]
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
    return streams


def reap(running, outcomes):
    """Wait for a child to end, and note what it reported."""
    child, status, usage = os.wait4(-1, 0)
    number, report, began = running.pop(child)
    with report:
        report.seek(0)
        lines = [json.loads(line) for line in report]
    outcomes[number] = {
        "seconds": time.monotonic() - began,
        "megabytes": usage.ru_maxrss / 1024,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "ends": [line for line in lines if "status" in line],
        "events": [line["event"] for line in lines if "event" in line],
    }


def run_all(commands, paths, report, *, is_audited):
    """Run commands in this process, and report each; then leave."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(MOST_WAITED)
    streams = redirected()
    events = {}  # each once, in their order
    gc.disable()
    if is_audited:
        sys.addaudithook(
            lambda name, args: name in UNTOLD or events.setdefault((name, str(args[:1])))
        )
    for command in commands:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        end = run_one([paths.get(word, word) for word in command], streams)
        signal.setitimer(signal.ITIMER_PROF, 0)
        report.write(json.dumps({"command": command, **end}) + "\n")
        report.flush()
    for event in list(events):
        report.write(json.dumps({"event": event}) + "\n")
    report.flush()
    os._exit(0)


def run_one(arguments, streams):
    """Run a command whose output goes to files, and return how it ended."""
    for stream in streams:
        stream.seek(0)
        stream.truncate()
    sys.argv = ["charlm", *arguments]
    status = None
    try:
        charlm.cli.main()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    told = []
    for written, stream in zip((sys.stdout, sys.stderr), streams, strict=True):
        written.flush()
        stream.seek(0)
        told.append(stream.read().decode()[:MOST_TOLD])
    return {"status": status, "stdout": told[0], "stderr": told[1]}


if __name__ == "__main__":
    serve()
