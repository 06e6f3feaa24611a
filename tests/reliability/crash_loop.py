"""Stops training runs by signals, and checks what they leave.

This is a program of its own, so that the runs can be forked from a process in which everything is
loaded and nothing has been computed yet: python crash_loop.py CORPUS FOLDER STOPS SIGNAL ... It
trains without a stop, then for each signal again and again with stops in every phase, and prints a
report for each signal, as a JSON object.
"""

import importlib
import json
import mmap
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import charlm.cli
from charlm.checkpoint import Checkpoint
from charlm.corpus import encoding
from charlm.training import loop, plan, trainer
from charlm.training.state import TrainingState, state_path

PHASES = ("elsewhere", "reading", "planning", "training", "validating", "saving the model",
          "saving the state", "finishing")  # fmt: skip
SIZE = "--hidden-size 8 --embedding-size 4 --batch-size 4 --bptt-length 16 --max-steps 120"
OPTIONS = [*SIZE.split(), "--save-every", "0.02s", "--threads", "1", "--metrics", "metrics.jsonl"]
STOPPED = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}


class Watched:
    """Memory shared with a run: its phase, and the last step that it has saved."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 16)

    @property
    def phase(self):
        return PHASES[self.memory[0]]

    @property
    def saved_step(self):
        return int.from_bytes(self.memory[8:16], "little")

    def enter(self, phase):
        before, self.memory[0] = self.memory[0], PHASES.index(phase)
        return before

    def watch(self, owner, name, phase):
        """Set the phase while a function of `owner` runs."""
        function = getattr(owner, name)

        def watched(*arguments, **more):
            before = self.enter(phase)
            try:
                return function(*arguments, **more)
            finally:
                self.memory[0] = before
                if phase == "saving the state" and sys.exc_info()[0] is None:
                    self.memory[8:16] = arguments[0].progress.step.to_bytes(8, "little")

        setattr(owner, name, watched)

    def watch_all(self):
        """Watch every phase; the child calls this before its run begins."""
        self.watch(encoding, "encode_corpus", "reading")
        self.watch(plan, "make_plan", "planning")
        self.watch(plan, "resume_plan", "planning")
        self.watch(trainer.Trainer, "step", "training")
        self.watch(trainer.Trainer, "validate", "validating")
        self.watch(Checkpoint, "save", "saving the model")
        self.watch(TrainingState, "save", "saving the state")
        self.watch(loop, "with_dynamic_rates", "finishing")
        self.watch(loop, "with_line_scores", "finishing")


class Child:
    """A run of the command in a forked process."""

    def __init__(self, corpus, watched, *more):
        self.status = None
        self.number = os.fork()
        if self.number:
            return
        with open("output", "ab") as output, open(os.devnull, "rb") as nothing:
            for stream, number in ((nothing, 0), (output, 1), (output, 2)):
                os.dup2(stream.fileno(), number)
        watched.watch_all()
        sys.argv = ["charlm", "train", corpus, *OPTIONS, *more]
        status = 70  # a traceback
        try:
            charlm.cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        finally:
            sys.stderr.flush()
            os._exit(status)

    def has_ended(self, how=os.WNOHANG):
        if self.status is None:
            process, status = os.waitpid(self.number, how)
            if process:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self):
        self.has_ended(0)
        return self.status


def stop_in(child, watched, phase, number, chance):
    """Send a signal soon after a phase has begun; return the phase in which it came, if any."""
    if phase not in ("elsewhere", "reading", "planning"):
        time.sleep(chance.uniform(0, 0.6))
    while watched.phase != phase:
        if child.has_ended():
            return None
    time.sleep(chance.uniform(0, 0.003))
    if child.has_ended():
        return None
    os.kill(child.number, signal.SIGSTOP)  # the phase must not change before the signal
    stopped_in = watched.phase
    os.kill(child.number, number)
    os.kill(child.number, signal.SIGCONT)
    return stopped_in


def damage(watched):
    """Return what is wrong with the files of a stopped run; "" if nothing is."""
    model = Path("model.safetensors")
    state = state_path(model)
    if model.exists():
        Checkpoint.load(model)
    if not state.exists():
        return "a saved state is not there" if watched.saved_step else ""
    if TrainingState.load(state).progress.step < watched.saved_step:
        return "the state is older than the last one saved"
    _, *traceback = Path("output").read_text().partition("Traceback")
    return "".join(traceback)


def results():
    """Return the weights and metrics of a finished run, without times."""
    records = [json.loads(line) for line in Path("metrics.jsonl").read_text().splitlines()]
    metrics = [{k: v for k, v in record.items() if "second" not in k} for record in records]
    return Checkpoint.load(Path("model.safetensors")).weights_sha256, metrics


def clear():
    for name in os.listdir():
        os.unlink(name)


def main(corpus, folder, stops, *signals):
    os.makedirs(folder)
    os.chdir(folder)
    importlib.import_module("charlm.training.loop")  # each child would load it again
    watched = Watched()
    assert Child(corpus, watched).wait() == 0, Path("output").read_text()
    whole, files = results(), sorted(os.listdir())
    clear()
    reports = {
        number: stop_again_and_again(corpus, watched, int(number), int(stops), whole, files)
        for number in signals
    }
    print(json.dumps(reports))


def stop_again_and_again(corpus, watched, number, stops, whole, files):
    """Stop runs until every phase has had a stop; return a report."""
    chance = random.Random(number)
    landed, wrong, runs, slowest = Counter(), [], 0, 0.0
    # Before the command handles signals, Python's own handlers do.
    phases = PHASES if number == signal.SIGKILL else PHASES[1:]
    while not wrong and (
        runs == 0 or sum(landed.values()) < stops or any(landed[phase] == 0 for phase in phases)
    ):
        phase = min(phases, key=lambda phase: (landed[phase], chance.random()))
        watched.memory[:] = bytes(16)
        child = Child(corpus, watched, "--resume")
        stopped_in = stop_in(child, watched, phase, number, chance)
        sent_at = time.monotonic()
        status = child.wait()
        # Before and after the command handles signals, the signal itself ends the process.
        expected = {STOPPED[number], -number if stopped_in == "elsewhere" else STOPPED[number]}
        if stopped_in is not None and status in expected:
            landed[stopped_in] += 1
            slowest = max(slowest, time.monotonic() - sent_at)
            wrong += filter(None, [damage(watched)])
        elif status != 0:
            wrong.append(f"status {status} after a stop while {stopped_in}")
        else:
            runs += 1
            if results() != whole:
                wrong.append("a run in pieces ended in other weights or metrics")
            if sorted(os.listdir()) != files:
                wrong.append(f"left over: {sorted(os.listdir())}")
            clear()
    clear()
    return {"landed": landed, "runs": runs, "wrong": wrong, "slowest": slowest}


if __name__ == "__main__":
    main(*sys.argv[1:])
