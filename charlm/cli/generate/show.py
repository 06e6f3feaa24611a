"""How texts are shown: as they are made, whole, as JSON, coloured, in conversation."""

import contextlib
import importlib
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.cli.generate.seeds import noting_unlisted
from charlm.cli.options import model_path
from charlm.cli.output import is_terminal, write, write_json
from charlm.config import CandidateFilter, Speech, Task
from charlm.errors import CharlmError, ConfigError
from charlm.formatting import count as counted
from charlm.formatting import escaped, harmless, token_name
from charlm.inference.model import Model
from charlm.inference.model import load as load_model
from charlm.inference.stopping import Reason

if TYPE_CHECKING:
    from charlm.display.surprisal import SurprisalColours

SeedBatches = Iterable[list[str]]


def load(paths: list[Path], share: float | None) -> Model:
    """Return the model at a path, or the mixture of those at two."""
    if share is not None and len(paths) != 2:
        raise ConfigError("--mix needs two models: -m A -m B")
    if len(paths) > 2:
        raise ConfigError(f"one model speaks, or two are mixed; these are {len(paths)}")
    model = load_model(model_path(paths[0] if paths else None))
    if len(paths) < 2:
        return model
    return model.mixed(load_model(paths[1]), 0.5 if share is None else share)


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is shown, and how.

    Attributes:
        task: Of the model.
        rng_seed: Of the run.
        is_echoed: Whether seed texts and endings are shown.
        is_coloured: Whether characters are coloured by their surprisal, where there are colours.
        is_jsonl: Whether texts are told as JSON.
        is_of_lines: Whether each text is one line, so that no empty line sets it apart.
        is_of_seed_lines: Whether each seed line has its line, even if no text could be made.
        is_length_a_surprise: Whether something else than the length was to stop a text.
    """

    task: Task
    rng_seed: int
    is_echoed: bool
    is_coloured: bool
    is_jsonl: bool
    is_of_lines: bool
    is_of_seed_lines: bool
    is_length_a_surprise: bool

    def show(self, text: str, nats: Sequence[float] = ()) -> None:
        """Write text: as it is to a pipe, but nothing that a terminal would obey to a terminal.

        Args:
            text: What to show.
            nats: −ln p of each of its characters, or nothing, for text that is not coloured.
        """
        if self._is_for_terminal:
            text = harmless(text)
            if self._colours is not None and nats:
                text = self._colours.coloured(text, nats)
        write(text)

    def echo(self, text: str) -> str:
        """Return a seed text or an ending as far as it is shown; an answer's question is not."""
        return text if self.is_echoed and self.task != "pairs" else ""

    def begin(self, number: int) -> None:
        """Set a text apart from the one before."""
        if number > 0 and not self.is_of_lines:
            self.show("\n")

    def end(self, reason: Reason | None) -> None:
        """Tell what a text itself does not: what its colours mean, why it ends where it does."""
        if self._colours is not None:
            self._colours.explain()
        elif self.is_coloured:
            _note("--show-probabilities needs a terminal with colours")
        if reason == "dead end":
            _note("a text ends where nothing that comes next may be said")
        if reason == "length" and self.is_length_a_surprise:
            _note("a text ends by its length: nothing came that was to stop it")

    @cached_property
    def _is_for_terminal(self) -> bool:
        return is_terminal(sys.stdout)

    @cached_property
    def _colours(self) -> "SurprisalColours | None":
        if not self.is_coloured or not self._is_for_terminal:
            return None
        from charlm.display.surprisal import SurprisalColours

        colours = SurprisalColours()
        return colours if colours.are_there else None


def one(model: Model, out: Output, batches: SeedBatches, speech: Speech) -> None:
    """Show one text as it is made."""
    [[seed]] = batches
    last, reason = _stream(model, out, seed, speech, number=0)
    # A single text ends where it ends, but the shell's prompt must not stand in it.
    if out.task != "text" or (is_terminal(sys.stdout) and not last.endswith("\n")):
        out.show("\n")
    out.end(reason)


