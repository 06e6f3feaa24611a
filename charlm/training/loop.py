"""Runs a plan and yields what happens; prints nothing, writes nothing."""

import importlib.metadata
import math
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.corpus.encoding import Corpus
from charlm.errors import TrainingError
from charlm.fingerprint import joined
from charlm.inference.lines import with_line_scores
from charlm.inference.model import Model
from charlm.training.adaptation import with_dynamic_rates
from charlm.training.embeddings import Embeddings
from charlm.training.events import Ending, Finished, Progress, Validation
from charlm.training.learner import Learner
from charlm.training.pace import Pace
from charlm.training.plan import Plan

REPORT_INTERVAL = 10  # steps
# A run ends early when so many validations, and this share of all steps, brought nothing better.
PATIENCE, PATIENCE_SHARE = 5, 0.25
SAMPLE_LENGTH = 120  # characters


def train(
    corpus: Corpus,
    plan: Plan,
    *,
    embeddings: Embeddings | None = None,
    start: Checkpoint | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress | Validation | Finished]:
    """Train as planned and yield progress, validations and, last, how it ended.

    Args:
        corpus: What `encode_corpus` returned.
        plan: What `make_plan` returned for it.
        embeddings: Word vectors to start from.
        start: A model of the same config and tokenizer to start from; it is validated first.
        should_stop: Asked before every step; True ends the run after one more validation.

    Raises:
        TrainingError: If the loss is no longer a finite number.
    """
    learner = Learner(
        corpus,
        plan.model,
        plan.config,
        device=plan.device,
        precision=plan.precision,
        embeddings=embeddings,
        start=start,
    )
    run = _Run(corpus, plan, learner, start)
    ending: Ending = "complete"
    if start is not None:
        with run.paused():
            yield run.validate()
    while not run.is_over:
        if should_stop():
            ending = "stopped"
            break
        if run.pace.is_late:
            ending = "time is up"
            break
        run.take_step()
        if run.step % REPORT_INTERVAL == 0 or run.is_over:
            yield run.report()
        if run.step >= run.next_validation and not run.is_over:
            with run.paused():
                yield run.validate()
            if run.is_hopeless:
                ending = "no improvement"
                break
    if run.step > run.validated_step:
        yield run.validate()
    best = run.best
    if ending != "stopped" and best.best is not None:
        adapted = with_dynamic_rates(
            best.best, corpus, plan.config, run.step, device=plan.device, should_stop=should_stop
        )
        best = replace(best, best=adapted)
    if best.best is not None:
        best = replace(best, best=with_line_scores(best.best, corpus.validation))
    norms = np.array(run.gradient_norms)
    yield Finished(
        ending=ending,
        step=run.step,
        seconds=run.pace.seconds,
        best=best,
        median_gradient_norm=float(np.median(norms)) if len(norms) else math.nan,
        clipped_share=run.clipped_share(norms),
    )


