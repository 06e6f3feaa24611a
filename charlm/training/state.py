"""A run between two steps, as data: all that is needed to go on as if it had never stopped.

The file lies beside the model's (`state_path`), is written as it is, without pickle
(`tensorfile.py`), and can be deleted at any time. Its arrays:

* `last.` before a name of the model's file (`checkpoint.py`): the network after the last step, its
  tokenizer and the fingerprints of what it reads;
* `best.` before the name of a parameter: the best network so far; not there if that is the last;
* `optimizer.{what}.{parameter}`: the optimizer's moments, under PyTorch's names;
* `carried.{direction}.{layer}.{number}`: the recurrent state of the streams, shape (1, B, H);
* `losses`, shape (2, steps): loss and gradient norm of the steps since the last report, and
  `gradient_norms`, shape (steps,), of those before.

There is no state of a random generator among them, because there is no generator to go on with: the
random numbers of a step are drawn anew from (rng seed, step), and so is what it reads.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import Arrays, Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.config.checks import LONGEST_TIME, require, require_whole
from charlm.errors import CheckpointError, ConfigError
from charlm.files import tensor_file
from charlm.files.tensor_file import FileKind

BEGIN_ANEW = "begin a new run with --overwrite instead of --resume"
KIND = FileKind(
    key="charlm_state",
    name="a charlm state",
    format=1,
    cure=BEGIN_ANEW,
    repair=BEGIN_ANEW,
)

SHORTEST_STEP = 1e-9  # seconds; less is not measured
# What JSON may have where a field is annotated so; other annotations check themselves.
JSON_TYPES: dict[Any, set[type]] = {
    bool: {bool},
    int: {int},
    float: {int, float},
    int | None: {int, type(None)},
    float | None: {int, float, type(None)},
    str | None: {str, type(None)},
}


def damaged(what: str) -> CheckpointError:
    """Return the error that a state is not one that a run could have left."""
    return CheckpointError(f"the state is damaged: {what}", hint=BEGIN_ANEW)


def state_path(model: Path) -> Path:
    """Return where the state of a run lies whose model is at `model`: m.state.safetensors."""
    return model.with_name(f"{model.stem}.state{model.suffix}")


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """Where a run stands, and what it has found out about the machine.

    Attributes:
        step: Steps taken.
        validated_step: After which step the held-out text was scored last; −1 for never.
        next_validation: After which step it is to be scored.
        validations_since_best: How many brought nothing better.
        learning_rate: Of the last step.
        seconds: That the run has taken.
        reported_seconds: How many of them had passed at the last report.
        step_seconds: What a step takes, in a moving average.
        validation_seconds: What the last validation took.
        steps: All steps of the run; None as long as that is open.
        falls_from: The step from which the learning rate falls.
        falls_by: The share of its peak that it falls from.
        is_over: Whether the run has come to its end.
    """

    step: int
    validated_step: int
    next_validation: int
    validations_since_best: int
    learning_rate: float
    seconds: float
    reported_seconds: float
    step_seconds: float
    validation_seconds: float
    steps: int | None
    falls_from: float
    falls_by: float
    is_over: bool

    def __post_init__(self) -> None:
        require_whole("step", self.step, 0, sys.maxsize)
        require_whole("validated_step", self.validated_step, -1, self.step)
        require_whole("next_validation", self.next_validation, 0)
        require_whole("validations_since_best", self.validations_since_best, 0)
        require("learning_rate", self.learning_rate, at_least=0)
        require("seconds", self.seconds, at_least=0, at_most=LONGEST_TIME)
        require("reported_seconds", self.reported_seconds, at_least=0, at_most=self.seconds)
        require("step_seconds", self.step_seconds, at_least=0, at_most=LONGEST_TIME)
        require("validation_seconds", self.validation_seconds, at_least=0, at_most=LONGEST_TIME)
        if self.steps is not None:
            require_whole("steps", self.steps, max(1, self.step), sys.maxsize)
            require("falls_from", self.falls_from, at_least=0, below=self.steps)
        require("falls_by", self.falls_by, above=0, at_most=1)


@dataclass(frozen=True, kw_only=True)
class PlanEstimate:
    """What the plan expected of the machine.

    Attributes:
        steps: That the run would take.
        seconds: That it may take; None without a time budget.
        step_seconds: Of one step; None without a time budget.
        validation_seconds: Of one validation; None without a time budget.
    """

    steps: int
    seconds: float | None
    step_seconds: float | None
    validation_seconds: float | None

    def __post_init__(self) -> None:
        require_whole("steps", self.steps, 1, sys.maxsize)
        require("seconds", self.seconds, above=0, at_most=LONGEST_TIME)
        require("step_seconds", self.step_seconds, at_least=SHORTEST_STEP, at_most=LONGEST_TIME)
        require("validation_seconds", self.validation_seconds, at_least=0, at_most=LONGEST_TIME)
        times = {self.seconds is None, self.step_seconds is None, self.validation_seconds is None}
        if len(times) > 1:
            raise ConfigError("it has a time budget, and has none")


@dataclass(frozen=True, kw_only=True)
class Best:
    """When the best model was found, and its score in nats."""

    step: int
    epoch: float
    seconds: float
    nats: float

    def __post_init__(self) -> None:
        require_whole("step", self.step, 0)
        require("epoch", self.epoch, at_least=0)
        require("seconds", self.seconds, at_least=0, at_most=LONGEST_TIME)
        require("nats", self.nats, at_least=0)


Record = TypeVar("Record", RunProgress, PlanEstimate, Best, CorpusConfig, TrainingConfig)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A run between two steps.

    Attributes:
        corpus: How texts became ids.
        texts: SHA-256 of each document, and of the ids that are held out.
        config: Settings, in which nothing is left open.
        reasons: What the plan chose and why.
        expectation: What it expected.
        machine: Threads and version of PyTorch, with which the same is computed again.
        origin: What the run went on from, if anything; JSON.
        progress: Where it stands.
        last: The network after the last step.
        best: When the best model was found.
        best_model: That model.
        optimizer: Moments, by PyTorch's names.
        carried: Recurrent state of the streams; none before the first step, or of items.
        losses: Loss and gradient norm of the steps since the last report, shape (2, steps).
        gradient_norms: Of those before, shape (steps,).
        command: What the command wants to find again; JSON.
    """

    corpus: CorpusConfig
    texts: tuple[str, ...]
    config: TrainingConfig
    reasons: tuple[str, ...]
    estimate: PlanEstimate
    machine: Mapping[str, Any]
    origin: Mapping[str, Any]
    progress: RunProgress
    last: Checkpoint
    best: Best | None
    best_model: Checkpoint | None
    optimizer: Arrays
    carried: Arrays
    losses: NDArray[np.float32]
    gradient_norms: NDArray[np.float32]
    command: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> ModelConfig:
        """Size of the network."""
        return self.last.config

    def ended(self) -> "TrainingState":
        """Return the state of the run when it has come to its end."""
        return replace(self, progress=replace(self.progress, is_over=True))

    def save(self, path: Path) -> None:
        """Write the file so that `path` holds the previous or the new one at every instant.

        Raises:
            CheckpointError: If it cannot be written; the previous one is untouched.
        """
        last_facts, last_arrays = self.last.to_parts()
        best = self.best_model
        metadata = {
            "corpus": asdict(self.corpus),
            "texts": list(self.texts),
            "config": asdict(self.config),
            "reasons": list(self.reasons),
            "estimate": asdict(self.estimate),
            "machine": dict(self.machine),
            "origin": dict(self.origin),
            "progress": asdict(self.progress),
            "last": last_facts,
            "best": None if self.best is None else asdict(self.best),
            "best_provenance": None if best is None else dict(best.provenance),
            "command": dict(self.command),
        }
        own = {} if best is None or self._best_is_last else best.arrays
        arrays = {
            **{f"last.{name}": array for name, array in last_arrays.items()},
            **{f"best.{name}": array for name, array in own.items()},
            **{f"optimizer.{name}": array for name, array in self.optimizer.items()},
            **{f"carried.{name}": array for name, array in self.carried.items()},
            "losses": self.losses,
            "gradient_norms": self.gradient_norms,
        }
        tensor_file.save(path, KIND, metadata, arrays)

    @property
    def _best_is_last(self) -> bool:
        return self.best is not None and self.best.step == self.progress.step

    @classmethod
    def load(cls, path: Path) -> "TrainingState":
        """Read a file that `save` wrote.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign, or of a newer format.
        """
        with tensor_file.open_tensor_file(path, KIND) as file:
            arrays = file.arrays()
            file.check_digest(arrays)
            metadata = file.metadata
            last, _ = Checkpoint.from_parts(file.within("last.", metadata.get("last")))
            best = None if metadata.get("best") is None else _record(Best, metadata["best"])
            state = cls(
                corpus=_record(CorpusConfig, metadata.get("corpus")),
                texts=_digests(metadata.get("texts")),
                config=_record(TrainingConfig, metadata.get("config")),
                reasons=_texts(metadata.get("reasons")),
                estimate=_record(PlanEstimate, metadata.get("estimate")),
                machine=_object(metadata.get("machine")),
                origin=_object(metadata.get("origin")),
                progress=_record(RunProgress, metadata.get("progress")),
                last=last,
                best=best,
                best_model=None,
                optimizer=_within(arrays, "optimizer."),
                carried=_within(arrays, "carried."),
                losses=_numbers(arrays, "losses", 2),
                gradient_norms=_numbers(arrays, "gradient_norms", 1),
                command=_object(metadata.get("command")),
            )
            if best is not None:
                found = last.arrays if state._best_is_last else _within(arrays, "best.")
                _check_alike(found, last.arrays)
                provenance = _object(metadata.get("best_provenance"))
                model = replace(last, arrays=found, provenance=provenance)
                state = replace(state, best_model=model)
            for checkpoint in (last, state.best_model or last):
                checkpoint.check_values()
            _check_agreement(state)
            return state


