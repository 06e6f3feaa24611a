"""The options of `charlm generate`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charlm.cli.options import MODEL_VARIABLE
from charlm.config import DEFAULT_LENGTH, DEFAULT_MODEL_PATH, LENGTH_BESIDE_OTHERS

STOPPING = "Where a text stops: at whatever comes first"
DRAWING = "What is drawn, in this order"
SAYING = "What may be said"
CHOOSING = "Which texts are kept"
SHOWING = "What is shown"

ModelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        help="The model; two are mixed.",
        show_default=f"${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}",
    ),
]
MixOption = Annotated[
    float | None,
    typer.Option(
        help="Of two models with the same tokenizer, the share of the first in every probability.",
        show_default="0.5",
    ),
]
SeedOption = Annotated[
    str,
    typer.Option(
        "--seed",
        "--prompt",
        metavar="TEXT",
        help="The text to continue, echoed first; - reads it from stdin, less one final newline.",
    ),
]
SeedFileOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Complete every line of this file, or of stdin for -, many side by side, in their "
        "order and one line each; an empty line starts from nothing.",
        show_default=False,
    ),
]
EndingOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The text to lead up to, echoed last, an empty one being the end of a text; together "
        "with a seed text, write what goes between. Needs a model trained with --direction "
        "backward or both, and comes in one piece.",
        show_default=False,
    ),
]
RngSeedOption = Annotated[
    int | None,
    typer.Option(
        "--rng-seed",
        help="Seed of the random generator: the same one gives the same text.",
        show_default="a new one each time",
    ),
]

LengthOption = Annotated[
    int | None,
    typer.Option(
        "--length",
        "-n",
        help="After so many characters, seed and ending not counted: exactly, but lines and "
        "answers may end before. -1 never stops.",
        show_default=f"{DEFAULT_LENGTH}; {LENGTH_BESIDE_OTHERS:,} where another option stops it",
        rich_help_panel=STOPPING,
    ),
]


def _stopping(help: str) -> Any:
    return typer.Option(help=help, show_default=False, rich_help_panel=STOPPING)


def _drawing(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=DRAWING)


def _saying(help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, metavar=metavar, show_default=False, rich_help_panel=SAYING)


def _choosing(help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=CHOOSING)


WordsOption = Annotated[int | None, _stopping("After so many words.")]
LinesOption = Annotated[
    int | None, _stopping("After so many line ends; of a model of lines use --count.")
]
SentencesOption = Annotated[
    int | None, _stopping("After so many sentences: . ! ? and white space, or 。！？.")
]
StopOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="At this text, which is not shown, \\n being a line end; may be given more than once.",
        show_default=False,
        rich_help_panel=STOPPING,
    ),
]
KeepStopOption = Annotated[
    bool, typer.Option("--keep-stop", help="Show that text, too.", rich_help_panel=STOPPING)
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="As soon as this is found in the last 1,000 characters.",
        show_default=False,
        rich_help_panel=STOPPING,
    ),
]

RepetitionPenaltyOption = Annotated[
    float,
    _drawing("Raise the probability of what was said lately to this power; 1 is off."),
]
RepetitionWindowOption = Annotated[int, _drawing("Lately: in so many tokens.")]
NoRepeatNgramOption = Annotated[
    int, _drawing("Never repeat so many tokens in a row, of the last 10,000; 0 is off.")
]
TemperatureOption = Annotated[
    float,
    typer.Option(
        "--temperature",
        "--temp",
        help="Divide logits by this: lower is safer, higher is bolder; 1 is off, 0 always takes "
        "the likeliest token.",
        rich_help_panel=DRAWING,
    ),
]
TopKOption = Annotated[int, _drawing("Keep so many of the likeliest tokens; 0 is off.")]
TopPOption = Annotated[
    float, _drawing("Keep the fewest likeliest tokens that reach this probability; 1 is off.")
]
MinPOption = Annotated[
    float, _drawing("Keep tokens with this share of the likeliest one's probability; 0 is off.")
]
TypicalPOption = Annotated[
    float,
    _drawing(
        "Keep the fewest tokens that reach this probability, those first whose surprisal is "
        "nearest to the expected one; 1 is off."
    ),
]

AllowCharsOption = Annotated[
    str | None, _saying("No character but these: a-z is a range, \\n a line end.", "SET")
]
ForbidCharsOption = Annotated[str, _saying("None of these characters.", "SET")]
MaxWidthOption = Annotated[
    int | None,
    _saying(
        "No line of more characters, the seed's included: it breaks off there. (--match '^.{1,9}$' "
        "makes whole ones.)"
    ),
]

CountOption = Annotated[
    int,
    _choosing(
        "Texts for each seed text: lines one a line, others set apart by an empty line.",
    ),
]
BestOfOption = Annotated[
    int, _choosing("Make so many, keep the one with the highest probability a token; 1 is off.")
]
MatchOption = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Only texts, seed included, or answers in which this is found.",
        show_default=False,
        rich_help_panel=CHOOSING,
    ),
]
UniqueOption = Annotated[
    bool, typer.Option("--unique", help="No text twice.", rich_help_panel=CHOOSING)
]
NovelOption = Annotated[
    bool,
    typer.Option(
        "--novel",
        help="No line that stands in the training text; of running text, nothing that has a long "
        "passage from it (charlm info tells how long).",
        rich_help_panel=CHOOSING,
    ),
]
TriesOption = Annotated[
    int, _choosing("Tries for each text, before it is given up; then the exit status is 1.")
]

JsonlOption = Annotated[
    bool,
    typer.Option(
        "--jsonl",
        help="Write one JSON object a text: seed, text, tokens, nats, stop, number, rng_seed.",
        rich_help_panel=SHOWING,
    ),
]
NoEchoOption = Annotated[
    bool,
    typer.Option(
        "--no-echo", help="Leave out the seed text and the ending.", rich_help_panel=SHOWING
    ),
]
ShowProbabilitiesOption = Annotated[
    bool,
    typer.Option(
        "--show-probabilities",
        help="On a terminal with colours, colour each new character by its surprisal.",
        rich_help_panel=SHOWING,
    ),
]
TopChoicesOption = Annotated[
    int | None,
    typer.Option(
        help="Write no text but a table of the so many likeliest next tokens, as the model has "
        "them, whatever the temperature.",
        show_default=False,
        rich_help_panel=SHOWING,
    ),
]
InteractiveOption = Annotated[
    bool,
    typer.Option(
        "--interactive",
        "-i",
        help="Ask for one seed text after another, until Ctrl-D.",
        rich_help_panel=SHOWING,
    ),
]
