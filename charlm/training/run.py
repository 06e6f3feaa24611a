"""A run between its events: where it stands, what it has found, and how it is saved."""

import importlib.metadata
import math
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.corpus.encoding import Corpus
from charlm.errors import ConfigError, TrainingError
from charlm.fingerprint import union
from charlm.inference.line_scores import with_line_scores
from charlm.inference.model import Model
from charlm.process_group import ProcessGroup
from charlm.training.dynamic_evaluation import with_dynamic_rates
from charlm.training.events import Ending, Finished, Progress, Validation
from charlm.training.hardware import describe
from charlm.training.plan import Plan
from charlm.training.schedule import Pace
from charlm.training.state import Best, PlanEstimate, RunProgress, TrainingState
from charlm.training.trainer import Learner

# A run ends early when so many validations, and this share of all steps, brought nothing better.
PATIENCE, PATIENCE_SHARE = 5, 0.25
SAMPLE_LENGTH = 120  # characters
# Nats a token, in the mean of a step's; a guess among a million tokens costs 14.
LARGEST_LOSS = 100.0


class Run:
    """A run: what it remembers between events, and the data that it makes of that."""

    def __init__(
        self,
        corpus: Corpus,
        plan: Plan,
        learner: Learner,
        start: Checkpoint | None,
        state: TrainingState | None,
        group: ProcessGroup,
    ) -> None:
        # This process's share of the loss, and the gradient norm, of each step since the last
        # report, on the device or numbers.
        self.losses: list[tuple[torch.Tensor | float, torch.Tensor | float]] = []
        self.gradient_norms: array[float] = array("f")  # of all steps that were reported
        group.sync_clock()  # a network may take seconds to lay out
        self.pace = Pace(plan, None if state is None else state.progress, group)
        self.step = 0
        self.validated_step = -1
        self.next_validation = self.pace.next_validation(0) if start is None else 0
        self.best: Validation | None = None
        self._validations_since_best = 0
        self._corpus, self._plan, self._learner, self._group = corpus, plan, learner, group
        self._origin: Mapping[str, Any] = {}
        own = () if corpus.fingerprint is None else (corpus.fingerprint,)
        self._fingerprints = own if start is None else union(start.fingerprints, own)
        if start is not None:
            self._origin = {
                "from": {
                    "weights_sha256": start.weights_sha256,
                    "corpus": start.provenance.get("corpus", []),
                }
            }
        self._learning_rate = 0.0
        self._reported = 0.0  # seconds
        if state is not None:
            self._restore(state)

    def _restore(self, state: TrainingState) -> None:
        """Stand where another run stood."""
        place = state.progress
        self.step = place.step
        self.validated_step, self.next_validation = place.validated_step, place.next_validation
        self._validations_since_best = place.validations_since_best
        self._learning_rate, self._reported = place.learning_rate, place.reported_seconds
        self._origin, self._fingerprints = state.origin, tuple(state.last.fingerprints)
        own = float(self._group.process.is_first)  # or each process would add it to the sum
        self.losses = [(own * loss, norm) for loss, norm in state.losses.T.tolist()]
        self.gradient_norms.extend(state.gradient_norms.tolist())
        if state.best is not None:
            self.best = self._validation(state.best, state.best_model, sample="")
        self._learner.restore(state.last, state.optimizer, state.carried)

    def state(self) -> TrainingState:
        """Return all that is needed to go on from here.

        Raises:
            TrainingError: If what was learnt since the last report is no longer worth keeping.
        """
        losses = self._found()
        best, plan, speed = self.best, self._plan, self._plan.speed
        return TrainingState(
            corpus=self._corpus.config,
            texts=self._corpus.digests,
            config=plan.config,
            reasons=plan.reasons,
            estimate=PlanEstimate(
                steps=plan.steps,
                seconds=plan.seconds,
                step_seconds=None if speed is None else speed.step,
                validation_seconds=None if speed is None else speed.validation,
            ),
            machine=describe(plan.device, plan.precision, plan.processes),
            origin=self._origin,
            progress=RunProgress(
                step=self.step,
                validated_step=self.validated_step,
                next_validation=self.next_validation,
                validations_since_best=self._validations_since_best,
                learning_rate=self._learning_rate,
                seconds=self.pace.seconds,
                reported_seconds=self._reported,
                step_seconds=self.pace.step_seconds,
                validation_seconds=self.pace.validation_seconds,
                steps=self.pace.schedule.steps,
                falls_from=self.pace.schedule.falls_from,
                falls_by=self.pace.schedule.falls_by,
                is_over=False,
            ),
            last=self._checkpoint({}),
            best=None if best is None else _time_and_score(best),
            best_model=None if best is None else best.best,
            optimizer=self._learner.moments(),
            carried=self._learner.carried(),
            losses=losses.T,
            gradient_norms=np.array(self.gradient_norms, np.float32),
        )

    def take_step(self) -> None:
        """Learn from the next window."""
        peak = self._plan.config.peak_learning_rate
        self._learning_rate = peak * self.pace.share(self.step)
        self.losses.append(self._learner.step(self.step, self._learning_rate))
        self.step += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count what is done inside as learning."""
        if self.losses:
            float(self.losses[-1][0])  # wait for the device, which may still be learning
        self._group.sync_clock()
        before = self.pace.seconds
        yield
        self._group.sync_clock()
        self._reported += self.pace.seconds - before

    @property
    def is_over(self) -> bool:
        """Whether all steps have been taken."""
        steps = self.pace.schedule.steps
        return steps is not None and self.step >= steps

    @property
    def is_hopeless(self) -> bool:
        """Whether validation has not improved for long."""
        without = self.step - (self.best.step if self.best is not None else 0)
        return (
            self._validations_since_best >= PATIENCE
            and without >= PATIENCE_SHARE * self.pace.expected_steps(self.step)
        )

    @property
    def epoch(self) -> float:
        """How often the training text has been read."""
        return self.step * self._plan.tokens_per_step / self._plan.tokens

    def report(self) -> Progress:
        """Look at the losses since the last report, which waits for the device."""
        found = self._found()
        values, norms = found[:, 0].tolist(), found[:, 1]
        self.gradient_norms.extend(norms)
        self.losses.clear()
        self._group.sync_clock()
        now = self.pace.seconds
        elapsed, self._reported = now - self._reported, now
        self.pace.took(len(values), elapsed)
        nats = sum(values) / len(values)
        plan = self._plan
        characters_per_step = plan.tokens_per_step * plan.characters / plan.tokens
        return Progress(
            step=self.step,
            steps=self.pace.expected_steps(self.step),
            epoch=self.epoch,
            seconds=self.pace.seconds,
            nats_per_token=nats,
            bits_per_character=nats / math.log(2) * plan.predictions / plan.characters,
            learning_rate=self._learning_rate,
            gradient_norm=float(norms[-1]),
            clipped_share=self.clipped_share(norms),
            characters_per_second=len(values) * characters_per_step / elapsed,
        )

    def _found(self) -> NDArray[np.float32]:
        """Return loss and gradient norm of each step since the last report, shape (steps, 2).

        They are of the precision in which a state holds them, so that a run that goes on reports
        the same.

        Raises:
            TrainingError: If they tell of divergence.
        """
        own = [float(loss) for loss, _ in self.losses]
        norms = [float(norm) for _, norm in self.losses]
        with np.errstate(over="ignore"):  # of what is about to be refused
            found = np.array([self._group.all_reduce(own), norms]).astype(np.float32).T
        self._refuse_divergence(found)
        return found

    def clipped_share(self, norms: NDArray[np.floating[Any]]) -> float:
        """Return the share of gradients that were longer than allowed."""
        return float((norms > self._plan.config.max_gradient_norm).mean()) if len(norms) else 0.0

    def _refuse_divergence(self, found: NDArray[Any]) -> None:
        """Raise TrainingError if a loss or gradient norm, shape (steps, 2), tells of divergence."""
        for place, (loss, norm) in enumerate(found.tolist(), start=self.step - len(found) + 1):
            if not loss <= LARGEST_LOSS:
                self._diverged(f"the loss at step {place} is {loss:.3g} nats a token")
            if not math.isfinite(norm):
                self._diverged(f"the gradient at step {place} is {norm}")

    def _diverged(self, what: str) -> NoReturn:
        raise TrainingError(
            f"{what}: training has diverged",
            hint=f"lower --learning-rate ({self._plan.config.peak_learning_rate:g})",
        )

    def validated(
        self, give_up: Callable[[], bool], *, is_last: bool = False
    ) -> Iterator[Validation]:
        """Score the held-out text, unless told to give up; keep the model if it is the best.

        The last score of a stopped run is no part of it, which the model then says of itself.
        """
        with self.paused():
            before = self.pace.seconds
            nats = self._learner.validate(give_up)
            if nats is None:
                return
            self._group.sync_clock()
            yield self._validate(nats, {"stopped": True} if is_last else {})
            self._group.sync_clock()
            self.pace.validation_seconds = self.pace.seconds - before  # saving included

    def _validate(self, nats: float, more: Mapping[str, Any]) -> Validation:
        self.validated_step = self.step
        self.next_validation = self.pace.next_validation(self.step)
        if not math.isfinite(nats):
            self._diverged(f"the validation score after step {self.step} is {nats}")
        is_best = self.best is None or nats < self.best.nats
        self._validations_since_best = 0 if is_best else self._validations_since_best + 1
        found = Best(step=self.step, epoch=self.epoch, seconds=self.pace.seconds, nats=nats)
        checkpoint = self._checkpoint({**self._provenance(nats), **more})
        sample = ""
        if self._group.process.is_first:  # which shows it
            with np.errstate(all="ignore"):  # weights that are about to diverge
                sample = self._sample(Model(checkpoint))
        validation = self._validation(found, checkpoint if is_best else None, sample=sample)
        if is_best:
            self.best = validation
        return validation

    def _validation(self, found: Best, checkpoint: Checkpoint | None, *, sample: str) -> Validation:
        nats_per_character = found.nats / self._corpus.validation.characters
        return Validation(
            step=found.step,
            epoch=found.epoch,
            seconds=found.seconds,
            nats=found.nats,
            nats_per_character=nats_per_character,
            bits_per_character=nats_per_character / math.log(2),
            best=checkpoint,
            sample=sample,
        )

    def adapted(self, best: Checkpoint, *, should_stop: Callable[[], bool]) -> Checkpoint:
        """Return the best model with learning rates for dynamic evaluation, to the first process.

        Each other gets it as it is.
        """
        plan = self._plan
        if self._group.process.is_first:
            best = with_dynamic_rates(
                best,
                self._corpus,
                plan.config,
                self.step,
                device=plan.device,
                should_stop=should_stop,
            )
        self._group.sync_clock()
        return best

    def with_line_scores(self, best: Checkpoint) -> Checkpoint:
        """Return the best model with the scores of held-out lines, to the first process."""
        if not self._group.process.is_first:
            return best
        return with_line_scores(best, self._corpus.validation)

    def finished(
        self, ending: Ending, best: Validation | None, state: TrainingState | None
    ) -> Finished:
        """Return how the run ended."""
        norms = np.array(self.gradient_norms, np.float64)  # two of float32 may have no mean
        return Finished(
            ending=ending,
            step=self.step,
            seconds=self.pace.seconds,
            best=best,
            median_gradient_norm=float(np.median(norms)) if len(norms) else math.nan,
            clipped_share=self.clipped_share(norms),
            state=state,
        )

    def _sample(self, model: Model) -> str:
        """Return a little text of the model's: a running one, some lines, or an answer."""
        if model.config.task == "text":
            return model.generate(length=SAMPLE_LENGTH, rng_seed=self.step)
        if model.config.task == "pairs":
            validation = self._corpus.validation
            before, after = validation.boundaries[:2]
            source = model.tokenizer.decode(validation.ids[before + 1 : after])
            return f"{source}\t{model.generate(source, length=SAMPLE_LENGTH, rng_seed=self.step)}"
        sample = ""
        while len(sample) < SAMPLE_LENGTH // 2:
            seed = (self.step, len(sample))
            sample += model.generate(length=SAMPLE_LENGTH, rng_seed=seed) + "\n"
        return sample

    def _checkpoint(self, provenance: Mapping[str, Any]) -> Checkpoint:
        """Return the network as it is, if it is one that can be loaded again."""
        checkpoint = Checkpoint(
            config=self._plan.model,
            tokenizer=self._corpus.tokenizer,
            arrays=self._learner.to_arrays(),
            provenance=provenance,
            fingerprints=self._fingerprints,
        )
        try:
            checkpoint.check_values()  # as whoever loads it will
        except ConfigError as error:
            self._diverged(f"after step {self.step} {error.message}")
        return checkpoint

    def _provenance(self, nats: float) -> dict[str, Any]:
        plan, validation = self._plan, self._corpus.validation
        machine = dict(describe(plan.device, plan.precision, plan.processes))
        torch_version = machine.pop("torch_version")
        return {
            **self._origin,
            "corpus": [
                {
                    "name": facts.name,
                    "characters": facts.characters,
                    "bytes": facts.bytes,
                    "sha256": facts.sha256,
                }
                for facts in self._corpus.documents
            ],
            "train": {"characters": plan.characters, "tokens": plan.predictions},
            "validation": {
                "characters": validation.characters,
                "tokens": validation.predictions,
                "nats": nats,
                "bits_per_character": nats / validation.characters / math.log(2),
            },
            "training": {**plan.config.to_json(), **machine},
            "chosen": list(plan.reasons),
            "steps": self.step,
            "planned_steps": self.pace.expected_steps(self.step),
            "epochs": round(self.epoch, 4),
            "seconds": round(self.pace.seconds, 3),
            "charlm_version": importlib.metadata.version("charlm"),
            "torch_version": torch_version,
        }


def _time_and_score(best: Validation) -> Best:
    return Best(step=best.step, epoch=best.epoch, seconds=best.seconds, nats=best.nats)