class _Run:
    """What a run remembers between events."""

    def __init__(
        self, corpus: Corpus, plan: Plan, learner: Learner, start: Checkpoint | None
    ) -> None:
        self.losses: list[tuple[torch.Tensor, torch.Tensor]] = []  # since the last report
        self.gradient_norms: array[float] = array("f")  # of all steps that were reported
        self.pace = Pace(plan)
        self.step = 0
        self.validated_step = -1
        self.next_validation = self.pace.next_validation(0)
        self._validations_since_best = 0
        self._corpus, self._plan, self._learner = corpus, plan, learner
        self._origin: dict[str, Any] = {}
        own = () if corpus.fingerprint is None else (corpus.fingerprint,)
        self._fingerprints = own if start is None else joined(start.fingerprints, own)
        if start is not None:
            self._origin = {
                "from": {
                    "weights_sha256": start.weights_sha256,
                    "corpus": start.provenance.get("corpus", []),
                }
            }
        self._learning_rate = 0.0
        self._best: Validation | None = None
        self._reported = 0.0  # seconds

    def take_step(self) -> None:
        """Learn from the next window."""
        peak = self._plan.config.peak_learning_rate
        self._learning_rate = peak * self.pace.share(self.step)
        self.losses.append(self._learner.step(self.step, self._learning_rate))
        self.step += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take what is done inside for a validation, which is not learning."""
        if self.losses:
            self.losses[-1][0].item()  # wait for the device, whose steps are no validation
        before = self.pace.seconds
        with self.pace.of_validation():
            yield
        self._reported += self.pace.seconds - before

    @property
    def is_over(self) -> bool:
        """Whether all steps have been taken."""
        steps = self.pace.schedule.steps
        return steps is not None and self.step >= steps

    @property
    def is_hopeless(self) -> bool:
        """Whether validation has not improved for long."""
        without = self.step - self.best.step
        return (
            self._validations_since_best >= PATIENCE
            and without >= PATIENCE_SHARE * self.pace.expected_steps(self.step)
        )

    @property
    def epoch(self) -> float:
        return self.step * self._plan.tokens_per_step / self._plan.tokens

    @property
    def best(self) -> Validation:
        if self._best is None:
            raise RuntimeError("nothing has been validated yet")
        return self._best

    def report(self) -> Progress:
        """Look at the losses since the last report, which waits for the device."""
        values = [float(loss) for loss, _ in self.losses]
        norms = np.array([float(norm) for _, norm in self.losses])
        self.gradient_norms.extend(norms)
        self.losses.clear()
        for place, value in enumerate(values, start=self.step - len(values) + 1):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss at step {place} is {value}: training has diverged",
                    hint=f"lower --learning-rate ({self._plan.config.peak_learning_rate:g})",
                )
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

    def clipped_share(self, norms: NDArray[np.float64]) -> float:
        """Return the share of gradients that were longer than allowed."""
        return float((norms > self._plan.config.max_gradient_norm).mean()) if len(norms) else 0.0

    def validate(self) -> Validation:
        """Score the held-out text; keep the model if it is the best so far."""
        nats = self._learner.validate()
        self.validated_step = self.step
        self.next_validation = self.pace.next_validation(self.step)
        if not math.isfinite(nats):
            raise TrainingError(
                f"the validation score after step {self.step} is {nats}: training has diverged",
                hint=f"lower --learning-rate ({self._plan.config.peak_learning_rate:g})",
            )
        is_best = self._best is None or nats < self._best.nats
        self._validations_since_best = 0 if is_best else self._validations_since_best + 1
        checkpoint = self._checkpoint(nats)
        with np.errstate(all="ignore"):  # weights that are about to diverge
            sample = self._sample(Model(checkpoint))
        nats_per_character = nats / self._corpus.validation.characters
        validation = Validation(
            step=self.step,
            epoch=self.epoch,
            seconds=self.pace.seconds,
            nats=nats,
            nats_per_character=nats_per_character,
            bits_per_character=nats_per_character / math.log(2),
            best=checkpoint if is_best else None,
            sample=sample,
        )
        if is_best:
            self._best = validation
        return validation

    def _sample(self, model: Model) -> str:
        """Return a little text of the model's: a running one, some lines, or an answer."""
        if model.config.form == "text":
            return model.generate(length=SAMPLE_LENGTH, rng_seed=self.step)
        if model.config.form == "pairs":
            validation = self._corpus.validation
            before, after = validation.boundaries[:2]
            source = model.tokenizer.decode(validation.ids[before + 1 : after])
            return f"{source}\t{model.generate(source, length=SAMPLE_LENGTH, rng_seed=self.step)}"
        sample = ""
        while len(sample) < SAMPLE_LENGTH // 2:
            seed = (self.step, len(sample))
            sample += model.generate(length=SAMPLE_LENGTH, rng_seed=seed) + "\n"
        return sample

    def _checkpoint(self, nats: float) -> Checkpoint:
        plan, validation = self._plan, self._corpus.validation
        provenance: dict[str, Any] = {
            "corpus": [
                {
                    "name": facts.name,
                    "characters": facts.characters,
                    "bytes": facts.bytes,
                    "sha256": facts.sha256,
                }
                for facts in self._corpus.facts
            ],
            **self._origin,
            "train": {"characters": plan.characters, "tokens": plan.predictions},
            "validation": {
                "characters": validation.characters,
                "tokens": validation.predictions,
                "nats": nats,
                "bits_per_character": nats / validation.characters / math.log(2),
            },
            "training": {
                **plan.config.to_json(),
                "precision": str(plan.precision).removeprefix("torch."),
                "device": plan.device.type,
                "threads": torch.get_num_threads(),
            },
            "chosen": list(plan.reasons),
            "steps": self.step,
            "planned_steps": self.pace.expected_steps(self.step),
            "epochs": round(self.epoch, 4),
            "seconds": round(self.pace.seconds, 3),
            "charlm_version": importlib.metadata.version("charlm"),
            "torch_version": torch.__version__,
        }
        return Checkpoint(
            config=plan.model,
            tokenizer=self._corpus.tokenizer,
            arrays=self._learner.to_arrays(),
            provenance=provenance,
            fingerprints=self._fingerprints,
        )
