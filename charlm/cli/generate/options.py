"""The options of `charlm generate`, in the panels of its help."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charlm.cli.options import MODEL_VARIABLE
from charlm.config import DEFAULT_LENGTH, DEFAULT_MODEL_PATH, LENGTH_BESIDE_OTHERS

STOPPING = "Stopping: at the first of these"
CONSTRAINTS = "Constraints"
SAMPLING = "Sampling, in this order"
FILTERS = "Several texts, and which are kept"
OUTPUT = "Output"

ModelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        help="Model file; used twice, the two models are mixed.",
        show_default=f"${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}",
    ),
]
MixOption = Annotated[
    float | None,
    typer.Option(
        help="Weight of the first of two models with the same tokenizer, from 0 to 1.",
        show_default="0.5",
    ),
]
SeedOption = Annotated[
    str,
    typer.Option(
        "--seed",
        "--prompt",
        metavar="TEXT",
        help="Text to continue, printed first. - reads it from stdin, without a final line end.",
    ),
]
SeedFileOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Complete each line of this file, or of stdin for -. The output has one line for "
        "each, in the same order; an empty line starts from nothing.",
        show_default=False,
    ),
]
EndingOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help='Text to generate before, printed last; "" is the end of a text. With a seed text, '
        "fill the gap between. Needs a model of --direction backward or both.",
        show_default=False,
    ),
]
RngSeedOption = Annotated[
    int | None,
    typer.Option(
        "--rng-seed",
        help="Seed of the random generator, from 0; the same seed gives the same text.",
        show_default="a new one each time",
    ),
]


def _option(panel: str, help: str, **settings: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=panel, **settings)


def _stopping(help: str, metavar: str | None = None) -> Any:
    return _option(STOPPING, help, metavar=metavar, show_default=False)


def _constraint(help: str, metavar: str | None = None) -> Any:
    return _option(CONSTRAINTS, help, metavar=metavar, show_default=False)


def _flag(name: str, panel: str, help: str) -> Any:
    return typer.Option(name, help=help, rich_help_panel=panel)


LengthOption = Annotated[
    int | None,
    typer.Option(
        "--length",
        "-n",
        help="Characters to generate; lines and answers may be shorter. -1 never stops.",
        show_default=f"{DEFAULT_LENGTH}; {LENGTH_BESIDE_OTHERS:,} with another stopping option",
        rich_help_panel=STOPPING,
    ),
]
WordsOption = Annotated[int | None, _stopping("Stop after this number of words.")]
LinesOption = Annotated[
    int | None, _stopping("Stop after this number of lines. For a model of lines, use --count.")
]
SentencesOption = Annotated[
    int | None,
    _stopping(
        "Stop after this number of sentences. A sentence ends at . ! ? … before white space, or at "
        "。！？."
    ),
]
StopOption = Annotated[
    list[str] | None,
    _stopping(
        "Stop before this text; \\n is a line end. Can be used several times.", metavar="TEXT"
    ),
]
KeepStopOption = Annotated[bool, _flag("--keep-stop", STOPPING, "Print the text of --stop, too.")]
UntilOption = Annotated[
    str | None,
    _stopping(
        "Stop when this regular expression matches in the last 1,000 characters. The match is "
        "printed.",
        metavar="REGEX",
    ),
]

AllowCharsOption = Annotated[
    str | None,
    _constraint(
        "Generate only these characters. a-z is a range, \\n a line end, \\- a hyphen.",
        metavar="SET",
    ),
]
ForbidCharsOption = Annotated[str, _constraint("Generate none of these characters.", metavar="SET")]
MaxWidthOption = Annotated[
    int | None,
    _constraint(
        "Most characters of a line, with those of the seed text. Lines are cut, not wrapped; for "
        "complete lines use --match '^.{1,40}$'."
    ),
]

NoRepeatNgramOption = Annotated[
    int,
    _option(
        SAMPLING, "Never repeat this number of tokens in a row, among the last 10,000. 0 is off."
    ),
]
RepetitionPenaltyOption = Annotated[
    float,
    _option(
        SAMPLING,
        "Raise the probability of recent tokens to this power, above 0: higher repeats less. "
        "1 is off.",
    ),
]
RepetitionWindowOption = Annotated[
    int, _option(SAMPLING, "Number of recent tokens that --repetition-penalty looks back over.")
]
TemperatureOption = Annotated[
    float,
    typer.Option(
        "--temperature",
        "--temp",
        help="Divide the logits by this, from 0: lower is more predictable, higher more varied. "
        "0 always takes the most probable token; 1 is off.",
        rich_help_panel=SAMPLING,
    ),
]
TopKOption = Annotated[
    int, _option(SAMPLING, "Keep this number of the most probable tokens. 0 is off.")
]
TopPOption = Annotated[
    float,
    _option(
        SAMPLING,
        "Keep the fewest most probable tokens whose probabilities reach this sum. 1 is off.",
    ),
]
MinPOption = Annotated[
    float,
    _option(
        SAMPLING,
        "Keep tokens with at least this fraction of the highest probability, from 0 to 1. "
        "0 is off.",
    ),
]
TypicalPOption = Annotated[
    float,
    _option(
        SAMPLING,
        "Keep the fewest tokens whose probabilities reach this sum, those with a surprisal nearest "
        "to the entropy first. 1 is off.",
    ),
]

CountOption = Annotated[
    int,
    _option(
        FILTERS,
        "Number of texts per seed text. Texts of several lines are separated by an empty line.",
    ),
]
BestOfOption = Annotated[
    int,
    _option(
        FILTERS,
        "Generate this number of candidates for each text, up to 10,000; keep the one with the "
        "highest probability per token.",
    ),
]
MatchOption = Annotated[
    str | None,
    _option(
        FILTERS,
        "Keep texts that contain a match of this regular expression. The seed text counts, "
        "except for a model of pairs.",
        metavar="REGEX",
        show_default=False,
    ),
]
UniqueOption = Annotated[bool, _flag("--unique", FILTERS, "Print no text twice.")]
NovelOption = Annotated[
    bool,
    _flag(
        "--novel",
        FILTERS,
        "Print no line of the training text. Of running text, print nothing that contains a long "
        "part of it; `charlm info` shows how long.",
    ),
]
AttemptsOption = Annotated[
    int,
    _option(
        FILTERS,
        "Attempts for each text. If all fail, the text is left out and the exit status is 1.",
    ),
]

JsonlOption = Annotated[
    bool,
    _flag(
        "--jsonl",
        OUTPUT,
        "Print one JSON object per text: seed, text, tokens, nats, finish_reason, number, "
        "rng_seed.",
    ),
]
NoEchoOption = Annotated[
    bool, _flag("--no-echo", OUTPUT, "Do not print the seed text and the ending.")
]
ShowProbabilitiesOption = Annotated[
    bool,
    _flag(
        "--show-probabilities",
        OUTPUT,
        "Colour each generated character by its surprisal, on a terminal with colours.",
    ),
]
TopTokensOption = Annotated[
    int | None,
    _option(
        OUTPUT,
        "Generate nothing; print a table of this number of most probable next tokens, at "
        "temperature 1.",
        show_default=False,
    ),
]
InteractiveOption = Annotated[
    bool,
    typer.Option(
        "--interactive",
        "-i",
        help="Read seed texts from the terminal and continue each; Ctrl-D ends.",
        rich_help_panel=OUTPUT,
    ),
]
