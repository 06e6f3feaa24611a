"""The settings of a resumed run (--resume): those of its state, and a few that may change."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlm.cli.options import command_line_options, json_options
from charlm.cli.train.new_run import TASK_OPTIONS, TrainingStart
from charlm.config import CorpusConfig, TrainingConfig
from charlm.errors import CheckpointError, ConfigError, CorpusError
from charlm.formatting import count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup

if TYPE_CHECKING:
    from charlm.corpus.encoding import Corpus
    from charlm.display.training import TrainingDisplay
    from charlm.tokenizers import Tokenizer
    from charlm.training.plan import Plan
    from charlm.training.state import TrainingState

BUDGET = ("max_time", "max_epochs", "max_steps")
CHANGEABLE = (
    "learning_rate", "weight_decay", "momentum", "max_gradient_norm", "dropout",
    "precision", "device", "threads",
)  # fmt: skip
STARTS = ("start", "embeddings")  # a resumed run no longer needs them
NEW_RUN = "begin a new run with --overwrite instead of --resume, or choose another --output"


@dataclass(frozen=True, kw_only=True)
class ResumedRun:
    """The settings of a resumed run.

    Attributes:
        state: The saved state of the run.
        output: The file of its best model.
        options: The options of this and the former command lines, as JSON.
        changes: What this command line changes, in words.
    """

    state: "TrainingState"
    output: Path
    options: Mapping[str, Any]
    changes: Sequence[str]

    @property
    def corpus(self) -> CorpusConfig:
        """How texts become ids."""
        model = self.state.model
        return replace(
            self.state.corpus, begins_after=model.begins_after, predicts_end=model.predicts_end
        )

    @property
    def config(self) -> TrainingConfig:
        """How to train."""
        return self.state.config

    @property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer of the run."""
        return self.state.last.tokenizer

    def prepare(
        self, corpus: "Corpus", display: "TrainingDisplay", group: ProcessGroup = SINGLE_PROCESS
    ) -> TrainingStart | None:
        """Plan the rest of the run; return None if the run is over.

        Raises:
            CorpusError: If the texts are not those of the run.
        """
        self._require_same_texts(corpus)
        steps = count(self.state.progress.step, "step")
        if self.state.progress.is_over:
            larger = f"--max-steps {2 * self.state.progress.step}"
            if self.config.max_time is not None:
                larger = f"--max-time {2 * self.config.max_time:g}s"
            display.line(f"the run is over after {steps}; to go on, give a larger budget: {larger}")
            return None
        from charlm.training.plan import resume_plan

        plan = resume_plan(corpus, self.state, group)
        display.line("; ".join([f"going on after {steps}", *self.changes]))
        if differences := _machine_differences(self.state, plan):
            display.note(f"{differences}: the results may not be the same bit for bit")
        return TrainingStart(plan=plan, state=self.state)

    def _require_same_texts(self, corpus: "Corpus") -> None:
        """Raise CorpusError unless the texts are those of the run."""
        *former_digests, former_held_out = self.state.texts
        *digests, held_out = corpus.digests
        new_run = NEW_RUN
        if self.output.exists():
            model = shlex.quote(str(self.output))
            new_run = (
                f"go on from its model, on other texts, with --from {model} and another --output "
                f"instead of --resume; or begin a new run with --overwrite"
            )
        if len(former_digests) != len(digests):
            raise CorpusError(
                f"the run was trained on {count(len(former_digests), 'document')}, "
                f"not {len(digests)}",
                hint=f"name the same texts; or {new_run}",
            )
        for document, former in zip(corpus.documents, former_digests, strict=True):
            if document.sha256 != former:
                raise CorpusError(
                    f"{document.name} is not the text that the run was trained on: "
                    f"its SHA-256 is {document.sha256[:12]}…, not {former[:12]}…",
                    hint=f"name the unchanged text; or {new_run}",
                )
        if held_out != former_held_out:
            raise CorpusError(
                "the held-out text is not the one that the run was validated on",
                hint=f"name the same --validation; or {new_run}",
            )


