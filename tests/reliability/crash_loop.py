"""Training runs that are ended by signals, and what is left of them.

This is a program of its own, so that the runs can be forked from a process in which everything is
loaded and nothing has been computed yet: python crash_loop.py CORPUS FOLDER SIGNAL KILLS. It
trains without a stop, then again and again with stops in every phase, and prints what came of it
as a JSON object.
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
    """What a run does at this moment, and the last step of a state that it has saved."""

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
        """Note the phase as long as a function of `owner` runs."""
        function = getattr(owner, name)

        def noted(*arguments, **more):
            before = self.enter(phase)
            try:
                return function(*arguments, **more)
            finally:
                self.memory[0] = before
                if phase == "saving the state" and sys.exc_info()[0] is None:
                    self.memory[8:16] = arguments[0].progress.step.to_bytes(8, "little")

        setattr(owner, name, noted)

    def watch_all(self):
        """Called in a run's own process, before it begins."""
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
    """A run of the command in a process of its own, forked from this one."""

    def __init__(self, corpus, watched, *more):
        self.status = None
        self.number = os.fork()
        if self.number:
            return
        with open("talk", "ab") as talk, open(os.devnull, "rb") as nothing:
            for stream, number in ((nothing, 0), (talk, 1), (talk, 2)):
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
    """Send a signal soon after a phase has begun; return the phase that it found, if any."""
    if phase not in ("elsewhere", "reading", "planning"):
        time.sleep(chance.uniform(0, 0.6))
    while watched.phase != phase:
        if child.has_ended():
            return None
    time.sleep(chance.uniform(0, 0.003))
    if child.has_ended():
        return None
    os.kill(child.number, signal.SIGSTOP)  # so that the phase stays that which the signal finds
    found = watched.phase
    os.kill(child.number, number)
    os.kill(child.number, signal.SIGCONT)
    return found


def what_is_left(watched):
    """Check what a run has left; return what is wrong, in words, or nothing."""
    model = Path("model.safetensors")
    state = state_path(model)
    if model.exists():
        Checkpoint.load(model)
    if not state.exists():
        return "a state was announced and is not there" if watched.saved_step else ""
    if TrainingState.load(state).progress.step < watched.saved_step:
        return "the state is older than that which was announced"
    found = Path("talk").read_text().partition("Traceback")
    return "".join(found[1:])


def results():
    """Return all that a run has come to, but for the clock: weights and metrics."""
    records = [json.loads(line) for line in Path("metrics.jsonl").read_text().splitlines()]
    told = [{k: v for k, v in each.items() if "second" not in k} for each in records]
    return Checkpoint.load(Path("model.safetensors")).weights_sha256, told


def clear():
    for name in os.listdir():
        os.unlink(name)


def main(corpus, folder, number, stops):
    os.makedirs(folder)
    os.chdir(folder)
    for name in ("charlm.training.loop", "torch._dynamo"):  # which the first step loads
        importlib.import_module(name)
    watched = Watched()
    assert Child(corpus, watched).wait() == 0, Path("talk").read_text()
    straight, files = results(), sorted(os.listdir())
    clear()
    chance = random.Random(number)
    landed, wrong, runs, slowest = Counter(), [], 0, 0.0
    # Before the command listens to signals, Python or the system does what they say.
    phases = PHASES if number == signal.SIGKILL else PHASES[1:]
    while not wrong and (
        runs == 0 or sum(landed.values()) < stops or any(landed[phase] == 0 for phase in phases)
    ):
        wanted = min(phases, key=lambda phase: (landed[phase], chance.random()))
        watched.memory[:] = bytes(16)
        child = Child(corpus, watched, "--resume")
        found = stop_in(child, watched, wanted, number, chance)
        asked = time.monotonic()
        status = child.wait()
        # Where the command does not listen yet, or no more, the signal itself ends the process.
        expected = {STOPPED[number], -number if found == "elsewhere" else STOPPED[number]}
        if found is not None and status in expected:
            landed[found] += 1
            slowest = max(slowest, time.monotonic() - asked)
            wrong += filter(None, [what_is_left(watched)])
        elif status != 0:
            wrong.append(f"status {status} after a stop while {found}")
        else:
            runs += 1
            if results() != straight:
                wrong.append("a run in pieces came to something else")
            if sorted(os.listdir()) != files:
                wrong.append(f"left over: {sorted(os.listdir())}")
            clear()
    print(json.dumps({"landed": landed, "runs": runs, "wrong": wrong, "slowest": slowest}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
