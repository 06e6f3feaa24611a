"""The options of `charlm eval`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated

import typer

from charlm.cli.options import MODEL_VARIABLE
from charlm.config import DEFAULT_MODEL_PATH, DEFAULT_SCORE_UNIT, Device, Direction, ScoreUnit

LINES = "Line by line"
TOKENS = "Token by token"
WHOLE = "Whole texts"
PICTURES = "Pictures of the surprisal"

TextArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="Texts to score, UTF-8; - or none reads stdin. Each is scored separately; the scores "
        "are added.",
        show_default=False,
    ),
]
ModelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        help="The model. Give the option several times to compare models.",
        show_default=f"${MODEL_VARIABLE}, else {DEFAULT_MODEL_PATH}",
    ),
]
DirectionOption = Annotated[
    Direction | None,
    typer.Option(
        help="Read texts forward or backward. `both` predicts each token from both sides; the "
        "result is a pseudo-likelihood.",
        show_default="the model's; forward if it has both",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON: one object, or one for each line or token.")
]
ScoreOption = Annotated[
    ScoreUnit | None,
    typer.Option(
        "--score",
        help="Unit of the scores of lines and of --fail-above. `percentile` is the percentage of "
        "held-out lines with a lower score.",
        show_default=DEFAULT_SCORE_UNIT,
    ),
]

PerLineOption = Annotated[
    bool,
    typer.Option(
        "--per-line",
        help="Write the score of each line, a tab and the line, as soon as it is scored.",
        rich_help_panel=LINES,
    ),
]
CarryOption = Annotated[
    bool,
    typer.Option(
        "--carry",
        help="Carry the recurrent state from line to line. Without it each line is scored alone.",
        rich_help_panel=LINES,
    ),
]
MinScoreOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Write only lines that score at least X, from 0; exit 1 if there are none.",
        show_default=False,
        rich_help_panel=LINES,
    ),
]
MaxScoreOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Write only lines that score at most X, from 0; exit 1 if there are none.",
        show_default=False,
        rich_help_panel=LINES,
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Write the N lines with the highest scores, the highest first, after all are "
        "read; from 1.",
        show_default=False,
        rich_help_panel=LINES,
    ),
]

PerTokenOption = Annotated[
    bool,
    typer.Option(
        "--per-token",
        help="Write a tab-separated table: line, column, token, its surprisal and the "
        "entropy before it in bits, its rank, and the likeliest token.",
        rich_help_panel=TOKENS,
    ),
]
PerWordOption = Annotated[
    bool,
    typer.Option(
        "--per-word",
        help="Write that table for words. Surprisal and entropy are sums over the word; "
        "rank and best are those of its most surprising token.",
        rich_help_panel=TOKENS,
    ),
]

FailAboveOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Exit 1 if the whole text scores above X, from 0.",
        show_default=False,
        rich_help_panel=WHOLE,
    ),
]
BaselinesOption = Annotated[
    bool,
    typer.Option(
        "--baselines",
        help="Add the size of the text after gzip, bzip2 and xz, in bits per character.",
        rich_help_panel=WHOLE,
    ),
]
TrainingTextOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="With --baselines: also compress the text after this one, as if the "
        "compressor were trained on it. Give the option several times for several "
        "files.",
        show_default=False,
        rich_help_panel=WHOLE,
    ),
]
DynamicOption = Annotated[
    bool,
    typer.Option(
        "--dynamic",
        help="Add dynamic evaluation: the model is trained on each part of a text after it"
        " has scored it. Needs PyTorch, and is slower.",
        rich_help_panel=WHOLE,
    ),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option(
        help="Score with PyTorch on this device. Without it NumPy scores, which starts faster.",
        show_default=False,
        rich_help_panel=WHOLE,
    ),
]

HeatmapOption = Annotated[
    bool,
    typer.Option(
        "--heatmap",
        help="Write the text with each character coloured by its surprisal; without "
        "colours, with a row of bars below each line.",
        rich_help_panel=PICTURES,
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write an HTML page that shows the surprisal and the likeliest tokens at each"
        " position.",
        show_default=False,
        rich_help_panel=PICTURES,
    ),
]
