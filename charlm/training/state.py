"""A run between two steps, as data: a resumed run ends in the same weights, bit for bit.

The file lies beside the model (`state_path`), is a safetensors file (`files/tensor_file.py`), and
may be deleted at any time. It holds the last network and the best one, so a run can go on whatever
happened to the model file. Its arrays:

* `last.` before a name of the model file (`checkpoint.py`): the network after the last step, its
  tokenizer and the fingerprints of its texts;
* `best.` before the name of a parameter: the best network so far, unless that is the last one;
* `optimizer.{kind}.{parameter}`: the optimizer state, under PyTorch's names;
* `carried.{direction}.{layer}.{number}`: the recurrent state of the streams, shape (1, B, H);
* `losses`, shape (2, steps): loss and gradient norm of each step since the last report, and
  `gradient_norms`, shape (steps,), of the steps before.

The file holds no state of a random generator. The random numbers and the batch of a step follow
from (rng seed, step) alone.

A new field of the state needs a default here; `run.py` sets its value.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.cells import CELLS
from charlm.checkpoint import Arrays, Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.config.checks import LONGEST_TIME, require, require_whole
from charlm.errors import CheckpointError, ConfigError
from charlm.files import tensor_file
from charlm.files.tensor_file import FileKind
from charlm.training.state_fields import StateFields

BEGIN_ANEW = "begin a new run with --overwrite instead of --resume"
KIND = FileKind(
    key="charlm_state", name="a charlm state", format=1, cure=BEGIN_ANEW, repair=BEGIN_ANEW
)
NON_NEGATIVE = {"step", "exp_avg_sq", "square_avg"}  # optimizer state, under PyTorch's names
SHORTEST_STEP = 1e-9  # seconds; a shorter time was not measured


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run has come. The defaults are those of a run before its first step."""

    step: int  # steps taken
    validated_step: int = -1  # step of the last validation; −1 before the first
    next_validation: int = 0  # step of the next validation
    validations_since_best: int = 0  # validations in a row that were not the best
    learning_rate: float = 0.0  # of the last step
    seconds: float = 0.0  # time of the run so far
    reported_seconds: float = 0.0  # time of the last report
    step_seconds: float = 0.0  # seconds of a step, as a moving average
    validation_seconds: float = 0.0  # seconds of the last validation
    steps: int | None = None  # all steps of the run; None until the number is fixed
    falls_from: float = 0.0  # step from which the learning rate falls
    falls_by: float = 1.0  # share of the peak learning rate at that step
    is_closing: bool = False  # whether it falls early, as the run no longer improves
    is_over: bool = False

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
    """The plan's estimate of the run."""

    steps: int  # all steps of the run
    seconds: float | None = None  # time that the run may take; None without a time budget
    step_seconds: float | None = None  # seconds of one step; None without a time budget
    validation_seconds: float | None = None  # seconds of one validation; None without a time budget

    def __post_init__(self) -> None:
        require_whole("steps", self.steps, 1, sys.maxsize)
        require("seconds", self.seconds, above=0, at_most=LONGEST_TIME)
        require("step_seconds", self.step_seconds, at_least=SHORTEST_STEP, at_most=LONGEST_TIME)
        require("validation_seconds", self.validation_seconds, at_least=0, at_most=LONGEST_TIME)
        times = {self.seconds is None, self.step_seconds is None, self.validation_seconds is None}
        if len(times) > 1:
            raise ConfigError("its estimate has some times of a time budget, but not all")


@dataclass(frozen=True, kw_only=True)
class Best:
    """When the best model was found, and its validation score.

    With an encoder it is the last one, and errors are its wrong predictions of labels, tags or
    target tokens. Without one it has the fewest nats, and no errors are counted.
    """

    step: int
    epoch: float
    seconds: float
    nats: float
    errors: int = 0

    def __post_init__(self) -> None:
        require_whole("step", self.step, 0)
        require("epoch", self.epoch, at_least=0)
        require("seconds", self.seconds, at_least=0, at_most=LONGEST_TIME)
        require("nats", self.nats, at_least=0)
        require_whole("errors", self.errors, 0, sys.maxsize)


