"""Runs a plan and yields what happens; prints nothing, writes nothing."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from charlm.checkpoint import Checkpoint
from charlm.corpus.encoding import Corpus
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.embeddings import Embeddings
from charlm.training.events import Ending, Event
from charlm.training.hardware import enough_memory
from charlm.training.plan import Plan
from charlm.training.run import Run
from charlm.training.state import TrainingState
from charlm.training.trainer import Learner

REPORT_INTERVAL = 10  # steps
PATIENCE_WITH_STOP = 2.5  # seconds in which a validation may end when a run is to stop


def train(
    corpus: Corpus,
    plan: Plan,
    *,
    embeddings: Embeddings | None = None,
    start: Checkpoint | None = None,
    state: TrainingState | None = None,
    save_every: float | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Iterator[Event]:
    """Train as planned and yield progress, validations and, last, how it ended.

    A run that is stopped yields its state, and goes on from it as if it had never stopped: on the
    same machine to the last bit, unless it is time that ends it. What a stopped run still does, a
    last validation that may take a few seconds, is for its user alone and no part of the state.

    Args:
        corpus: What `encode_corpus` returned.
        plan: What `make_plan` returned for it, or `resume_plan` for a state.
        embeddings: Word vectors to start from.
        start: A model of the same config and tokenizer to start from; it is validated first.
        state: A run to go on with; nothing else to start from has a meaning beside it.
        save_every: Seconds after which the state is yielded, besides at the start and at every
            stop; None never yields it.
        should_stop: Asked before every step; True ends the run after one more validation.
        group: The processes that train, of which each has to take all events.

    Raises:
        CheckpointError: If the state is of another network.
        TrainingError: If the run diverges, or memory is not enough.
    """
    with enough_memory(plan.config, plan.model):
        learner = Learner(
            corpus,
            plan.model,
            plan.config,
            device=plan.device,
            precision=plan.precision,
            embeddings=embeddings,
            start=start,
            group=group,
        )
        stop = _Stop(should_stop, group)
        yield from _steps(Run(corpus, plan, learner, start, state, group), stop, save_every)


def _steps(run: Run, stop: "_Stop", save_every: float | None) -> Iterator[Event]:
    """Take the steps of a run, and yield what happens."""
    ending: Ending = "complete"
    saved = -math.inf
    while not run.is_over:
        if run.step >= run.next_validation:
            yield from run.validated(stop.is_urgent)
            if run.is_hopeless:
                ending = "no improvement"
                break
        if stop.is_agreed():
            break
        if run.pace.is_late:
            ending = "time is up"
            break
        if save_every is not None and run.pace.seconds - saved >= save_every:
            with run.paused():
                yield run.state()
            saved = run.pace.seconds
        run.take_step()
        if run.step % REPORT_INTERVAL == 0 or run.is_over:
            yield run.report()
    if not stop.is_agreed() and run.step > run.validated_step:
        yield from run.validated(stop.is_urgent)
    state = None if save_every is None else run.state()
    best = run.best
    if not stop.is_agreed() and best is not None and best.best is not None:
        best = replace(best, best=run.adapted(best.best, should_stop=stop.is_wanted))
    if stop.is_agreed():
        ending = "stopped"
        if state is not None:
            yield state
        if run.step > run.validated_step:
            yield from run.validated(stop.is_urgent, is_last=True)
        best, state = run.best, None
    if best is not None and best.best is not None:
        best = replace(best, best=run.with_line_scores(best.best))
    yield run.finished(ending, best, None if state is None else state.ended())


class _Stop:
    """Whether a run is to stop, and for how long that has been wanted."""

    def __init__(self, should_stop: Callable[[], bool], group: ProcessGroup) -> None:
        self._should_stop, self._group = should_stop, group
        self._since: float | None = None
        self._is_agreed = False

    def is_agreed(self) -> bool:
        """Ask each process whether the run is to stop; once one wants it, it stays so."""
        self._is_agreed = self._group.any(self.is_wanted()) or self._is_agreed
        return self._is_agreed

    def is_wanted(self) -> bool:
        """Tell whether it is this process that wants the run to stop."""
        if self._since is None and self._should_stop():
            self._since = time.monotonic()
        return self._since is not None

    def is_urgent(self) -> bool:
        """Tell whether it was wanted so long ago that nothing more can be waited for."""
        return self.is_wanted() and time.monotonic() - (self._since or 0.0) > PATIENCE_WITH_STOP
