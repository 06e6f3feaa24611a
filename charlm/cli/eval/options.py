"""The options of `charlm eval`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated

import typer

from charlm.cli.options import MODEL_VARIABLE
from charlm.config import DEFAULT_MODEL_PATH, DEFAULT_SCORE_UNIT, Device, Direction, ScoreUnit

LINES = "Line by line"
TOKENS = "Token by token"
WHOLE = "The text as a whole"
SEEING = "Seeing where it surprises"

TextArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="Texts to score, UTF-8; - or nothing is stdin. Each is read from nothing, and "
        "their scores are added.",
        show_default=False,
    ),
]
JudgesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        help="The model; several are compared, whatever their tokenizers, and the best is told.",
        show_default=f"${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}",
    ),
]
DirectionOption = Annotated[
    Direction | None,
    typer.Option(
        help="Read texts from the beginning or from the end, or score each token from both sides: "
        "a pseudo-likelihood, which compares with nothing but its like.",
        show_default="the model's; of both, forward",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON: one object, or one for each line or token.")
]
ScoreOption = Annotated[
    ScoreUnit | None,
    typer.Option(
        "--score",
        help="What the score of a line, or for --fail-above of the text, is: information per "
        "character, in all in bits or nats, perplexity per token, or the percentage of the lines "
        "held out from training that score lower.",
        show_default=DEFAULT_SCORE_UNIT,
    ),
]

PerLineOption = Annotated[
    bool,
    typer.Option(
        "--per-line",
        help="Write each line's score, a tab and the line, as soon as it is scored.",
        rich_help_panel=LINES,
    ),
]
CarryOption = Annotated[
    bool,
    typer.Option(
        "--carry",
        help="Read each line on from the one before, not for itself.",
        rich_help_panel=LINES,
    ),
]
MinScoreOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Pass on the lines that score at least X, unchanged but for --per-line; exit 1 if "
        "there are none.",
        show_default=False,
        rich_help_panel=LINES,
    ),
]
MaxScoreOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Pass on the lines that score at most X.",
        show_default=False,
        rich_help_panel=LINES,
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Pass on the N strangest lines, the strangest first, once all are read.",
        show_default=False,
        rich_help_panel=LINES,
    ),
]

PerTokenOption = Annotated[
    bool,
    typer.Option(
        "--per-token",
        help="Write a table, tabs between its columns: line, column, token, surprisal and entropy "
        "in bits, the token's rank, and the likeliest one.",
        rich_help_panel=TOKENS,
    ),
]
PerWordOption = Annotated[
    bool,
    typer.Option(
        "--per-word",
        help="The same for words, each with the white space before it. Surprisal and entropy are "
        "sums, rank and best are those of the token in it that surprises most.",
        rich_help_panel=TOKENS,
    ),
]

FailAboveOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Exit 1 if the whole text scores above X.",
        show_default=False,
        rich_help_panel=WHOLE,
    ),
]
BaselinesOption = Annotated[
    bool,
    typer.Option(
        "--baselines",
        help="Add what gzip, bzip2 and xz make of the same text, in bits per character.",
        rich_help_panel=WHOLE,
    ),
]
TrainingTextOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="With --baselines: what they make of it after this text, too. Give it as often as "
        "there are files.",
        show_default=False,
        rich_help_panel=WHOLE,
    ),
]
DynamicOption = Annotated[
    bool,
    typer.Option(
        "--dynamic",
        help="Score each text also by a model that goes on learning from it, each piece scored "
        "before it is learnt from: dynamic_nats. Loads PyTorch and takes its time.",
        rich_help_panel=WHOLE,
    ),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option(
        help="Score whole texts with PyTorch on this device, such as a graphics card; without it "
        "NumPy scores, which starts faster.",
        show_default=False,
        rich_help_panel=WHOLE,
    ),
]

HeatmapOption = Annotated[
    bool,
    typer.Option(
        "--heatmap",
        help="Write the text, each character coloured by its surprisal; without colours, with a "
        "row of bars below each line.",
        rich_help_panel=SEEING,
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a page that shows it in a browser, with what was expected at each place.",
        show_default=False,
        rich_help_panel=SEEING,
    ),
]
