"""Print texts: as they are generated, complete, as JSON, in colours, in a conversation."""

import contextlib
import importlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlm.cli.generate.seeds import note_out_of_vocabulary
from charlm.cli.options import model_path
from charlm.cli.output import counted_on_terminal, is_terminal, print_note, write, write_json
from charlm.config import CandidateFilter, ModelConfig, Task
from charlm.errors import CharlmError, ConfigError
from charlm.formatting import count as counted
from charlm.formatting import escaped, harmless, token_name, visible
from charlm.inference.candidates import GeneratedText
from charlm.inference.lexicon import Lexicon, answer_with_lexicon
from charlm.inference.model import Model
from charlm.inference.model import load as load_model
from charlm.inference.seed_texts import read_example
from charlm.inference.stopping import FinishReason

if TYPE_CHECKING:
    from charlm.display.surprisal import SurprisalColours

SeedBatches = Iterable[list[str]]
Settings = dict[str, Any]  # of GenerationConfig

# Seconds between two flushes of a text as it is generated. A flush for each character takes as long
# as the network, and readers see no difference.
FLUSH_INTERVAL = 0.01


def load(paths: list[Path], share: float | None) -> Model:
    """Return the model at a path, or the mixture of the models at two paths."""
    if share is not None and len(paths) != 2:
        raise ConfigError("--mix needs two models: -m A -m B")
    if len(paths) > 2:
        raise ConfigError(f"--model can be used once, or twice for a mixture, got {len(paths)}")
    model = load_model(model_path(paths[0] if paths else None))
    if len(paths) < 2:
        return model
    return model.mixed(load_model(paths[1]), 0.5 if share is None else share)


def check_for_task(config: ModelConfig, seed: str | None, lines: int | None) -> None:
    """Raise ConfigError if the model's task has no use for --lines or the seed text, or lacks one.

    `seed` is None if seed texts come from elsewhere.
    """
    task = config.task
    if lines is not None and task != "text":
        raise ConfigError(
            f"--lines counts line ends, which a model of {task} never generates",
            hint=f"--count {lines} generates {counted(lines, 'text')}, one a line",
        )
    if task == "pairs" and seed is not None and not seed.strip():
        raise ConfigError(
            "a model of pairs answers a source, and there is none",
            hint="give it with --seed TEXT, or one in each line of --seed-file FILE",
        )
    read_example(seed or "", config, "seed text")


@dataclass(frozen=True, kw_only=True)
class Printer:
    """Prints texts.

    Attributes:
        task: The task of the model.
        rng_seed: The random seed of the run.
        has_echo: Whether seed texts and endings are printed.
        has_colours: Whether characters are coloured by surprisal, on a terminal with colours.
        is_jsonl: Whether texts are printed as JSON.
        is_one_line_each: Whether each text is one line, so that no empty line separates texts.
        has_seed_lines: Whether each seed text gets a line, even if its text was rejected.
        has_default_length: Whether the length is a default, and another criterion should stop.
        separator: What stands between two documents; None is an empty line.
        stops: The texts of --stop.
    """

    task: Task
    rng_seed: int
    has_echo: bool
    has_colours: bool
    is_jsonl: bool
    is_one_line_each: bool
    has_seed_lines: bool
    has_default_length: bool
    separator: str | None
    stops: Sequence[str]

    def show(self, text: str, nats: Sequence[float] = (), *, is_flushed: bool = True) -> None:
        """Print text; on a terminal, without control characters.

        Args:
            text: The text.
            nats: −ln p of each character; without it, the text has no colours.
            is_flushed: Whether it is printed at once, not with what comes next.
        """
        colours = self._colours
        if self._is_for_terminal:
            text = harmless(text)
            if colours is not None and nats:
                text = colours.coloured(text, nats)
        write(text, is_flushed=is_flushed)

    def echo(self, text: str) -> str:
        """Return a seed text or an ending if it is printed, else an empty text."""
        return text if self.has_echo and self.task != "pairs" else ""

    def begin(self, number: int) -> None:
        """Separate a text from the one before it."""
        if number > 0 and not self.is_one_line_each:
            self.show("\n" if self.separator is None else self.separator)

    def finish_line(self, text: str) -> None:
        """End the last line of `text`, which was shown, if it has no end."""
        if not text.endswith("\n"):
            self.show("\n")

    def end(self, reason: FinishReason | None) -> None:
        """Explain the colours, and print a note on an unexpected finish reason."""
        if self._colours is not None:
            self._colours.explain()
        if reason == "dead end":
            print_note("a text stops early: no character that is allowed can follow")
        if reason == "length" and self.has_default_length:
            stops = " or ".join(f"“{visible(stop)}”" for stop in self.stops)
            taken = f"; --stop waits for {stops}" if stops else ""
            print_note(f"a text stops by its default length: no other criterion stopped it{taken}")

    @cached_property
    def _is_for_terminal(self) -> bool:
        return is_terminal(sys.stdout)

    @cached_property
    def _colours(self) -> "SurprisalColours | None":
        if not self.has_colours:
            return None
        from charlm.display.surprisal import SurprisalColours

        colours = SurprisalColours()
        if self._is_for_terminal and colours.are_there:
            return colours
        print_note("--show-probabilities needs a terminal with colours")
        return None


