"""`charlm train --resume`: a run that goes on is what it was, but for a few options."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlm.cli.options import given, json_options
from charlm.config import CorpusConfig, TrainingConfig
from charlm.errors import CheckpointError, ConfigError, CorpusError
from charlm.formatting import count
from charlm.process_group import SINGLE_PROCESS, ProcessGroup

if TYPE_CHECKING:
    from charlm.corpus.encoding import Corpus
    from charlm.tokenizers import Tokenizer
    from charlm.training.events import Event
    from charlm.training.plan import Plan
    from charlm.training.state import TrainingState

BUDGET = ("max_time", "max_epochs", "max_steps")
# What a run may go on with that it did not begin with.
CHANGEABLE = (
    "learning_rate", "weight_decay", "momentum", "max_gradient_norm", "dropout",
    "precision", "device", "threads",
)  # fmt: skip
BEGINNINGS = ("start", "embeddings")  # of which nothing is needed any more
BEGIN_ANEW = "begin a new run with --overwrite instead of --resume, or name another --output"


@dataclass(frozen=True)
class ResumedRun:
    """A run that goes on.

    Attributes:
        state: Where it stands.
        options: Those of the command line, as JSON has them, and of those before.
        changes: What the command line changes, in words.
    """

    state: "TrainingState"
    options: Mapping[str, Any]
    changes: Sequence[str]

    @property
    def corpus(self) -> CorpusConfig:
        """How texts become ids."""
        return self.state.corpus

    @property
    def config(self) -> TrainingConfig:
        """How to learn."""
        return self.state.config

    @property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer that was learnt."""
        return self.state.last.tokenizer

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Where in the metrics file the run stands."""
        found = self.state.command.get("metrics")
        return found if isinstance(found, dict) else {}

    def best_at(self, path: Path) -> float:
        """Return the score, in nats, of a model that the run saved after its state, if it did.

        A run that was killed goes on from before that model, which is not to be replaced by worse
        ones meanwhile. What a stop has saved is nothing that the run itself would have found.
        """
        from charlm.checkpoint import Checkpoint

        try:
            model = Checkpoint.load(path)
            found = model.provenance
            texts = [each["sha256"] for each in found["corpus"]]
            is_later = found["steps"] > self.state.progress.step and "stopped" not in found
            is_alike = model.config == self.state.model and texts == list(self.state.texts[:-1])
            return float(found["validation"]["nats"]) if is_later and is_alike else math.inf
        except (CheckpointError, KeyError, TypeError, ValueError):
            return math.inf  # none, or one of somebody else's

    def plan(
        self, corpus: "Corpus", note: Callable[[str], None], group: ProcessGroup = SINGLE_PROCESS
    ) -> "Plan | None":
        """Return the plan, None if the run is over; `note` is told what a user may want to know.

        Raises:
            CorpusError: If the texts are not those that the run has read.
        """
        _refuse_other_texts(self.state, corpus)
        steps = count(self.state.progress.step, "step")
        if self.state.progress.is_over:
            larger = f"--max-steps {2 * self.state.progress.step}"
            if self.config.max_time is not None:
                larger = f"--max-time {2 * self.config.max_time:g}s"
            note(f"the run is over after {steps}; to go on, give it a larger budget: {larger}")
            return None
        from charlm.training.plan import resume_plan

        plan = resume_plan(corpus, self.state, group)
        note("; ".join([f"going on after {steps}", *self.changes]))
        if differences := _differences(self.state, plan):
            note(f"{differences}: the results may not be the same bit for bit")
        return plan

    def train(
        self,
        corpus: "Corpus",
        plan: "Plan",
        *,
        save_every: float,
        should_stop: Callable[[], bool],
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> "Iterator[Event]":
        """Go on, and yield what happens."""
        from charlm.training.loop import train

        return train(
            corpus,
            plan,
            state=self.state,
            save_every=save_every,
            should_stop=should_stop,
            group=group,
        )


def load_run(context: typer.Context, path: Path, group: ProcessGroup) -> "ResumedRun":
    """Return the run to go on with, as the first process finds it.

    Raises:
        CheckpointError: If there is none at `path`.
        ConfigError: If an option says something else than the run, which cannot be changed.
    """
    from charlm.training.state import TrainingState

    with group.shared_file(path) as shared:
        state = TrainingState.load(shared)
    found = state.command.get("options")
    former_options = found if isinstance(found, dict) else {}
    settled = {**state.model.to_json(), **asdict(state.corpus), **asdict(state.config)}
    budget: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    notes: list[str] = []
    for name, flag, value in given(context):
        said = flag if isinstance(value, bool) else f"{flag} {value}"
        if name in ("lines", "pairs"):
            name, value = "task", name
        if name in BUDGET:
            budget[name] = value
        elif name in BEGINNINGS:
            if former_options.get(name) != str(value):
                raise ConfigError(
                    f"{flag} {value} is not what the run in {path} began with",
                    hint=f"leave out {flag}, or {BEGIN_ANEW}",
                )
        elif former_options.get(name) == value:
            pass  # what the run was begun with, from which the plan may have made something else
        elif name in settled and settled[name] != value:
            if name not in CHANGEABLE:
                raise ConfigError(
                    f"{said} is not what the run in {path} has: {settled[name] or 'none'}",
                    hint=f"leave out {flag}, or {BEGIN_ANEW}",
                )
            changes[name] = value
            former = "the default" if settled[name] is None else settled[name]
            notes.append(f"{said} instead of {former}")
    budget = {name: budget.get(name) for name in BUDGET} if budget else {}
    if any(settled[name] != value for name, value in budget.items()):
        from charlm.training.plan import with_budget

        former, new = (
            " ".join(
                f"--{name.replace('_', '-')} {values[name]:g}{'s' * (name == 'max_time')}"
                for name in BUDGET
                if values[name] is not None
            )
            for values in (settled, budget)
        )
        notes.append(f"{new} instead of {former}, to which the learning rate is fitted anew")
        state = with_budget(state, replace(state.config, **budget))
    state = replace(state, config=replace(state.config, **changes))
    return ResumedRun(state, {**former_options, **json_options(context)}, notes)


def _refuse_other_texts(state: "TrainingState", corpus: "Corpus") -> None:
    """Raise CorpusError unless the texts are those that the run has read."""
    *read, held_out = state.texts
    *found, found_held_out = corpus.digests
    if len(read) != len(found):
        raise CorpusError(
            f"the run has read {count(len(read), 'document')}, not {len(found)}",
            hint=f"name the same texts, or {BEGIN_ANEW}",
        )
    for facts, before in zip(corpus.documents, read, strict=True):
        if facts.sha256 != before:
            raise CorpusError(
                f"{facts.name} is not the text that the run has read: "
                f"its SHA-256 is {facts.sha256[:12]}…, not {before[:12]}…",
                hint=f"name the text as it was, or {BEGIN_ANEW}",
            )
    if found_held_out != held_out:
        raise CorpusError(
            "the held-out text is not the one that the run has measured on",
            hint=f"name the same --validation, or {BEGIN_ANEW}",
        )


def _differences(state: "TrainingState", plan: "Plan") -> str:
    """Return in words what else the last bits depend on, and is not what it was."""
    from charlm.training.hardware import describe

    former = {"processes": 1, **state.machine}
    return ", ".join(
        f"{name.replace('_', ' ')} {value} instead of {former.get(name)}"
        for name, value in describe(plan.device, plan.precision, plan.processes).items()
        if value != former.get(name)
    )
