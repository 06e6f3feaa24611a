"""A run between its events: how far it has come, its best model, its state and its divergence."""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.config import TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.errors import ConfigError, TrainingError
from charlm.fingerprint import union
from charlm.inference.model import Model
from charlm.process_group import ProcessGroup
from charlm.training.events import Ending, Finished, Progress, Validation
from charlm.training.hardware import describe
from charlm.training.plan import Plan
from charlm.training.provenance import origin_of, provenance
from charlm.training.samples import sample_text
from charlm.training.schedule import RunClock
from charlm.training.state import Best, PlanEstimate, RunProgress, TrainingState
from charlm.training.trainer import Trainer

# The learning rate falls early when PATIENCE validations in a row, over PATIENCE_SHARE of all
# steps, were not the best.
PATIENCE, PATIENCE_SHARE = 5, 0.25
# Nats per token, in the mean of a step. A uniform guess among a million tokens costs 14.
LARGEST_LOSS = 100.0


class Run:
    """A run, and the events and states that are made of it.

    Attributes:
        clock: Time, throughput and learning rate schedule.
        step: Steps taken.
        validated_step: Step of the last validation; −1 before the first.
        next_validation: Step of the next validation.
        best: The best validation, with its model.
    """

    def __init__(
        self,
        corpus: Corpus,
        plan: Plan,
        trainer: Trainer,
        *,
        start: Checkpoint | None,
        state: TrainingState | None,
        group: ProcessGroup,
    ) -> None:
        """Begin a run, at a checkpoint if there is one, or continue a saved one."""
        self._corpus, self._plan, self._trainer, self._group = corpus, plan, trainer, group
        # Of each step since the last report: this process's share of the loss, and the gradient
        # norm. They stay on the device until the report.
        self._steps: list[tuple[torch.Tensor | float, torch.Tensor | float]] = []
        self._gradient_norms: array[float] = array("f")  # of the steps before the last report
        group.sync_clock()  # building a network may take seconds
        self.clock = RunClock(plan, None if state is None else state.progress, group)
        first = self.clock.next_validation(0) if start is None else 0
        progress = RunProgress(step=0, next_validation=first) if state is None else state.progress
        self.step = progress.step
        self.validated_step = progress.validated_step
        self.next_validation = progress.next_validation
        self._validations_since_best = progress.validations_since_best
        self._learning_rate = progress.learning_rate
        self._reported_seconds = progress.reported_seconds
        self.best: Validation | None = None
        self._origin: Mapping[str, Any] = origin_of(start)
        fingerprints = () if corpus.fingerprint is None else (corpus.fingerprint,)
        self._fingerprints = (
            fingerprints if start is None else union(start.fingerprints, fingerprints)
        )
        if state is not None:
            self._restore(state)

    def _restore(self, state: TrainingState) -> None:
        """Continue a saved run with its losses, its best model and its networks."""
        self._origin, self._fingerprints = state.origin, tuple(state.last.fingerprints)
        # The saved losses are sums over all processes, so only one of them may keep them.
        share = float(self._group.process.is_first)
        self._steps = [(share * loss, norm) for loss, norm in state.losses.T.tolist()]
        self._gradient_norms.extend(state.gradient_norms.tolist())
        if state.best is not None:
            self.best = self._validation(state.best, state.best_model, sample="")
        self._trainer.restore(state)

    def state(self) -> TrainingState:
        """Return everything that is needed to continue from here.

        Raises:
            TrainingError: If training has diverged since the last report.
        """
        best, plan, clock, throughput = self.best, self._plan, self.clock, self._plan.throughput
        steps = self._steps_since_report()
        return TrainingState(
            corpus=self._corpus.config,
            texts=self._corpus.digests,
            config=plan.config,
            reasons=plan.reasons,
            estimate=PlanEstimate(
                steps=plan.steps,
                seconds=plan.seconds,
                step_seconds=None if throughput is None else throughput.step_seconds,
                validation_seconds=None if throughput is None else throughput.validation_seconds,
            ),
            machine=describe(plan.device, plan.precision, plan.processes),
            origin=self._origin,
            progress=RunProgress(
                step=self.step,
                validated_step=self.validated_step,
                next_validation=self.next_validation,
                validations_since_best=self._validations_since_best,
                learning_rate=self._learning_rate,
                seconds=clock.seconds,
                reported_seconds=self._reported_seconds,
                step_seconds=clock.step_seconds,
                validation_seconds=clock.validation_seconds,
                steps=clock.schedule.steps,
                falls_from=clock.schedule.falls_from,
                falls_by=clock.schedule.falls_by,
                is_closing=clock.schedule.is_closing,
            ),
            last=self._checkpoint({}),
            best=None if best is None else best.score,
            best_model=None if best is None else best.best,
            optimizer_state=self._trainer.optimizer_state(),
            recurrent_state=self._trainer.recurrent_state(),
            losses=steps.T,
            gradient_norms=np.array(self._gradient_norms, np.float32),
        )

    def next_learning_rate(self) -> float:
        """Return the learning rate of the next step, from the schedule."""
        peak = self._plan.config.peak_learning_rate
        self._learning_rate = peak * self.clock.share(self.step)
        return self._learning_rate

    def add_step(self, loss: torch.Tensor, gradient_norm: torch.Tensor) -> None:
        """Count a step. Its numbers may still be on the device."""
        self._steps.append((loss, gradient_norm))
        self.step += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time inside from the speed of training."""
        if self._steps:
            float(self._steps[-1][0])  # waits for the device, which may still be training
        self._group.sync_clock()
        before = self.clock.seconds
        yield
        self._group.sync_clock()
        self._reported_seconds += self.clock.seconds - before

    @property
    def is_over(self) -> bool:
        """Whether all steps have been taken."""
        steps = self.clock.schedule.steps
        return steps is not None and self.step >= steps

    @property
    def has_stopped_improving(self) -> bool:
        """Whether the last validations did not improve, and the rate does not fall yet.

        Never with an encoder: few examples are held out, and nats rise while answers get
        better.
        """
        if self._plan.model.has_encoder:
            return False
        if self.clock.schedule.is_closing or self._validations_since_best < PATIENCE:
            return False
        steps_since_best = self.step - (self.best.step if self.best is not None else 0)
        return steps_since_best >= PATIENCE_SHARE * self.clock.expected_steps(self.step)

    def close(self) -> None:
        """Go back to the best weights, and let the learning rate fall from there.

        That lowers the score further, so a fast machine gets no worse a model than a slow one.
        """
        if self.best is not None and self.best.best is not None:
            self._trainer.load(self.best.best)
            self.clock.schedule.close(self.step, self.best.step)

    @property
    def epoch(self) -> float:
        """How often the training text has been read."""
        return self.step * self._plan.tokens_per_step / self._plan.tokens

    def report(self) -> Progress:
        """Return the mean loss and the speed since the last report. Waits for the device."""
        steps = self._steps_since_report()
        losses, norms = steps[:, 0].tolist(), steps[:, 1]
        self._gradient_norms.extend(norms)
        self._steps.clear()
        self._group.sync_clock()
        now = self.clock.seconds
        seconds, self._reported_seconds = now - self._reported_seconds, now
        self.clock.add_steps(len(losses), seconds)
        nats_per_token = sum(losses) / len(losses)
        plan = self._plan
        characters_per_step = plan.tokens_per_step * plan.characters / plan.tokens
        return Progress(
            step=self.step,
            steps=self.clock.expected_steps(self.step),
            epoch=self.epoch,
            seconds=self.clock.seconds,
            nats_per_token=nats_per_token,
            bits_per_character=nats_per_token / math.log(2) * plan.predictions / plan.characters,
            learning_rate=self._learning_rate,
            gradient_norm=float(norms[-1]),
            clipped_share=self._clipped_share(norms),
            characters_per_second=len(losses) * characters_per_step / seconds,
        )

    def _steps_since_report(self) -> NDArray[np.float32]:
        """Return loss and gradient norm of each step since the last report, shape (steps, 2).

        They are float32, as in a saved state, so that a resumed run reports the same numbers.

        Raises:
            TrainingError: If training has diverged.
        """
        losses = self._group.all_reduce([float(loss) for loss, _ in self._steps])
        norms = [float(norm) for _, norm in self._steps]
        with np.errstate(over="ignore"):  # of a loss that is about to be an error
            steps = np.array([losses, norms]).astype(np.float32).T
        _check_steps(steps, self.step, self._plan.config)
        return steps

    def _clipped_share(self, norms: NDArray[np.floating[Any]]) -> float:
        """Return the share of gradients that were clipped."""
        return float((norms > self._plan.config.max_gradient_norm).mean()) if len(norms) else 0.0

    def validate(
        self, give_up: Callable[[], bool], *, is_stopped: bool = False
    ) -> Iterator[Validation]:
        """Score the validation text, and yield the result unless `give_up` returns true.

        The validation after a stop is no part of the run, and its model records that.
        """
        with self.paused():
            before = self.clock.seconds
            result = self._trainer.validate(give_up)
            if result is None:
                return
            self._group.sync_clock()
            yield self._validated(*result, {"stopped": True} if is_stopped else {})
            self._group.sync_clock()
            self.clock.validation_seconds = self.clock.seconds - before  # saving included

    def _validated(
        self, nats: float, errors: int, more_provenance: Mapping[str, Any]
    ) -> Validation:
        """Return the event of a validation; keep it if it is the best."""
        self.validated_step = self.step
        self.next_validation = self.clock.next_validation(self.step)
        if not math.isfinite(nats):
            problem = f"the validation score after step {self.step} is {nats}"
            raise _diverged(problem, self._plan.config)
        seconds = self.clock.seconds
        score = Best(step=self.step, epoch=self.epoch, seconds=seconds, nats=nats, errors=errors)
        # With an encoder the last model is the best: the rate has fallen furthest, and the few
        # held-out examples cannot choose: of Turkish forms they chose a model with 79 % right.
        is_best = self._plan.model.has_encoder or self.best is None or nats < self.best.nats
        self._validations_since_best = 0 if is_best else self._validations_since_best + 1
        planned_steps = self.clock.expected_steps(self.step)
        recorded = provenance(
            self._corpus, self._plan, self._origin, score, planned_steps=planned_steps
        )
        checkpoint = self._checkpoint({**recorded, **more_provenance})
        sample = ""
        if self._group.process.is_first:  # which prints it
            with np.errstate(all="ignore"):  # of weights that are about to diverge
                sample = sample_text(Model(checkpoint), self._corpus.validation, self.step)
        validation = self._validation(score, checkpoint if is_best else None, sample=sample)
        if is_best:
            self.best = validation
        return validation

    def _validation(self, score: Best, checkpoint: Checkpoint | None, *, sample: str) -> Validation:
        held_out = self._corpus.validation
        nats_per_character = score.nats / held_out.characters
        return Validation(
            **asdict(score),
            error_rate=score.errors / held_out.predictions,
            nats_per_character=nats_per_character,
            bits_per_character=nats_per_character / math.log(2),
            best=checkpoint,
            sample=sample,
        )

    def finished(
        self, ending: Ending, best: Validation | None, state: TrainingState | None
    ) -> Finished:
        """Return the event of the end of the run."""
        norms = np.array(self._gradient_norms, np.float64)  # a sum of float32 may overflow
        return Finished(
            ending=ending,
            step=self.step,
            seconds=self.clock.seconds,
            best=best,
            median_gradient_norm=float(np.median(norms)) if len(norms) else math.nan,
            clipped_share=self._clipped_share(norms),
            state=state,
        )

    def _checkpoint(self, recorded: Mapping[str, Any]) -> Checkpoint:
        """Return the current network with its provenance.

        Raises:
            TrainingError: If its weights are not finite, or too large to be loaded again.
        """
        checkpoint = Checkpoint(
            config=self._plan.model,
            tokenizer=self._corpus.tokenizer,
            arrays=self._trainer.to_arrays(),
            provenance=recorded,
            fingerprints=self._fingerprints,
        )
        try:
            checkpoint.check_values()
        except ConfigError as error:
            problem = f"after step {self.step} {error.message}"
            raise _diverged(problem, self._plan.config) from None
        return checkpoint


def _check_steps(steps: NDArray[np.float32], last_step: int, config: TrainingConfig) -> None:
    """Raise TrainingError if a loss or a gradient norm, shape (steps, 2), shows divergence."""
    first_step = last_step - len(steps) + 1
    for step, (loss, norm) in enumerate(steps.tolist(), start=first_step):
        if not loss <= LARGEST_LOSS:  # or NaN
            raise _diverged(f"the loss at step {step} is {loss:.3g} nats per token", config)
        if not math.isfinite(norm):
            raise _diverged(f"the gradient norm at step {step} is {norm}", config)


def _diverged(problem: str, config: TrainingConfig) -> TrainingError:
    hint = f"lower --learning-rate ({config.peak_learning_rate:g})"
    return TrainingError(f"training has diverged: {problem}", hint=hint)
