"""Runs a plan and yields events. It prints nothing and writes nothing."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from charlm.checkpoint import Checkpoint
from charlm.corpus.encoding import Corpus
from charlm.corpus.ngrams import count_corpus
from charlm.inference.combination_weights import with_ngrams
from charlm.inference.line_scores import with_line_scores
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.dynamic_evaluation import with_dynamic_rates
from charlm.training.embeddings import Embeddings
from charlm.training.events import Ending, Event
from charlm.training.hardware import enough_memory
from charlm.training.plan import Plan
from charlm.training.run import Run
from charlm.training.state import TrainingState
from charlm.training.trainer import Trainer

REPORT_INTERVAL = 10  # steps
PATIENCE_WITH_STOP = 2.5  # seconds in which a validation may end after a request to stop


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
    """Train as planned and yield progress, validations, states and, last, the end of the run.

    A run that is stopped yields its state. Resumed from it, the run ends in the same weights bit
    for bit on the same machine, unless time ends it. After that state, a stopped run makes one
    last validation for its user, which may take a few seconds and is no part of the state.

    Args:
        corpus: The encoded texts.
        plan: The result of `make_plan`, or of `resume_plan` for a state.
        embeddings: Word vectors to start from.
        start: A model of the same settings and tokenizer to start from. It is validated first.
        state: A saved run to continue. `embeddings` and `start` have no effect then.
        save_every: Seconds between two states. The first comes at the start, the last at the end or
            at a stop. None yields no state.
        should_stop: Called before every step. If it returns true, the run stops.
        group: The processes of the run. Each of them must consume all events.

    Raises:
        CheckpointError: If the state is of another network.
        TrainingError: If the run diverges, or memory does not suffice.
    """
    with enough_memory(plan.config, plan.model):
        trainer = Trainer(
            corpus,
            plan.model,
            plan.config,
            device=plan.device,
            precision=plan.precision,
            embeddings=embeddings,
            start=start,
            group=group,
        )
        run = Run(corpus, plan, trainer, start=start, state=state, group=group)
        stop = _Stop(should_stop, group)
        ending: Ending = "complete"
        saved_seconds = -math.inf
        while not run.is_over:
            if run.step >= run.next_validation:
                yield from run.validate(stop.is_urgent)
            if run.has_stopped_improving:
                run.close()
            if stop.is_agreed():
                break
            if run.clock.is_late:
                ending = "time is up"
                break
            if save_every is not None and run.clock.seconds - saved_seconds >= save_every:
                with run.paused():
                    yield run.state()
                saved_seconds = run.clock.seconds
            run.add_step(*trainer.step(run.step, run.next_learning_rate()))
            if run.step % REPORT_INTERVAL == 0 or run.is_over:
                yield run.report()
        if run.is_over and run.clock.schedule.is_closing:
            ending = "no improvement"
        yield from _finish(run, corpus, plan, ending, stop, is_saved=save_every is not None)


def _finish(
    run: Run, corpus: Corpus, plan: Plan, ending: Ending, stop: "_Stop", *, is_saved: bool
) -> Iterator[Event]:
    """Validate, complete the best model, and yield the end of the run."""
    if not stop.is_agreed() and run.step > run.validated_step:
        yield from run.validate(stop.is_urgent)
    state = run.state() if is_saved else None
    best = run.best
    is_first = stop.group.process.is_first  # which saves the model
    if not stop.is_agreed() and best is not None and best.best is not None:
        if is_first:
            checkpoint = with_dynamic_rates(
                best.best,
                corpus,
                plan.config,
                run.step,
                device=plan.device,
                should_stop=stop.is_requested,
            )
            best = replace(best, best=checkpoint)
        stop.group.sync_clock()  # waits for rank 0, however long it takes
    if stop.is_agreed():  # maybe while the rates were fitted: then a resumed run fits them
        ending = "stopped"
        if state is not None:
            yield state
        if run.step > run.validated_step:
            yield from run.validate(stop.is_urgent, is_stopped=True)
        best, state = run.best, None
    if best is not None and best.best is not None and is_first:
        checkpoint = best.best
        if ending != "stopped":
            tables = count_corpus(
                corpus, plan.model, order=plan.config.ngram_order, seconds=plan.config.max_time
            )
            checkpoint = with_ngrams(checkpoint, tables, corpus.validation)
        best = replace(best, best=with_line_scores(checkpoint, corpus.validation))
    yield run.finished(ending, best, None if state is None else state.ended())


class _Stop:
    """Whether a run is to stop, and since when.

    Attributes:
        group: The processes of the run.
    """

    def __init__(self, should_stop: Callable[[], bool], group: ProcessGroup) -> None:
        self._should_stop, self.group = should_stop, group
        self._since: float | None = None
        self._is_agreed = False

    def is_agreed(self) -> bool:
        """Return whether any process has requested a stop. All processes must call it."""
        self._is_agreed = self.group.any(self.is_requested()) or self._is_agreed
        return self._is_agreed

    def is_requested(self) -> bool:
        """Return whether this process has requested a stop."""
        if self._since is None and self._should_stop():
            self._since = time.monotonic()
        return self._since is not None

    def is_urgent(self) -> bool:
        """Return whether the request is so old that no validation can be waited for."""
        return self.is_requested() and time.monotonic() - (self._since or 0.0) > PATIENCE_WITH_STOP
