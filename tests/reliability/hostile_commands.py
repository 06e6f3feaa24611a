"""Runs commands on hostile files: each file in a process of its own, within bounds.

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
from processes import without_coverage

import charlm.cli

SECONDS = 2  # of processor time that a command may take
LONGEST_WAIT = 60  # seconds that the commands on a file may wait
MEMORY = 500  # MB that they may take
LONGEST_OUTPUT = 4000  # characters of a command's output that are reported

# The commands that are run on every file; MODEL and TEXT stand for paths.
COMMANDS = [
    line.split()
    for line in """
        info MODEL
        info MODEL --json
        generate -m MODEL --seed the --jsonl
        eval -m MODEL TEXT
        eval -m MODEL --per-line TEXT
        eval -m MODEL --per-word TEXT
        generate -m MODEL --words 3 --seed the --repetition-penalty 1e30
        generate -m MODEL -n 9 --seed the --count 9 --novel --top-p 0.9 --temperature 1
    """.strip().splitlines()
]
UNREPORTED = {"builtins.id", "sys._getframe"}  # audit events that name only addresses
TEXT = "the café\tsat\nwhere\tthe \x1b[31m\U0001f63a went\n"  # pairs, so that any model reads it

IMPORTED = [
    "charlm.cli.eval.classes",
    "charlm.cli.eval.figures",
    "charlm.cli.generate.classes",
    "charlm.cli.generate.printing",
    "charlm.corpus.reading",
    "charlm.display",
    "charlm.inference.model",
    "charlm.inference.scoring",
    "charlm.tokenizers.subword",
    "numpy.ma",
    "numpy.random",
]


def run(paths, directory, *, commands=8, is_audited=False):
    """Run commands on each file; return an outcome for each.

    Eight commands are run on a file, or fewer in turn: with one, every eighth file is for `info`.

    An outcome is {"seconds", "megabytes", "signal", "ends": [{"command", "status", "stdout",
    "stderr"}], "events": [[name, arguments], ...]}. With `is_audited`, events are Python's audit
    events: files that are opened, modules that are imported, sockets, processes.
    """
    text = Path(directory) / "text.txt"
    text.write_bytes(TEXT.encode())
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(
            {
                "text": str(text),
                "commands": commands,
                "is_audited": is_audited,
                "paths": list(map(str, paths)),
            }
        ),
        capture_output=True,
        text=True,
        cwd=directory,
        env=without_coverage(OPENBLAS_NUM_THREADS="1", PYTHONWARNINGS="always"),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def count_endings(outcomes):
    """Count the files that every command refused, and those that did no harm.

    Raises:
        AssertionError: If a command ended in another way.
    """
    endings = Counter()
    for name, outcome in outcomes.items():
        problem = problem_of(outcome)
        assert problem is None, f"{name}: {problem}"
        statuses = {end["status"] for end in outcome["ends"]}
        endings["refused" if statuses == {2} else "harmless"] += 1
    return endings


def problem_of(outcome):
    """Return how the commands ended wrongly; None if they ended well."""
    if outcome["signal"]:
        ended = len(outcome["ends"])
        return f"ended by {signal.Signals(outcome['signal']).name} after {ended} commands"
    if not outcome["ends"]:
        return "no command was run"
    if outcome["megabytes"] > MEMORY:
        return f"the commands took {outcome['megabytes']:.0f} MB"
    for end in outcome["ends"]:
        command = end["command"]
        ending = f"{command[:3]} ended with {end['status']} and {end['stderr'][-1500:]!r}"
        lines = end["stderr"].splitlines()
        prefixes = [line.split(":")[0] for line in lines]
        notes = [prefix for prefix in prefixes if prefix == "note"]
        is_error = [prefix for prefix in prefixes if prefix != "note"] in (
            ["error"],
            ["error", "", "hint"],
        )
        # A text that no attempt gave has a note, a refused file an error.
        is_allowed = {0: prefixes == notes, 1: bool(notes), 2: is_error}
        if not is_allowed.get(end["status"], False):
            return ending
        if any(len(line) > 1000 or not line.isprintable() for line in lines):
            return ending
        if (end["status"] == 0) != bool(end["stdout"]) and command[0] != "generate":
            return f"{ending} after {end['stdout'][:60]!r}"
        if command[0] == "eval" and "nan" in end["stdout"]:
            return f"{command[:3]} wrote {end['stdout'][-300:]!r}"
    return None


def serve():
    """Run the jobs of stdin, one for each processor at a time."""
    jobs = json.load(sys.stdin)
    warm_up()
    running, outcomes = {}, [None] * len(jobs["paths"])
    for number, path in enumerate(jobs["paths"]):
        with tempfile.TemporaryFile("w+") as report:
            child = os.fork()
            if child == 0:
                chosen = [
                    (COMMANDS * 2)[number % len(COMMANDS) + n] for n in range(jobs["commands"])
                ]
                paths = {"MODEL": path, "TEXT": jobs["text"]}
                run_all(chosen, paths, report, is_audited=jobs["is_audited"])
            running[child] = number, os.fdopen(os.dup(report.fileno())), time.monotonic()
        if len(running) == os.cpu_count():
            reap(running, outcomes)
    while running:
        reap(running, outcomes)
    json.dump(outcomes, sys.stdout)


def warm_up():
    """Import, build the parser and fail once, so that children need not."""
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
    """Send stdout and stderr to two files; return the files."""
    streams = [tempfile.TemporaryFile() for _ in range(2)]
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
    return streams


def reap(running, outcomes):
    """Wait for a child to end; keep its report."""
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
    """Run commands in this process, report each, and exit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(LONGEST_WAIT)
    streams = redirected()
    events = {}  # without repetitions, in their order
    gc.disable()
    if is_audited:
        sys.addaudithook(
            lambda name, args: name in UNREPORTED or events.setdefault((name, str(args[:1])))
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
    """Run a command whose output goes to files; return its status and output."""
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
    output = []
    for written, stream in zip((sys.stdout, sys.stderr), streams, strict=True):
        written.flush()
        stream.seek(0)
        output.append(stream.read().decode()[:LONGEST_OUTPUT])
    return {"status": status, "stdout": output[0], "stderr": output[1]}


if __name__ == "__main__":
    serve()