def print_stream(model: Model, printer: Printer, batches: SeedBatches, settings: Settings) -> None:
    """Print one text as it is generated."""
    [[seed]] = batches
    last, reason = _print_pieces(model, printer, seed, settings, number=0)
    # In a pipe, a text is printed exactly. On a terminal, the prompt must begin on a new line.
    if printer.task != "text" or (is_terminal(sys.stdout) and not last.endswith("\n")):
        printer.show("\n")
    printer.end(reason)


def print_texts(
    model: Model,
    printer: Printer,
    batches: SeedBatches,
    candidate_filter: CandidateFilter,
    settings: Settings,
    *,
    sort: str | None,
    lexicon: Lexicon,
) -> None:
    """Print complete texts in their order; exit with 1 if a text was rejected in all attempts.

    With `sort` the likeliest come first, and nothing is printed before all are generated. Sources
    in the lexicon are answered from there.
    """

    def generate(batches: Iterable[Sequence[str]]) -> Iterator[GeneratedText]:
        return model.generate_from_batches(
            batches,
            candidate_filter=candidate_filter,
            rng_seed=printer.rng_seed,
            is_scored=printer.is_jsonl or printer.has_colours or sort is not None,
            **settings,
        )

    rejected, printed, last = 0, 0, ""
    reason: FinishReason | None = None
    texts: Iterable[GeneratedText] = generate(batches)
    if lexicon:
        texts = answer_with_lexicon(
            lexicon, batches, lambda sources: generate([sources]), candidate_filter.count
        )
    texts = counted_on_terminal(texts, "texts")
    if sort is not None:  # rejected ones last
        texts = sorted(texts, key=lambda text: (text.text is None, text.nats))
    for text in texts:
        rejected += text.text is None
        if printer.is_jsonl:
            write_json(_json(text, printer.rng_seed, is_answer=printer.task == "pairs"))
        elif text.text is not None:
            printer.begin(printed)
            printer.show(printer.echo(text.seed))
            printer.show(text.text, text.character_nats)
            if printer.separator is None or printer.is_one_line_each:
                printer.finish_line(text.text)
            printed += 1
            last = text.text
            reason = text.finish_reason if text.finish_reason in ("dead end", "length") else reason
        elif printer.has_seed_lines:
            printer.show("\n")
    if printed and printer.separator is not None and not printer.is_one_line_each:
        printer.finish_line(last)
    printer.end(reason)
    if rejected:
        attempts = counted(candidate_filter.attempts, "attempt")
        conditions = " and ".join(candidate_filter.conditions)
        failed = f": none passed {conditions}" if conditions else ""
        print_note(
            f"{counted(rejected, 'text')} could not be generated in {attempts}{failed}; "
            "--attempts allows more"
        )
        raise typer.Exit(1)