def state_path(model: Path) -> Path:
    """Return the path of the state of a model's run: m.state.safetensors beside m.safetensors."""
    return model.with_name(f"{model.stem}.state{model.suffix}")


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A run between two steps."""

    corpus: CorpusConfig
    texts: tuple[str, ...]  # SHA-256 of each document, and last of the validation ids
    config: TrainingConfig  # all settings are decided
    reasons: tuple[str, ...]  # what the plan chose, and why
    estimate: PlanEstimate
    machine: Mapping[str, Any]  # device, precision, processes, threads and PyTorch version; JSON
    origin: Mapping[str, Any]  # the model that the run started from, if any; JSON
    progress: RunProgress
    last: Checkpoint  # the network after the last step
    best: Best | None  # when the best model was found
    best_model: Checkpoint | None  # that model
    optimizer_state: Arrays  # by kind and parameter, under PyTorch's names
    recurrent_state: Arrays  # of the streams; empty before the first step, and for lines and pairs
    losses: NDArray[np.float32]  # and gradient norms since the last report, shape (2, steps)
    gradient_norms: NDArray[np.float32]  # of the steps before, shape (steps,)
    command: Mapping[str, Any] = field(default_factory=dict)  # of the command alone; JSON

    @property
    def model(self) -> ModelConfig:
        """Settings of the network."""
        return self.last.config

    def ended(self) -> "TrainingState":
        """Return the state of a run that has ended."""
        return replace(self, progress=replace(self.progress, is_over=True))

    def check_text_size(self, tokens: int) -> None:
        """Raise CheckpointError if one step would read more than a text of so many tokens."""
        if self.config.batch_size > max(1, tokens // self.config.window_length):
            raise _damaged(f"{self.config.batch_size:,} streams are too many for its text")

    def check_optimizer_state(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise CheckpointError unless the optimizer state has these shapes.

        PyTorch's fused kernels do not check them: they would read beyond the end of an array.
        """
        if {name: array.shape for name, array in self.optimizer_state.items()} != shapes:
            optimizer = self.config.optimizer
            raise _damaged(f"its optimizer state is not that of {optimizer} for its network")

    def save(self, path: Path) -> None:
        """Write the file so that `path` holds the previous or the new one at every instant.

        Raises:
            CheckpointError: If it cannot be written; the previous one is untouched.
        """
        last_metadata, last_arrays = self.last.to_parts()
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
            "last": last_metadata,
            "best": None if self.best is None else asdict(self.best),
            "best_provenance": None if best is None else dict(best.provenance),
            "command": dict(self.command),
        }
        best_arrays = {} if best is None or self._best_is_last else best.arrays
        arrays = {
            **{f"last.{name}": array for name, array in last_arrays.items()},
            **{f"best.{name}": array for name, array in best_arrays.items()},
            **{f"optimizer.{name}": array for name, array in self.optimizer_state.items()},
            **{f"carried.{name}": array for name, array in self.recurrent_state.items()},
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
            CheckpointError: If the file is missing, damaged, foreign, or of a newer version.
        """
        with tensor_file.open_tensor_file(path, KIND) as file:
            arrays = file.arrays()
            file.check_digest(arrays)
            names = {*cls.__dataclass_fields__, "best_provenance"}
            json = StateFields(file, names)
            last, _ = Checkpoint.from_parts(file.within("last.", file.metadata.get("last")))
            state = cls(
                corpus=json.record("corpus", CorpusConfig),
                texts=json.digests("texts"),
                config=json.record("config", TrainingConfig),
                reasons=json.strings("reasons"),
                estimate=json.record("estimate", PlanEstimate),
                machine=json.json_object("machine"),
                origin=json.json_object("origin"),
                progress=json.record("progress", RunProgress),
                last=last,
                best=json.optional_record("best", Best),
                best_model=None,
                optimizer_state=_with_prefix(arrays, "optimizer."),
                recurrent_state=_with_prefix(arrays, "carried."),
                losses=_of_steps(arrays, "losses", dimensions=2),
                gradient_norms=_of_steps(arrays, "gradient_norms", dimensions=1),
                command=json.json_object("command"),
            )
            if state.best is not None:
                best_arrays = last.arrays if state._best_is_last else _with_prefix(arrays, "best.")
                if _shapes(best_arrays) != _shapes(last.arrays):
                    raise ConfigError("its best network is not of the size of its last one")
                provenance = json.json_object("best_provenance")
                best_model = replace(last, arrays=best_arrays, provenance=provenance)
                state = replace(state, best_model=best_model)
            for checkpoint in (last, state.best_model or last):
                checkpoint.check_values()
            _check_agreement(state)
            _check_arrays(state)
            return state


def _damaged(problem: str) -> CheckpointError:
    return CheckpointError(f"the state is damaged: {problem}", hint=BEGIN_ANEW)


def _check_agreement(state: TrainingState) -> None:
    """Raise ConfigError where parts of a state are valid, but not of one run."""
    progress, corpus, last = state.progress, state.corpus, state.last
    if (
        corpus.task,
        corpus.document_separator,
        corpus.mask,
        corpus.columns,
        corpus.tokenizer,
    ) != (
        last.config.task,
        last.config.document_separator,
        last.config.mask,
        last.config.columns,
        last.tokenizer.kind,
    ):
        raise ConfigError("its network is for another task or tokenizer than its corpus")
    if state.losses.shape[1] + len(state.gradient_norms) != progress.step:
        raise ConfigError(f"its losses are not those of {progress.step:,} steps")
    best_step = progress.validated_step if state.best is None else state.best.step
    if best_step > progress.validated_step:
        raise ConfigError("its best network is later than its last validation")
    if (state.best is None) != (progress.validated_step < 0):
        raise ConfigError("it has a validation without a best network, or the reverse")
    is_timed, is_fixed = state.estimate.seconds is not None, progress.steps is not None
    if is_timed != (state.config.max_time is not None):
        raise ConfigError("its time budget is not that of its settings")
    if is_timed and (progress.step_seconds < SHORTEST_STEP or (is_fixed and progress.step == 0)):
        raise ConfigError("it has a time budget, but no measured step")


def _check_arrays(state: TrainingState) -> None:
    """Raise ConfigError where optimizer state or recurrent state is not that of the network."""
    for name, array in state.optimizer_state.items():
        can_be_negative = name.partition(".")[0] not in NON_NEGATIVE
        if not np.isfinite(array).all() or not (can_be_negative or (array >= 0).all()):
            raise ConfigError(f"its optimizer state {name[:60]} is out of range")
    if not state.recurrent_state:
        return
    config = state.model
    shape = 1, state.config.batch_size, config.hidden_size
    shapes = {
        f"{direction}.{layer}.{number}": shape
        for direction in config.directions
        for layer in range(config.num_layers)
        for number in range(len(CELLS[config.cell].state))
    }
    is_finite = all(np.isfinite(array).all() for array in state.recurrent_state.values())
    if _shapes(state.recurrent_state) != shapes or not is_finite:
        raise ConfigError("its recurrent state is not that of its network")


def _with_prefix(arrays: Arrays, prefix: str) -> Arrays:
    named = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if not all(array.dtype == np.float32 for array in named.values()):
        raise ConfigError(f"its {prefix.rstrip('.')} arrays are not float32")
    return named


def _of_steps(arrays: Arrays, name: str, *, dimensions: int) -> NDArray[np.float32]:
    """Return an array of numbers ≥ 0: (steps,), or (2, steps)."""
    array: NDArray[Any] = arrays.get(name, np.empty(0, np.float32))
    is_pair = dimensions == 1 or array.shape[:1] == (2,)
    has_type = array.dtype == np.float32 and array.ndim == dimensions
    if not has_type or not is_pair or not (np.isfinite(array) & (array >= 0)).all():
        raise ConfigError(f"its {name} are not numbers of steps")
    return array


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