def texts(
    model: Model, out: Output, batches: SeedBatches, selection: CandidateFilter, speech: Speech
) -> None:
    """Show whole texts in their order; exit with 1 if some that were wanted could not be made."""
    missing = shown = 0
    reason: Reason | None = None
    for text in model.generate_from_batches(
        batches,
        selection=selection,
        rng_seed=out.rng_seed,
        is_scored=out.is_jsonl or out.is_coloured,
        **speech,
    ):
        missing += text.text is None
        if out.is_jsonl:
            write_json(
                {
                    "seed": text.seed,
                    "text": text.text,
                    "tokens": text.tokens,
                    "nats": text.nats,
                    "stop": text.reason,
                    "number": text.number,
                    "rng_seed": out.rng_seed,
                }
            )
        elif text.text is not None:
            out.begin(shown)
            out.show(out.echo(text.seed))
            out.show(text.text, text.character_nats)
            if not text.text.endswith("\n"):
                out.show("\n")
            shown += 1
            reason = text.reason if text.reason in ("dead end", "length") else reason
        elif out.is_of_seed_lines:
            out.show("\n")
    out.end(reason)
    if missing:
        tries = f"{selection.tries:,} tries" if selection.tries > 1 else "one try"
        _note(f"{counted(missing, 'text')} could not be made in {tries}")
        raise typer.Exit(1)


def endings(
    model: Model, out: Output, batches: SeedBatches, ending: str | None, count: int, speech: Speech
) -> None:
    """Show texts that lead up to an ending, or go between a seed text and it."""
    number = 0
    for seed in (seed for batch in batches for seed in batch for _ in range(count)):
        out.begin(number)
        text = model.generate(seed, ending=ending, rng_seed=(out.rng_seed, number), **speech)
        whole = out.echo(seed) + text + out.echo(ending or "")
        out.show(whole)
        number += 1
        is_one = out.task == "text" and count == 1 and not out.is_of_seed_lines
        if not is_one or (is_terminal(sys.stdout) and not whole.endswith("\n")):
            out.show("\n")


def choices(model: Model, out: Output, batches: SeedBatches, number: int) -> None:
    """Show the likeliest next tokens of seed texts: tables of tabs, or JSON."""
    for place, seed in enumerate(seed for batch in batches for seed in batch):
        found = model.choices(seed)[:number]
        if out.is_jsonl:
            told = [{"token": token_name(token), "probability": share} for token, share in found]
            write_json({"seed": seed, "choices": told})
            continue
        write("\n" * (place > 0) + "token\tprobability\tbits\n")
        for token, share in found:
            name = escaped(token) if isinstance(token, str) else token_name(token)
            bits = -math.log2(share) if share else math.inf
            write(f"{name}\t{share:.6f}\t{bits:.2f}\n")


def converse(model: Model, out: Output, speech: Speech) -> None:
    """Ask for seed texts on the terminal, and continue each; Ctrl-C ends a text, Ctrl-D all."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # gives input() its history and editing
    model.runtime("forward")  # or there is nothing to ask for
    asked = noting_unlisted(_asked(out), model.tokenizer, "")
    for number, [seed] in enumerate(asked):
        last: str = ""
        reason: Reason | None = None
        try:
            last, reason = _stream(model, out, seed, speech, number=number)
        except KeyboardInterrupt:
            pass
        except CharlmError as error:
            from charlm.display import show_error

            show_error(error)
            continue
        if not last.endswith("\n"):
            out.show("\n")
        out.end(reason)


def _asked(out: Output) -> Iterator[list[str]]:
    """Yield each line that is typed, until Ctrl-D."""
    while True:
        try:
            yield [input("> ")]
        except EOFError:
            out.show("\n")
            return
        except KeyboardInterrupt:
            out.show("\n")
        except UnicodeDecodeError:
            typer.echo("error: this is not UTF-8", err=True)


def _stream(
    model: Model, out: Output, seed: str, speech: Speech, *, number: int
) -> tuple[str, Reason | None]:
    """Show a text as it is made, and return its last piece and why it ended."""
    pieces = model.pieces(
        seed, rng_seed=(out.rng_seed, number), is_scored=out.is_coloured, **speech
    )
    last, reason = out.echo(seed), None
    out.show(last)
    for piece in pieces:
        out.show(piece.text, piece.nats)
        last, reason = piece.text or last, piece.reason
    return last, reason


def _note(text: str) -> None:
    from charlm.display import show_note  # rich, which a plain text does not wait for

    show_note(text)
