"""The options of `charlm eval`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated

import typer

from charlm.cli.options import DEFAULT_MODEL, ESCAPES_HELP, option_group
from charlm.config import DEFAULT_SCORE_UNIT, Device, Direction, ScoreUnit

_general, _lines, _tokens = map(option_group, (None, "Line by line", "Token by token"))
_whole, _pairs, _pictures = map(
    option_group, ("Whole texts", "Answers of a model of pairs", "Pictures of the surprisal")
)

TextArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="UTF-8 texts to score. With no file, or -, read stdin. Each text is scored alone, and "
        "the scores are added.",
    ),
]
ModelsOption = Annotated[
    list[Path] | None,
    _general(
        "Model file. Repeat the option to compare models.",
        "--model",
        "-m",
        metavar="FILE",
        show_default=DEFAULT_MODEL,
    ),
]
DirectionOption = Annotated[
    Direction | None,
    _general(
        "Read texts forward or backward. `both` predicts each token from both sides; the result is "
        "a pseudo-likelihood.",
        show_default="the model's; forward if it has both",
    ),
]
JsonOption = Annotated[
    bool, _general("Write JSON: one object, or one for each line or token.", "--json")
]
ScoreOption = Annotated[
    ScoreUnit | None,
    _general(
        "Unit of the scores of lines and of --fail-above. `percentile` is the percentage of "
        "held-out lines with a lower score.",
        show_default=DEFAULT_SCORE_UNIT,
    ),
]

PerLineOption = Annotated[
    bool,
    _lines(
        "Write the score of each line, a tab and the line, as soon as it is scored.", "--per-line"
    ),
]
CarryOption = Annotated[
    bool,
    _lines(
        "Carry the recurrent state from line to line. Without it each line is scored alone.",
        "--carry",
    ),
]
ContextOption = Annotated[
    str,
    _lines(
        "Text that is read before each line, or before the text of --per-word and --per-token, and "
        f"not scored, as are the line ends then. {ESCAPES_HELP}",
        "--context",
        metavar="TEXT",
    ),
]
ChooseOption = Annotated[
    bool,
    _lines(
        "Read all lines, then write each with its probability among them and its bits, the "
        "likeliest first.",
        "--choose",
    ),
]
MinScoreOption = Annotated[
    float | None,
    _lines("Write only lines that score X or more; exit 1 if there are none.", metavar="X"),
]
MaxScoreOption = Annotated[
    float | None,
    _lines("Write only lines that score X or less; exit 1 if there are none.", metavar="X"),
]
TopOption = Annotated[
    int | None,
    _lines(
        "Read all lines, then write the N lines with the highest scores, the highest first.",
        metavar="N",
    ),
]

PerTokenOption = Annotated[
    bool,
    _tokens(
        "Write a tab-separated table: line, column, token, its surprisal and the entropy before it "
        "in bits, its rank, and the likeliest token.",
        "--per-token",
    ),
]
PerWordOption = Annotated[
    bool,
    _tokens(
        "Write that table for words. The surprisal of a word, and the entropies before its tokens, "
        "are summed; rank and best are those of its most surprising token. Two more columns: its "
        "tokens, and how many of them are bytes. With --per-line each line is read alone.",
        "--per-word",
    ),
]
WordsOption = Annotated[
    str | None,
    _tokens(
        "With --per-word: what a word is. `\\w+` sets punctuation apart. Without it, the text "
        "between white space.",
        "--words",
        metavar="REGEX",
    ),
]
TextColumnOption = Annotated[
    str | None,
    _tokens(
        "With --per-word or --per-token: read the texts from the column of this name, in a "
        "tab-separated file with a header. Each is read alone.",
        metavar="NAME",
    ),
]
IdColumnOption = Annotated[
    list[str] | None,
    _tokens(
        "With --text-column: begin each row with the value of the column of this name. Repeat the "
        "option for several.",
        metavar="NAME",
    ),
]

ErrorsOption = Annotated[
    bool,
    _pairs(
        "Write the wrong answers: source, expected and answered, with tabs between. Of labels and "
        "tags: text or token, expected, predicted and its probability.",
        "--errors",
    ),
]
SeparatorOption = Annotated[
    str | None,
    _pairs(
        "What stands between the symbols of a target, such as ' ' between phones. Without it each "
        "character is one.",
        metavar="TEXT",
    ),
]

FailAboveOption = Annotated[
    float | None, _whole("Exit 1 if the whole text scores above X.", metavar="X")
]
BaselinesOption = Annotated[
    bool,
    _whole(
        "Add the size of the text after gzip, bzip2 and xz, and PPMd where pyppmd is installed, in "
        "bits per character.",
        "--baselines",
    ),
]
TrainingTextOption = Annotated[
    list[str] | None,
    _whole(
        "With --baselines: also compress the text after this one, as if the compressor were "
        "trained on it. Give the option several times for several files.",
        metavar="FILE",
    ),
]
DynamicOption = Annotated[
    bool,
    _whole(
        "Add dynamic evaluation: network and counts learn each part of a text after they have "
        "scored it. Needs PyTorch, and is slower.",
        "--dynamic",
    ),
]
DynamicCountsOption = Annotated[
    bool,
    _whole(
        "Add dynamic evaluation with a network that stays as it is: the counts learn the text. "
        "Takes two or three times as long, without PyTorch.",
        "--dynamic-counts",
    ),
]
DeviceOption = Annotated[
    Device | None,
    _whole("Score with PyTorch on this device. Without it NumPy scores, which starts faster."),
]

HeatmapOption = Annotated[
    bool,
    _pictures(
        "Write the text with each character coloured by its surprisal; without colours, with a row "
        "of bars below each line. With --min-score, --max-score or --top, write these lines alone.",
        "--heatmap",
    ),
]
HtmlOption = Annotated[
    Path | None,
    _pictures(
        "Write an HTML page that shows the surprisal and the likeliest tokens at each position.",
        metavar="FILE",
    ),
]