def _check_agreement(state: TrainingState) -> None:
    """Raise ConfigError where parts of a state are each in order, and not of one run."""
    place, expected, corpus, last = state.progress, state.estimate, state.corpus, state.last
    if (corpus.task, corpus.document_separator, corpus.tokenizer) != (
        last.config.task,
        last.config.document_separator,
        last.tokenizer.kind,
    ):
        raise ConfigError("its network is for other texts than it reads")
    if state.losses.shape[1] + len(state.gradient_norms) != place.step:
        raise ConfigError(f"its losses are not those of {place.step:,} steps")
    if (place.validated_step if state.best is None else state.best.step) > place.validated_step:
        raise ConfigError("its best network is better than any that was measured")
    if (state.best is None) != (place.validated_step < 0):
        raise ConfigError("it has measured a network, and has no best one")
    if (expected.seconds is None) != (state.config.max_time is None):
        raise ConfigError("its time budget is not that of its settings")
    is_timed, is_fixed = expected.seconds is not None, place.steps is not None
    if is_timed and (place.step_seconds < SHORTEST_STEP or (is_fixed and place.step == 0)):
        raise ConfigError("it knows how long it takes, and has not looked")


def _record(kind: type[Record], value: object) -> Record:
    """Return a dataclass whose `asdict` is `value`, trusting nothing in it.

    Raises:
        ConfigError: If it is none, or a value is of another type or out of its range.
    """
    wanted = {each.name: each.type for each in fields(kind)}
    if not isinstance(value, dict) or value.keys() != wanted.keys():
        raise ConfigError(f"its {kind.__name__} must hold: {', '.join(wanted)}")
    found = dict(value)
    for name, annotation in wanted.items():
        if type(value[name]) not in JSON_TYPES.get(annotation, {type(value[name])}):
            raise ConfigError(f"the {name} of its {kind.__name__} is of another type")
        if annotation in (float, float | None) and value[name] is not None:
            try:
                found[name] = float(value[name])
            except OverflowError:
                raise ConfigError(f"the {name} of its {kind.__name__} is no number") from None
    return kind(**found)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigError("what should be a list of texts is none")
    return tuple(value)


