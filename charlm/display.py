"""How plans, progress and errors look: on stderr, drawn by rich, readable without colour."""

import contextlib
import errno
import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from charlm.errors import CharlmError
from charlm.formatting import count, duration, quantity, sparkline, visible

if TYPE_CHECKING:
    from charlm.training.events import Finished, Progress, Validation
    from charlm.training.plan import Plan

PLAIN_INTERVAL = 10.0  # seconds between lines where nothing may be animated
FRAMES_PER_SECOND = 4
# From so many bits on; dark on light, so that it is read on any background.
HEAT = {
    0: Style(),
    1: Style(color="black", bgcolor="#fff3b0"),
    3: Style(color="black", bgcolor="#ffd166"),
    6: Style(color="black", bgcolor="#f79d65"),
    10: Style(color="white", bgcolor="#c1121f"),
}
HEAT_BARS = {0: " ", 1: "▂", 3: "▄", 6: "▆", 10: "█"}  # where there are no colours
COLOUR_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}

ENDINGS = {
    "complete": "done",
    "no improvement": "stopped early: validation no longer improves",
    "time is up": "time is up: the machine slowed down",
    "stopped": "stopped as asked",
}


class _Talk(Console):
    """A console that does not end the program when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "nobody reads any more")


def console() -> Console:
    """Return a console on stderr that takes text as it is."""
    return _Talk(stderr=True, markup=False, emoji=False, highlight=False)


def say(out: Console, text: Text) -> None:
    """Print a line: wrapped between words on a terminal, left whole in a file or pipe."""
    out.print(text, soft_wrap=not out.is_terminal)


def show_error(error: CharlmError) -> None:
    """Show what is wrong and, after an empty line, the cure."""
    out = console()
    where = f"[rank {error.rank}] " if error.rank else ""
    say(out, Text.assemble(("error: ", "bold red"), where + visible(error.message)))
    if error.hint is not None:
        out.print()
        say(out, Text.assemble(("hint: ", "bold"), visible(error.hint)))


def show_note(text: str) -> None:
    """Show one line that a user may want to know."""
    say(console(), Text.assemble(("note: ", "bold"), visible(text)))


def show_line(text: str) -> None:
    """Show one line."""
    say(console(), Text(visible(text)))


class SurprisalColours:
    """Colours text for a terminal, each character by its surprisal.

    Attributes:
        are_there: Whether the terminal has colours, and may use them.
    """

    def __init__(self) -> None:
        out = Console()
        self._system = None if out.no_color else COLOUR_SYSTEMS.get(out.color_system or "")
        self.are_there = self._system is not None

    def coloured(self, text: str, nats: Sequence[float]) -> str:
        """Return text with the codes of its colours, given the −ln p of each character."""
        styles = map(self._style, text, nats)
        runs = itertools.groupby(zip(text, styles, strict=False), key=lambda pair: pair[1])
        return "".join(
            style.render("".join(character for character, _ in run), color_system=self._system)
            for style, run in runs
        )

    @staticmethod
    def _style(character: str, nats: float) -> Style:
        if character.isspace() and character != " ":
            return HEAT[0]  # a line end would colour the rest of the line
        return HEAT[_level(nats)]

    def explain(self) -> None:
        """Tell on stderr which colour, or bar, means how many bits."""
        if self.are_there:
            parts = [(f" {least:g} ", style) for least, style in HEAT.items()]
        else:
            parts = [(f" {bar} {least:g} ", Style()) for least, bar in HEAT_BARS.items()]
        say(console(), Text.assemble("bits a character, from: ", *parts))


def surprisal_bars(line: str, nats: Sequence[float]) -> Iterator[str]:
    """Yield a line and, below it, a bar for each of its characters, given their −ln p.

    On a terminal both are broken where it would break them.
    """
    out = Console()
    widest = out.width if out.is_terminal else sys.maxsize
    text: list[str] = []
    bars: list[str] = []
    used = 0
    for character, each in zip(line.expandtabs(1), nats, strict=True):
        width = cell_len(character)
        if used + width > widest:
            yield from ("".join(text), "".join(bars).rstrip())
            text, bars, used = [], [], 0
        text.append(character)
        bars.append(HEAT_BARS[_level(each)] * width)
        used += width
    yield "".join(text)
    if text:
        yield "".join(bars).rstrip()


def _level(nats: float) -> int:
    """Return from how many bits on a surprisal has its colour."""
    bits = nats / math.log(2)
    return max((least for least in HEAT if least <= bits), default=0)


class TrainingDisplay:
    """Shows a training run: alive on a terminal, line by line elsewhere, not at all if quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = console()
        self._quiet = quiet
        self._live: Live | None = None
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
        self._stop_live()

    def planned(self, plan: "Plan") -> None:
        """Say in one line what is about to happen, and start to show it."""
        self._plan = plan
        self._say(describe_plan(plan))
        if plan.reasons:
            self._say(f"chosen: {'; '.join(plan.reasons)}")
        self._next_line = time.monotonic() + PLAIN_INTERVAL
        if not self._quiet and self._console.is_terminal and not self._console.is_dumb_terminal:
            # Without these two, rich would send what a program writes to stdout to stderr.
            self._live = Live(
                self._picture(),
                console=self._console,
                refresh_per_second=FRAMES_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def progressed(self, progress: "Progress") -> None:
        """Show how learning goes."""
        self._progress = progress
        if self._live is not None:
            self._live.update(self._picture())
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + PLAIN_INTERVAL
            self._say(self._line(progress))

    def validated(self, validation: "Validation") -> None:
        """Show the score of the held-out text and what the model writes."""
        self._validations.append(validation)
        if self._live is not None:
            self._live.update(self._picture())
            return
        best = "" if validation.best is not None else " (not the best)"
        self._say(
            f"step {validation.step:,}: validation {validation.bits_per_character:.3f} "
            f"bits per character{best}"
        )

    def finished(self, finished: "Finished", path: Path, state: Path, command: str) -> None:
        """Say how it ended, where the model and the state are, and what to do next."""
        if self._live is not None:
            self._live.update(self._picture())
        self._stop_live()
        self._say(
            f"{ENDINGS[finished.ending]} after {count(finished.step, 'step')} "
            f"in {duration(finished.seconds)}; {self._best(finished.best)}"
        )
        if finished.clipped_share >= 0.005:
            self._say(
                f"gradient norm {finished.median_gradient_norm:.2g} in the median, "
                f"clipped in {finished.clipped_share:.0%} of the steps"
            )
        saved = [
            f"{each} ({quantity(each.stat().st_size, 'B')})"
            for each in ([path] if finished.best is not None else []) + [state]
        ]
        self._say(f"saved {' and '.join(saved)}")
        if not self._quiet:  # left whole, so that it can be copied from a narrow window
            verb = "to go on" if finished.ending == "stopped" else "try"
            with self._unless_gone():
                self._console.print(Text(visible(f"{verb}: {command}")), soft_wrap=True)

    def _best(self, best: "Validation | None") -> str:
        """Say what the best model is worth."""
        if best is None:
            return "nothing was validated yet, so no model was saved"
        in_the_mean = self._required_plan().model.direction == "both"
        return (
            f"best validation {best.bits_per_character:.3f} bits per character "
            f"({best.nats_per_character:.4f} nats) at step {best.step:,}"
            + ", in the mean of both directions"
            * in_the_mean
        )

    def note(self, text: str) -> None:
        """Say something worth knowing."""
        self._say(text)

    def _say(self, text: str) -> None:
        if not self._quiet:
            with self._unless_gone():
                say(self._console, Text(visible(text)))

    def _stop_live(self) -> None:
        if self._live is not None:
            with self._unless_gone():
                self._live.stop()
            self._live = None

    @contextlib.contextmanager
    def _unless_gone(self) -> Iterator[None]:
        """Be quiet from now on if nobody listens any more: what is learnt is saved all the same."""
        try:
            yield
        except OSError:
            self._quiet = True

    def _line(self, progress: "Progress") -> str:
        return (
            f"step {progress.step:,} of {progress.steps:,}: "
            f"training {progress.bits_per_character:.3f} bits per character, "
            f"{quantity(progress.characters_per_second)} characters/s, "
            f"{duration(self._seconds_left(progress))} left"
        )

    @staticmethod
    def _seconds_left(progress: "Progress") -> float:
        return progress.seconds / progress.step * (progress.steps - progress.step)

    def _required_plan(self) -> "Plan":
        if self._plan is None:
            raise RuntimeError("planned() comes first")
        return self._plan

    def _picture(self) -> Group:
        progress = self._progress
        done, steps = (progress.step, progress.steps) if progress else (0, 1)
        bar = Table.grid(padding=(0, 1))
        left = f"{duration(self._seconds_left(progress))} left" if progress else ""
        bar.add_row(
            ProgressBar(total=steps, completed=done, width=30),
            Text(f"{100 * done / steps:3.0f} %"),
            Text(left),
        )
        rows = Table.grid(padding=(0, 2))
        rows.add_column(no_wrap=True, min_width=len("validation"))
        rows.add_column(no_wrap=True, overflow="ellipsis")
        if progress is not None:
            rows.add_row(
                "training",
                f"{progress.bits_per_character:.3f} bits per character   "
                f"{quantity(progress.characters_per_second)} characters/s   "
                f"epoch {progress.epoch:.2f}",
            )
        if self._validations:
            scores = [validation.bits_per_character for validation in self._validations]
            rows.add_row("validation", f"{scores[-1]:.3f} bits per character   {sparkline(scores)}")
            rows.add_row("it writes", Text(visible(self._validations[-1].sample), "italic"))
        return Group(bar, rows)


def describe_plan(plan: "Plan") -> str:
    """Return the line that is said before training."""
    steps = f"{count(plan.steps, 'step')} ({plan.epochs:.3g} epochs)"
    if plan.expected_seconds is not None:
        steps += f", about {duration(plan.expected_seconds)}"
    return (
        f"learning from {quantity(plan.characters)} characters: vocabulary of "
        f"{plan.vocabulary}, {quantity(plan.parameters)} parameters, "
        f"{quantity(plan.memory, 'B')} of memory, "
        f"{str(plan.precision).removeprefix('torch.')} on {plan.device.type}; {steps}"
    )
