"""The progress of a training run: animated on a terminal, line by line elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charlm.config import CLASS_TASKS
from charlm.display import note_line, print_line, stderr_console
from charlm.display.live_block import LiveBlock
from charlm.formatting import count, duration, quantity, sparkline, visible

if TYPE_CHECKING:
    from charlm.training.events import Finished, Progress, Validation
    from charlm.training.plan import Plan

PLAIN_INTERVAL = 10.0  # seconds between progress lines where nothing is animated
CLIPPED_SHARE_SHOWN = 0.005

ENDINGS = {
    "complete": "done",
    "no improvement": "stopped early: validation no longer improves",
    "time is up": "time is up: the machine slowed down",
    "stopped": "stopped as asked",
}


class TrainingDisplay:
    """Shows a training run on stderr; prints nothing if `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = stderr_console()
        self._quiet = quiet
        self._block: LiveBlock | None = None
        self._plan: Plan | None = None
        self._progress: Progress | None = None
        self._validations: list[Validation] = []
        self._next_line = 0.0

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_block()

    def line(self, text: str) -> None:
        """Print a line."""
        self._print(Text(visible(text)))

    def note(self, text: str) -> None:
        """Print "note: " and `text` on one line."""
        self._print(note_line(text))

    def planned(self, plan: "Plan") -> None:
        """Print the plan, and start the animation on a terminal."""
        self._plan = plan
        self.line(describe_plan(plan))
        if plan.reasons:
            self.line(f"chosen: {'; '.join(plan.reasons)}")
        self._next_line = time.monotonic() + PLAIN_INTERVAL
        # A variable such as FORCE_COLOR may force colours, but not an animation.
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        if not self._quiet and is_terminal and not self._console.is_dumb_terminal:
            with self._quiet_when_closed():
                self._block = LiveBlock(self._console)
            self._draw()

    def progressed(self, progress: "Progress") -> None:
        """Show the training loss and the speed; off a terminal every PLAIN_INTERVAL seconds."""
        self._progress = progress
        if self._block is not None:
            self._draw()
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + PLAIN_INTERVAL
            self.line(
                f"step {progress.step:,} of {progress.steps:,}: "
                f"training {progress.bits_per_character:.3f} {self._unit}, "
                f"{quantity(progress.characters_per_second)} {self._predicted}/s, "
                f"{duration(_seconds_left(progress))} left"
            )

    def validated(self, validation: "Validation") -> None:
        """Show the score of the held-out text and, on a terminal, the sample text."""
        self._validations.append(validation)
        if self._block is not None:
            self._draw(at_once=True)
            return
        best = "" if validation.best is not None else " (not the best)"
        self.line(f"step {validation.step:,}: validation {self._score(validation)}{best}")

    def finished(
        self, finished: "Finished", model_path: Path, state_path: Path, command: str
    ) -> None:
        """Print how the run ended, its best score, the saved files and the next command."""
        self._draw(at_once=True)
        self._stop_block()
        self.line(
            f"{ENDINGS[finished.ending]} after {count(finished.step, 'step')} "
            f"in {duration(finished.seconds)}; {self._best(finished.best)}"
        )
        if finished.clipped_share >= CLIPPED_SHARE_SHOWN:
            self.line(
                f"the gradient was clipped (--max-gradient-norm) in {finished.clipped_share:.0%} "
                f"of the steps; its norm was {finished.median_gradient_norm:.2g} in the median"
            )
        paths = [state_path] if finished.best is None else [model_path, state_path]
        sizes = [f"{path} ({quantity(path.stat().st_size, 'B')})" for path in paths]
        self.line(f"saved {' and '.join(sizes)}")
        if not self._quiet:  # never wrapped, so that it can be copied from a narrow window
            verb = "to go on" if finished.ending == "stopped" else "try"
            with self._quiet_when_closed():
                self._console.print(Text(visible(f"{verb}: {command}")), soft_wrap=True)

    def _best(self, best: "Validation | None") -> str:
        if best is None:
            return "nothing was validated yet, so no model was saved"
        is_mean = self._plan is not None and self._plan.model.direction == "both"
        return (
            f"best validation {self._score(best)} "
            f"({best.nats_per_character:.4f} nats) at step {best.step:,}"
            f"{', in the mean of both directions' if is_mean else ''}"
            f"{self._with_counts(best)}"
        )

    @property
    def _predicted(self) -> str:
        """What the model predicts: characters, labels or tags."""
        task = "text" if self._plan is None else self._plan.model.task
        return task if task in CLASS_TASKS else "characters"

    @property
    def _unit(self) -> str:
        """The unit of scores: bits per character, label or tag."""
        return f"bits per {self._predicted.removesuffix('s')}"

    def _score(self, validation: "Validation") -> str:
        """Return a validation score, and what an encoder's network predicts wrongly."""
        score = f"{validation.bits_per_character:.3f} {self._unit}"
        if self._plan is None or not self._plan.model.has_encoder:
            return score
        what = self._plan.model.task if self._plan.model.is_of_classes else "target tokens"
        return f"{100 * validation.error_rate:.1f} % of {what} wrong, {score}"

    def _with_counts(self, best: "Validation") -> str:
        """Return the score of network and counts together, if the model has counts."""
        counts = None if best.best is None else best.best.provenance.get("counts")
        if counts is None:
            return ""
        bits = best.bits_per_character - counts["gain_in_bits_per_character"]
        return f"; with counts {bits:.3f} bits per character"

    def _print(self, text: Text) -> None:
        if not self._quiet:
            with self._quiet_when_closed():
                if self._block is not None:
                    self._block.erase_wrapped_rows()
                print_line(self._console, text)

    def _draw(self, *, at_once: bool = False) -> None:
        if self._block is not None:
            with self._quiet_when_closed():
                self._block.draw(self._picture(), at_once=at_once)

    def _stop_block(self) -> None:
        if self._block is not None:
            with self._quiet_when_closed():
                self._block.stop()
            self._block = None

    @contextlib.contextmanager
    def _quiet_when_closed(self) -> Iterator[None]:
        """Print nothing more once stderr is closed; the run goes on and saves its results."""
        try:
            yield
        except OSError:
            self._quiet = True

    def _picture(self) -> Group:
        progress = self._progress
        done, steps = (progress.step, progress.steps) if progress else (0, 1)
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=steps, completed=done, width=30),
            Text(f"{100 * done / steps:3.0f} %"),
            Text(f"{duration(_seconds_left(progress))} left" if progress else ""),
        )
        # Not a table: it would fill its lines with spaces, which a narrower window wraps, too.
        rows = []
        if progress is not None:
            rows.append(
                f"training    {progress.bits_per_character:.3f} {self._unit}   "
                f"{quantity(progress.characters_per_second)} {self._predicted}/s   "
                f"epoch {progress.epoch:.2f}"
            )
        if self._validations:
            scores = [validation.bits_per_character for validation in self._validations]
            score = self._score(self._validations[-1])
            rows.append(f"validation  {score}   {sparkline(scores)}")
        lines = [Text(row, no_wrap=True, overflow="ellipsis") for row in rows]
        samples = [validation.sample for validation in self._validations if validation.best]
        if samples:  # of the model that is kept
            sample = "it writes   ", (visible(samples[-1]), "italic")
            lines.append(Text.assemble(*sample, no_wrap=True, overflow="ellipsis"))
        return Group(bar, *lines)


def _seconds_left(progress: "Progress") -> float:
    return progress.seconds / progress.step * (progress.steps - progress.step)


def describe_plan(plan: "Plan") -> str:
    """Return the line that is printed before training: text, network, memory and steps."""
    steps = f"{count(plan.steps, 'step')} ({plan.epochs:.3g} epochs)"
    if plan.expected_seconds is not None:
        steps += f", about {duration(plan.expected_seconds)}"
    unit = plan.model.task if plan.model.is_of_classes else "characters"
    return (
        f"learning from {quantity(plan.characters)} {unit}: vocabulary of "
        f"{plan.vocabulary}, {quantity(plan.parameters)} parameters, "
        f"{quantity(plan.memory, 'B')} of memory, "
        f"{str(plan.precision).removeprefix('torch.')} on {plan.device.type}; {steps}"
    )
