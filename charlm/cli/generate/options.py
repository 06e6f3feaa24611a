"""The options of `charlm generate`, in the panels of its help."""

from pathlib import Path
from typing import Annotated, Literal

from charlm.cli.options import DEFAULT_MODEL, ESCAPES_HELP, option_group
from charlm.config import DEFAULT_LENGTH, LENGTH_BESIDE_OTHERS, GenerationConfig

SortOrder = Literal["likely"]

_general, _constraint, _output = map(option_group, (None, "Constraints", "Output"))
_stopping = option_group("Stopping: at the first of these")
_sampling = option_group("Sampling, in this order")
_filter = option_group("Several texts, and which are kept")
_answer = option_group("Answers of a model of pairs")

ModelsOption = Annotated[
    list[Path] | None,
    _general(
        "Model file. Repeat the option to mix two models.",
        "--model",
        "-m",
        metavar="FILE",
        show_default=DEFAULT_MODEL,
    ),
]
MixOption = Annotated[
    float | None,
    _general(
        "Weight of the first of two models with the same tokenizer, from 0 to 1.",
        show_default="0.5",
    ),
]
SeedOption = Annotated[
    str,
    _general(
        "Text to continue; it is printed first. - reads it from stdin and drops a final line end. "
        f"{ESCAPES_HELP}",
        "--seed",
        "--prompt",
        metavar="TEXT",
    ),
]
SeedFileOption = Annotated[
    str | None,
    _general(
        "Continue each line of this file, or of stdin for -, and print one line for each, in the "
        "same order. For an empty line, generate a new text. Models of labels and tags print those "
        "of the lines.",
        metavar="FILE",
    ),
]
EndingOption = Annotated[
    str | None,
    _general(
        'Text to generate before, printed last; "" is the end of a text. With a seed text, '
        f"fill the gap between. {ESCAPES_HELP} Needs a model of --direction backward or both.",
        metavar="TEXT",
    ),
]
RngSeedOption = Annotated[
    int | None,
    _general(
        "Seed of the random generator, 0 or more; the same seed gives the same text.",
        show_default="a new one each time",
    ),
]

LengthOption = Annotated[
    int | None,
    _stopping(
        "Characters to generate; lines, answers and documents may be shorter. -1 never stops.",
        "--length",
        "-n",
        show_default=f"{DEFAULT_LENGTH}; {LENGTH_BESIDE_OTHERS:,} with another stopping option",
    ),
]
WordsOption = Annotated[int | None, _stopping("Stop after this number of words.")]
LinesOption = Annotated[
    int | None, _stopping("Stop after this number of lines. For a model of lines, use --count.")
]
SentencesOption = Annotated[
    int | None,
    _stopping(
        "Stop after this number of sentences. A sentence ends at a mark such as . ! ? … । ۔ before "
        "white space, or at 。！？."
    ),
]
StopOption = Annotated[
    list[str] | None,
    _stopping(
        f"Stop before this text. {ESCAPES_HELP} Repeat the option for several texts.",
        metavar="TEXT",
    ),
]
KeepStopOption = Annotated[bool, _stopping("Print the text of --stop, too.", "--keep-stop")]
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
        f"Generate only these characters. a-z is a range, \\- a hyphen. {ESCAPES_HELP}",
        metavar="SET",
    ),
]
ForbidCharsOption = Annotated[
    str,
    _constraint("Generate none of these characters, written as for --allow-chars.", metavar="SET"),
]
MaxWidthOption = Annotated[
    int | None,
    _constraint(
        "Largest number of characters in a line, the seed text included. Longer lines are cut, not "
        "wrapped; to print complete lines only, use --match '^.{1,40}$'."
    ),
]

NoRepeatNgramOption = Annotated[
    int,
    _sampling("Never repeat a sequence of this number of tokens from the last 10,000. 0 is off."),
]
RepetitionPenaltyOption = Annotated[
    float,
    _sampling(
        "Raise the probability of recent tokens to this power, which must be above 0: a higher one "
        "repeats less. 1 is off."
    ),
]
RepetitionWindowOption = Annotated[
    int, _sampling("Number of recent tokens that --repetition-penalty looks back over.")
]
SeedWeightOption = Annotated[
    float,
    _sampling(
        "How strongly names and phrases of a seed text of 200 tokens or more come again, from 0 to "
        "1. 0 is off.",
        "--seed-weight",
    ),
]
TemperatureOption = Annotated[
    float | None,
    _sampling(
        "Divide the logits by this number. Lower is more predictable, higher more varied; 0 always "
        "takes the most probable token. 1 draws as the model predicts; 0.8 narrows what data "
        "look like.",
        "--temperature",
        "--temp",
        show_default=f"{GenerationConfig.temperature:g}; for pairs 0",
    ),
]
TopKOption = Annotated[int, _sampling("Keep this number of the most probable tokens. 0 is off.")]
TopPOption = Annotated[
    float,
    _sampling("Keep the fewest most probable tokens whose probabilities reach this sum. 1 is off."),
]
MinPOption = Annotated[
    float,
    _sampling(
        "Keep tokens with at least this fraction of the highest probability, from 0 to 1. 0 is off."
    ),
]
TypicalPOption = Annotated[
    float,
    _sampling(
        "Keep the fewest tokens whose probabilities reach this sum, those with a surprisal nearest "
        "to the entropy first. 1 is off."
    ),
]