def _digests(value: object) -> tuple[str, ...]:
    found = _texts(value)
    if len(found) < 2 or not all(re.fullmatch("[0-9a-f]{64}", each) for each in found):
        raise ConfigError("its texts are not told by their SHA-256")
    return found


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError("what should be a JSON object is none")
    return value


def _within(arrays: Arrays, prefix: str) -> Arrays:
    found = {
        name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)
    }
    if not all(each.dtype == np.float32 for each in found.values()):
        raise ConfigError(f"its {prefix.rstrip('.')} holds numbers of another type")
    return found


def _numbers(arrays: Arrays, name: str, dimensions: int) -> NDArray[np.float32]:
    found: NDArray[Any] = arrays.get(name, np.empty(0, np.float32))
    is_pair = dimensions == 1 or found.shape[:1] == (2,)
    is_known = found.dtype == np.float32 and found.ndim == dimensions
    if not is_known or not is_pair or not (np.isfinite(found) & (found >= 0)).all():
        raise ConfigError(f"its {name} are not numbers of steps")
    return found


def _check_alike(found: Arrays, wanted: Arrays) -> None:
    if {name: each.shape for name, each in found.items()} != {
        name: each.shape for name, each in wanted.items()
    }:
        raise ConfigError("its best network is not of the size of its last one")
