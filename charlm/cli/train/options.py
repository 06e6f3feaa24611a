"""The options of `charlm train`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charlm.cli.options import option_duration, parse_duration, unescaped
from charlm.config import (
    DEFAULT_BPTT_LENGTH,
    DEFAULT_DROPOUT,
    DEFAULT_LEARNING_RATE,
    DEFAULT_MAX_TIME,
    DEFAULT_SAVE_EVERY,
    DEFAULT_WEIGHT_DECAY,
    DEFAULT_WORDS,
    LARGE_EMBEDDING_SIZE,
    SHORT_BPTT_LENGTH,
    SMALLEST_FITTED_SIZE,
    Cell,
    CorpusConfig,
    Device,
    Direction,
    Initialisation,
    ModelConfig,
    Nonlinearity,
    OptimizerName,
    Precision,
    TokenizerKind,
    TrainingConfig,
)

TEXT, MODEL, TRAINING, MACHINE = "Text", "Model", "Training", "Machine and output"
BUDGET = "Budget: the run ends at whatever comes first"

_rates = ", ".join(f"{name} {rate:g}" for name, rate in DEFAULT_LEARNING_RATE.items())
_decays = ", ".join(f"{name} {decay:g}" for name, decay in DEFAULT_WEIGHT_DECAY.items() if decay)
_dropouts = ", ".join(f"from {least} on {share:g}" for least, share in DEFAULT_DROPOUT.items())


def _option(help: str, panel: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, **settings)


CorpusArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS",
        help="UTF-8 texts to train on: files, directories of .txt files, or - for stdin. Each "
        "file is a document.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path, _option("File of the best model.", MACHINE, "--output", "-o", metavar="FILE")
]
OverwriteOption = Annotated[
    bool, _option("Replace the model and the run that are there.", MACHINE, "--overwrite")
]
ResumeOption = Annotated[
    bool,
    _option(
        "Go on with a stopped run, on the same texts and with the same settings. Without one, "
        "begin a run.",
        MACHINE,
        "--resume",
    ),
]
SaveEveryOption = Annotated[
    float | None,
    _option(
        "Time between two saves of the run, such as 30s or 5m. --resume goes on from the last.",
        MACHINE,
        parser=parse_duration,
        metavar="DURATION",
        show_default=option_duration(DEFAULT_SAVE_EVERY),
    ),
]
MaxTimeOption = Annotated[
    float | None,
    _option(
        "Training time, such as 60s, 5m or 1h, validation included. The learning rate schedule is "
        "fitted to it.",
        BUDGET,
        parser=parse_duration,
        metavar="DURATION",
        show_default=f"{option_duration(DEFAULT_MAX_TIME)}, if no other budget is given",
    ),
]
MaxEpochsOption = Annotated[
    float | None, _option("Number of times to read the training text, such as 2.5.", BUDGET)
]
MaxStepsOption = Annotated[int | None, _option("Number of optimizer steps.", BUDGET)]
LinesOption = Annotated[
    bool,
    _option("Treat every line as a text of its own, with a start and an end.", TEXT, "--lines"),
]
PairsOption = Annotated[
    bool,
    _option(
        "Treat every line as a source, a tab and a target; learn to predict the target.",
        TEXT,
        "--pairs",
    ),
]
DocumentSeparatorOption = Annotated[
    str | None,
    _option(
        "Text between two documents in a file, part of neither. \\n, \\r and \\t stand for line "
        "end, carriage return and tab.",
        TEXT,
        parser=unescaped,
        metavar="TEXT",
    ),
]
TokenizerOption = Annotated[
    TokenizerKind,
    _option(
        "Kind of tokens: characters, UTF-8 bytes, words, or subwords from byte-pair encoding (bpe) "
        "or the unigram model.",
        TEXT,
    ),
]
VocabSizeOption = Annotated[
    int | None,
    _option(
        "Largest number of words or subwords in the vocabulary; bytes replace all others.",
        TEXT,
        show_default=f"{DEFAULT_WORDS:,} words; subwords: square root of the text's length, or "
        "more for a text of many characters",
    ),
]
FromOption = Annotated[
    Path | None,
    _option(
        "Start from this model's weights, size and tokenizer; train on another text.",
        MODEL,
        "--from",
        metavar="MODEL",
    ),
]
CellOption = Annotated[Cell, _option("Recurrent cell: LSTM, GRU or simple RNN.", MODEL)]
NonlinearityOption = Annotated[Nonlinearity, _option("Activation function of --cell rnn.", MODEL)]
HiddenSizeOption = Annotated[
    int | None,
    _option(
        "Units per layer.",
        MODEL,
        show_default=f"{SMALLEST_FITTED_SIZE} to {ModelConfig.hidden_size}: more for a longer run",
    ),
]
NumLayersOption = Annotated[int, _option("Number of recurrent layers.", MODEL)]
ResidualOption = Annotated[
    bool,
    _option("Add each layer's input to its output, from the second layer on.", MODEL, "--residual"),
]
DirectionOption = Annotated[
    Direction,
    _option(
        "Read texts from the beginning, from the end, or both with one network for each. "
        "`generate --ending` needs backward or both.",
        MODEL,
    ),
]
EmbeddingSizeOption = Annotated[
    int | None,
    _option(
        "Size of the vector for each input token.",
        MODEL,
        show_default=f"{ModelConfig.embedding_size}; words, subwords: {LARGE_EMBEDDING_SIZE}",
    ),
]
EmbeddingsOption = Annotated[
    Path | None,
    _option(
        "Start from the word vectors in this text file, in the format of word2vec or GloVe. They "
        "set the embedding size.",
        MODEL,
        metavar="FILE",
    ),
]
TieWeightsOption = Annotated[
    bool | None,
    _option(
        "Use one matrix as embedding and output matrix.",
        MODEL,
        "--tie-weights/--no-tie-weights",
        show_default="tied for words and subwords",
    ),
]
InitialisationOption = Annotated[
    Initialisation | None,
    _option(
        "Initial recurrent matrices; uniform is within ±1/√(hidden size).",
        MODEL,
        show_default="identity for ReLU, else orthogonal",
    ),
]
ForgetBiasOption = Annotated[
    float | None,
    _option(
        "Initial biases of an LSTM's forget gates.",
        MODEL,
        show_default=f"{TrainingConfig.forget_bias:g}",
    ),
]
BatchSizeOption = Annotated[
    int, _option("Number of text streams that a step reads in parallel.", TRAINING)
]
BpttLengthOption = Annotated[
    int | None,
    _option(
        "Tokens per stream and step; gradients reach back no further.",
        TRAINING,
        show_default=f"{DEFAULT_BPTT_LENGTH}; words, or a short run: {SHORT_BPTT_LENGTH}",
    ),
]
OptimizerOption = Annotated[OptimizerName, _option("Optimizer.", TRAINING)]
LearningRateOption = Annotated[
    float | None,
    _option(
        "Peak learning rate, after warm-up. With adamw an untied output matrix gets twice that.",
        TRAINING,
        show_default=f"{_rates}; a quarter for --cell rnn with tanh; with adamw and adam less for "
        f"fewer than {TrainingConfig.batch_size} streams",
    ),
]
WeightDecayOption = Annotated[
    float | None,
    _option(
        "Weight decay on matrices: decoupled with adamw, an L2 penalty with the others; 0 is off.",
        TRAINING,
        show_default=f"{_decays}, others 0",
    ),
]
MomentumOption = Annotated[
    float, _option("Momentum of --optimizer sgd, from 0 to below 1.", TRAINING)
]
MaxGradientNormOption = Annotated[
    float, _option("Scale gradients of a larger norm down to this norm.", TRAINING)
]
DropoutOption = Annotated[
    float | None,
    _option(
        "Share of units that are set to zero at random in training, from 0 (off) to below 1.",
        TRAINING,
        show_default=f"by epochs × recurrent weights / training tokens: {_dropouts}",
    ),
]
ValidationFractionOption = Annotated[
    float | None,
    _option(
        "Share of the text to hold out for validation, between 0 and 1: its end, or every n-th "
        "line or pair.",
        TRAINING,
        show_default=f"{CorpusConfig.validation_fraction:g}, at most "
        f"{CorpusConfig.max_validation_characters:,} characters",
    ),
]
ValidationOption = Annotated[
    str | None,
    _option("Validate on this text, and train on all of CORPUS.", TRAINING, metavar="FILE"),
]
PrecisionOption = Annotated[
    Precision,
    _option("Matrix products in float32 or bfloat16; auto takes the faster.", MACHINE),
]
DeviceOption = Annotated[
    Device, _option("Where to train; auto takes a GPU if there is one.", MACHINE)
]
ThreadsOption = Annotated[
    int | None,
    _option("CPU threads of each process.", MACHINE, show_default="one per core"),
]
RngSeedOption = Annotated[
    int, _option("Seed of all random numbers, a whole number from 0.", MACHINE)
]
MetricsOption = Annotated[
    Path | None,
    _option(
        "Append progress and scores to this file, one JSON object per line.",
        MACHINE,
        metavar="FILE",
    ),
]
QuietOption = Annotated[bool, _option("Print nothing but errors.", MACHINE, "--quiet", "-q")]