CountOption = Annotated[
    int,
    _filter(
        "Number of texts per seed text. Texts of several lines are separated as the documents of "
        "the training text, or by an empty line. Of pairs: the likeliest different answers, unless "
        "--temperature is above 0."
    ),
]
BestOfOption = Annotated[
    int,
    _filter(
        "Generate this number of candidates for each text, up to 10,000; keep the one with the "
        "highest probability per token."
    ),
]
MatchOption = Annotated[
    str | None,
    _filter(
        "Keep texts that contain a match of this regular expression. The seed text counts, "
        "except for a model of pairs.",
        metavar="REGEX",
    ),
]
UniqueOption = Annotated[bool, _filter("Print no text twice.", "--unique")]
NovelOption = Annotated[
    bool,
    _filter(
        "Print no line of the training text. Of running text, print nothing that contains a long "
        "part of it; `charlm info` shows how long.",
        "--novel",
    ),
]
MinDistanceOption = Annotated[
    int,
    _filter(
        "Keep lines that are at least this number of edits away from every line of the training "
        "text: 1 or 2. 0 is off.",
        metavar="N",
    ),
]
UniqueByOption = Annotated[
    str | None,
    _filter(
        "Print no two texts with the same match of this regular expression, or of its first group, "
        "and none without a match.",
        metavar="REGEX",
    ),
]
NovelByOption = Annotated[
    str | None,
    _filter(
        "Keep texts with a match of this regular expression, or of its first group, that no line "
        "of --training-text has.",
        metavar="REGEX",
    ),
]
TrainingTextOption = Annotated[
    list[str] | None,
    _filter("File whose lines --novel-by compares with. Repeat for several.", metavar="FILE"),
]
AttemptsOption = Annotated[
    int,
    _filter(
        "Attempts for each text. If all fail, the text is left out (with --jsonl it is null), and "
        "the exit status is 1."
    ),
]

SortOption = Annotated[
    SortOrder | None,
    _output(
        "Generate all texts, then print them by their probability, the likeliest first; short ones "
        "are likelier.",
        metavar="likely",
    ),
]
JsonlOption = Annotated[
    bool,
    _output(
        "Print one JSON object per text: seed, text, tokens, nats, finish_reason, number, "
        "rng_seed; of labels: seed, label, probability, probabilities; of tags: tokens, tags, "
        "probabilities.",
        "--jsonl",
    ),
]
NoEchoOption = Annotated[bool, _output("Do not print the seed text and the ending.", "--no-echo")]
ShowProbabilitiesOption = Annotated[
    bool,
    _output(
        "Colour each generated character by its surprisal, on a terminal with colours.",
        "--show-probabilities",
    ),
]
TopTokensOption = Annotated[
    int | None,
    _output(
        "Generate nothing; print a table of this number of most probable next tokens, at "
        "temperature 1."
    ),
]
InteractiveOption = Annotated[
    bool,
    _output(
        "Read seed texts from the terminal and continue each; Ctrl-D ends.", "--interactive", "-i"
    ),
]
BeamOption = Annotated[
    int,
    _answer(
        "Search for the likeliest answer with this number of hypotheses; 1 takes the most probable "
        "token at each step. With --count there are at least twice as many as answers."
    ),
]
LexiconOption = Annotated[
    list[str] | None,
    _answer(
        "Answer from this file of pairs where it has the source; the model answers the others. "
        "`train` stands for the files that the model was trained on. Repeat for several.",
        metavar="FILE",
    ),
]
ShowAttentionOption = Annotated[
    bool,
    _answer(
        "Draw the attention below the answer: a row for each token of it, and a column for each of "
        "the source.",
        "--show-attention",
    ),
]
AttentionSvgOption = Annotated[
    Path | None, _answer("Write the same as an SVG picture to this file.", metavar="FILE")
]