def load_run(context: typer.Context, path: Path, group: ProcessGroup) -> ResumedRun:
    """Return the run of the state at `path` on the first process, with the changes of options.

    Raises:
        CheckpointError: If there is no state at `path`.
        ConfigError: If an option contradicts the run and cannot be changed.
    """
    from charlm.training.state import TrainingState

    with group.shared_file(path) as shared_path:
        state = TrainingState.load(shared_path)
    saved_options = state.command.get("options")
    former_options = saved_options if isinstance(saved_options, dict) else {}
    settings = {**state.model.to_json(), **asdict(state.corpus), **asdict(state.config)}
    budget: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for name, flag, value in command_line_options(context):
        words = flag if isinstance(value, bool) else f"{flag} {value}"
        if name in TASK_OPTIONS:
            name, value = "task", name
        if name in BUDGET:
            budget[name] = value
        elif name in STARTS:
            if former_options.get(name) != str(value):
                raise ConfigError(
                    f"{words} is not what the run in {path} began with",
                    hint=f"leave out {flag}, or {NEW_RUN}",
                )
        elif former_options.get(name) == value:
            pass  # unchanged, though the plan may have adjusted it since
        elif name in settings and settings[name] != value:
            if name not in CHANGEABLE:
                raise ConfigError(
                    f"{words} is not what the run in {path} has: {settings[name] or 'none'}",
                    hint=f"leave out {flag}, or {NEW_RUN}",
                )
            changes[name] = value
    notes = [_change(name, changes[name], settings[name]) for name in changes]
    budget = {name: budget.get(name) for name in BUDGET} if budget else {}
    if any(settings[name] != value for name, value in budget.items()):
        from charlm.training.estimate import with_budget

        notes.append(
            f"{_budget_flags(budget)} instead of {_budget_flags(settings)}, "
            "to which the learning rate is fitted anew"
        )
        state = with_budget(state, replace(state.config, **budget))
    return ResumedRun(
        state=replace(state, config=replace(state.config, **changes)),
        output=Path(context.params["output"]),
        options={**former_options, **json_options(context)},
        changes=notes,
    )


def nats_of_later_model(path: Path, state: "TrainingState") -> float:
    """Return the score in nats of a model at `path` that the run saved after `state`.

    After a kill, a run goes on from before that model and must not replace it with a worse one.
    Infinity stands for any other model: also one of a stopped run, which the run itself would not
    have saved, and one with an encoder, whose run keeps its last model.
    """
    from charlm.checkpoint import Checkpoint

    try:
        model = Checkpoint.load(path)
        provenance = model.provenance
        texts = [document["sha256"] for document in provenance["corpus"]]
        is_later = provenance["steps"] > state.progress.step and "stopped" not in provenance
        is_same_run = model.config == state.model and texts == list(state.texts[:-1])
        is_kept = is_later and is_same_run and not model.config.has_encoder
        return float(provenance["validation"]["nats"]) if is_kept else math.inf
    except (CheckpointError, KeyError, TypeError, ValueError):
        return math.inf


def _change(name: str, value: Any, former: Any) -> str:
    return f"{_flag(name)} {value} instead of {'the default' if former is None else former}"


def _budget_flags(settings: Mapping[str, Any]) -> str:
    """Return the budget as options: --max-steps 60."""
    return " ".join(
        f"{_flag(name)} {settings[name]:g}{'s' if name == 'max_time' else ''}"
        for name in BUDGET
        if settings[name] is not None
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _machine_differences(state: "TrainingState", plan: "Plan") -> str:
    """Return in words how machine and precision differ from before: results depend on them."""
    from charlm.training.hardware import describe

    former = {"processes": 1, **state.machine}
    machine = describe(plan.device, plan.precision, plan.processes)
    return ", ".join(
        f"{name.replace('_', ' ')} {value} instead of {former.get(name)}"
        for name, value in machine.items()
        if value != former.get(name)
    )