def _json(text: GeneratedText, rng_seed: int, *, is_answer: bool) -> dict[str, Any]:
    return {
        "seed": text.seed,
        "text": text.text,
        "tokens": text.tokens,
        # Further digits depend on the number of texts that are computed side by side.
        "nats": round(text.nats, 3),
        **({"probability": float(f"{math.exp(-text.nats):.4g}")} if is_answer else {}),
        "finish_reason": text.finish_reason,
        "number": text.number,
        "rng_seed": rng_seed,
    }


def print_endings(
    model: Model,
    printer: Printer,
    batches: SeedBatches,
    ending: str | None,
    count: int,
    settings: Settings,
) -> None:
    """Print texts before an ending, or between each seed text and an ending."""
    seeds = (seed for batch in batches for seed in batch for _ in range(count))
    for number, seed in enumerate(seeds):
        printer.begin(number)
        text = model.generate(seed, ending=ending, rng_seed=(printer.rng_seed, number), **settings)
        shown = printer.echo(seed) + text + printer.echo(ending or "")
        printer.show(shown)
        is_single = printer.task == "text" and count == 1 and not printer.has_seed_lines
        if not is_single or (is_terminal(sys.stdout) and not shown.endswith("\n")):
            printer.show("\n")


def print_top_tokens(model: Model, printer: Printer, batches: SeedBatches, number: int) -> None:
    """Print the most probable next tokens of seed texts: as tables with tabs, or JSON."""
    for index, seed in enumerate(seed for batch in batches for seed in batch):
        top_tokens = model.top_tokens(seed)[:number]
        if printer.is_jsonl:
            objects = [
                {"token": token_name(token), "probability": probability}
                for token, probability in top_tokens
            ]
            write_json({"seed": seed, "top_tokens": objects})
            continue
        write("\n" * (index > 0) + "token\tprobability\tbits\n")
        for token, probability in top_tokens:
            name = escaped(token) if isinstance(token, str) else token_name(token)
            bits = -math.log2(probability) if probability else math.inf
            write(f"{name}\t{probability:.6f}\t{bits:.2f}\n")


def print_interactively(model: Model, printer: Printer, settings: Settings) -> None:
    """Read seed texts from the terminal and continue each; Ctrl-C stops a text, Ctrl-D the run."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # gives input() its history and editing
    model.runtime("forward")  # raises an error before the first prompt
    batches = note_out_of_vocabulary(_typed_lines(printer), model, "")
    for number, [seed] in enumerate(batches):
        last: str = ""
        reason: FinishReason | None = None
        try:
            last, reason = _print_pieces(model, printer, seed, settings, number=number)
        except KeyboardInterrupt:
            pass
        except CharlmError as error:
            from charlm.display import show_error

            show_error(error)
            continue
        if not last.endswith("\n"):
            printer.show("\n")
        printer.end(reason)


def _typed_lines(printer: Printer) -> Iterator[list[str]]:
    """Yield each line that is typed, until Ctrl-D."""
    while True:
        try:
            yield [input("> ")]
        except EOFError:
            printer.show("\n")
            return
        except KeyboardInterrupt:
            printer.show("\n")
        except UnicodeDecodeError:
            from charlm.display import show_error

            show_error(CharlmError("the line is not UTF-8"))


def _print_pieces(
    model: Model, printer: Printer, seed: str, settings: Settings, *, number: int
) -> tuple[str, FinishReason | None]:
    """Print a text as it is generated; return its last piece and its finish reason."""
    pieces = model.pieces(
        seed, rng_seed=(printer.rng_seed, number), is_scored=printer.has_colours, **settings
    )
    last, reason = printer.echo(seed), None
    printer.show(last)
    flushed = time.monotonic()
    for piece in pieces:
        now = time.monotonic()
        is_flushed = now - flushed > FLUSH_INTERVAL or piece.finish_reason is not None
        if is_flushed:
            flushed = now
        printer.show(piece.text, piece.nats, is_flushed=is_flushed)
        last, reason = piece.text or last, piece.finish_reason
    return last, reason
