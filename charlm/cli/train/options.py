"""The options of `charlm train`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated

import typer

from charlm.cli.options import (
    ESCAPES_HELP,
    option_group,
    parse_columns,
    parse_duration,
    unescaped,
)
from charlm.config import (
    DEFAULT_BPTT_LENGTH,
    DEFAULT_DROPOUT,
    DEFAULT_HELD_OUT_EXAMPLES,
    DEFAULT_LEARNING_RATE,
    DEFAULT_MAX_TIME,
    DEFAULT_SAVE_EVERY,
    DEFAULT_WEIGHT_DECAY,
    DEFAULT_WORDS,
    ENCODER_NUM_LAYERS,
    LARGE_EMBEDDING_SIZE,
    SHORT_BPTT_LENGTH,
    SMALLEST_FITTED_SIZE,
    Cell,
    CorpusConfig,
    Device,
    Direction,
    HeldOut,
    Initialisation,
    ModelConfig,
    Nonlinearity,
    OptimizerName,
    Precision,
    TokenizerKind,
    TrainingConfig,
)

_rates = ", ".join(f"{name} {rate:g}" for name, rate in DEFAULT_LEARNING_RATE.items())
_decays = ", ".join(f"{name} {decay:g}" for name, decay in DEFAULT_WEIGHT_DECAY.items() if decay)
_dropouts = "; ".join(f"from {least} {share:g}" for least, share in DEFAULT_DROPOUT.items())


_text, _model, _training = map(option_group, ("Text", "Model", "Training"))
_budget = option_group("Budget: the run ends at whatever comes first")
_machine = option_group("Machine and output")

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
    Path, _machine("File of the best model.", "--output", "-o", metavar="FILE")
]
OverwriteOption = Annotated[
    bool, _machine("Replace an existing model and its saved run.", "--overwrite")
]
ResumeOption = Annotated[
    bool,
    _machine(
        "Go on with a stopped run, on the same texts and with the same settings. If there is none, "
        "start a new run.",
        "--resume",
    ),
]
SaveEveryOption = Annotated[
    float | None,
    _machine(
        "Time between two saves of the run, such as 30s or 5m. --resume goes on from the last.",
        parser=parse_duration,
        metavar="DURATION",
        show_default=f"{DEFAULT_SAVE_EVERY / 60:g}m",
    ),
]
MaxTimeOption = Annotated[
    float | None,
    _budget(
        "Training time, such as 60s, 5m or 1h, validation included. The learning rate schedule is "
        "fitted to it.",
        parser=parse_duration,
        metavar="DURATION",
        show_default=f"{DEFAULT_MAX_TIME / 60:g}m, if no other budget is given",
    ),
]
MaxEpochsOption = Annotated[
    float | None, _budget("Number of times to read the training text, such as 2.5.")
]
MaxStepsOption = Annotated[int | None, _budget("Number of optimizer steps.")]
LinesOption = Annotated[
    bool, _text("Treat every line as a text of its own, with a start and an end.", "--lines")
]
PairsOption = Annotated[
    bool,
    _text(
        "Treat every line as a source, a tab and a target; learn to predict the target.", "--pairs"
    ),
]
LabelsOption = Annotated[
    bool,
    _text(
        "Treat every line as a text, a tab and its label; learn to predict the label.", "--labels"
    ),
]
TagsOption = Annotated[
    bool,
    _text(
        "Treat every line as a token, a tab and its tag, with an empty line between sentences; "
        "learn to predict the tags.",
        "--tags",
    ),
]
ColumnsOption = Annotated[
    str | None,  # for Typer, to which a tuple is several words; the parser returns one
    _text(
        "Numbers of the columns with source and target (text and label, token and tag), such as "
        "2,4 for CoNLL-U. A third number is that of the features of a source, set apart by ;.",
        parser=parse_columns,
        metavar="NUMBERS",
        show_default="1,2; pairs with three columns: 1,2,3",
    ),
]
SeparatorOption = Annotated[
    str | None,
    _text(
        "With --pairs: what stands between the symbols of a target, such as ' '. Each symbol is "
        "one token. '' makes each character one.",
        metavar="TEXT",
        show_default="a space, if targets consist of few, short symbols between spaces",
    ),
]
DocumentSeparatorOption = Annotated[
    str | None,
    _text(
        "Text that separates two documents in a file; it belongs to none of them. "
        f"{ESCAPES_HELP} A \\n stands for any line end.",
        parser=unescaped,
        metavar="TEXT",
    ),
]
MaskOption = Annotated[
    str | None,
    _text(
        "Regular expression for parts of lines that do not matter, such as numbers and time "
        "stamps. The model reads one □ for each match, here and in every text that it scores.",
        metavar="REGEX",
    ),
]
TokenizerOption = Annotated[
    TokenizerKind,
    _text(
        "Kind of tokens: characters, UTF-8 bytes, words, or subwords from byte-pair encoding (bpe) "
        "or the unigram model."
    ),
]
VocabSizeOption = Annotated[
    int | None,
    _text(
        "Largest number of words or subwords in the vocabulary; other text is encoded as bytes.",
        show_default=f"{DEFAULT_WORDS:,} words; subwords: square root of the text's length, or "
        "more for a text of many characters",
    ),
]
FromOption = Annotated[
    Path | None,
    _model(
        "Start from this model's weights and train on another text. Size, tokenizer and task "
        "(such as --lines) are the model's.",
        "--from",
        metavar="MODEL",
    ),
]
CellOption = Annotated[Cell, _model("Recurrent cell: LSTM, GRU or simple RNN.")]
NonlinearityOption = Annotated[Nonlinearity, _model("Activation function of --cell rnn.")]
HiddenSizeOption = Annotated[
    int | None,
    _model(
        "Units per layer.",
        show_default=f"{SMALLEST_FITTED_SIZE} to {ModelConfig.hidden_size}: more for a longer run",
    ),
]
NumLayersOption = Annotated[
    int | None,
    _model(
        "Number of recurrent layers.",
        show_default=f"{ModelConfig.num_layers}; with an encoder {ENCODER_NUM_LAYERS}",
    ),
]
AttentionOption = Annotated[
    bool | None,
    _model(
        "With --pairs: let each step of the answer look at all of the source, which an encoder "
        "reads both ways. Without attention the encoder's last state alone is passed on.",
        "--attention/--no-attention",
        show_default="attention",
    ),
]
ResidualOption = Annotated[
    bool, _model("Add each layer's input to its output, from the second layer on.", "--residual")
]
DirectionOption = Annotated[
    Direction,
    _model(
        "Read texts from the beginning, from the end, or both with one network for each. "
        "`generate --ending` needs backward or both."
    ),
]
NgramOrderOption = Annotated[
    int | None,
    _model(
        "Tokens before a position whose counts predict beside the network: 0 (single tokens "
        "alone) to 12.",
        show_default="at most 8; 4 for words and subwords; the counts take 6 MB, or the size of a "
        "larger network",
    ),
]
EmbeddingSizeOption = Annotated[
    int | None,
    _model(
        "Size of the vector for each input token.",
        show_default=f"{ModelConfig.embedding_size}; words, subwords: {LARGE_EMBEDDING_SIZE}",
    ),
]
EmbeddingsOption = Annotated[
    Path | None,
    _model(
        "Start from the word vectors in this text file, in the format of word2vec or GloVe. They "
        "set the embedding size.",
        metavar="FILE",
    ),
]
TieWeightsOption = Annotated[
    bool | None,
    _model(
        "Use one matrix as embedding and output matrix.",
        "--tie-weights/--no-tie-weights",
        show_default="tied for words and subwords",
    ),
]
InitialisationOption = Annotated[
    Initialisation | None,
    _model(
        "Initial recurrent matrices; uniform is within ±1/√(hidden size).",
        show_default="identity for ReLU, else orthogonal",
    ),
]
ForgetBiasOption = Annotated[
    float | None,
    _model(
        "Initial biases of an LSTM's forget gates.", show_default=f"{TrainingConfig.forget_bias:g}"
    ),
]
BatchSizeOption = Annotated[int, _training("Number of text streams that a step reads in parallel.")]
BpttLengthOption = Annotated[
    int | None,
    _training(
        "Tokens per stream and step; gradients reach back no further.",
        show_default=f"{DEFAULT_BPTT_LENGTH}; {SHORT_BPTT_LENGTH} for words and in a short run",
    ),
]
OptimizerOption = Annotated[OptimizerName, _training("Optimizer that updates the weights.")]
LearningRateOption = Annotated[
    float | None,
    _training(
        "Peak learning rate, after warm-up. With adamw an untied output matrix gets twice that.",
        show_default=f"{_rates}; a quarter for --cell rnn with tanh; with adamw and adam less for "
        f"fewer than {TrainingConfig.batch_size} streams",
    ),
]
WeightDecayOption = Annotated[
    float | None,
    _training(
        "Weight decay on matrices: decoupled with adamw, an L2 penalty with the others; 0 is off.",
        show_default=f"{_decays}, others 0",
    ),
]
MomentumOption = Annotated[float, _training("Momentum of --optimizer sgd: 0 or more, below 1.")]
MaxGradientNormOption = Annotated[
    float, _training("Scale gradients of a larger norm down to this norm.")
]
DropoutOption = Annotated[
    float | None,
    _training(
        "Share of units that training sets to zero at random: 0 (off) or more, below 1.",
        show_default=f"by epochs × recurrent weights / training tokens: {_dropouts}",
    ),
]
ValidationFractionOption = Annotated[
    float | None,
    _training(
        "Share of the text to hold out for validation, between 0 and 1.",
        show_default=f"{CorpusConfig.validation_fraction:g}; of pairs, labels and tags "
        f"{DEFAULT_HELD_OUT_EXAMPLES:g}; at most {CorpusConfig.max_validation_characters:,} "
        "characters",
    ),
]
ValidationFromOption = Annotated[
    HeldOut | None,
    _training(
        "Hold out the end, or lines and pairs spread over the text. Choose the end for lines in "
        "order of time, such as a log.",
        show_default="spread for lines and pairs",
    ),
]
ValidationOption = Annotated[
    str | None, _training("Validate on this text, and train on all of CORPUS.", metavar="FILE")
]
PrecisionOption = Annotated[
    Precision, _machine("Matrix products in float32 or bfloat16; auto takes the faster.")
]
DeviceOption = Annotated[Device, _machine("Where to train; auto takes a GPU if there is one.")]
ThreadsOption = Annotated[
    int | None, _machine("CPU threads of each process.", show_default="one per core")
]
RngSeedOption = Annotated[int, _machine("Seed of all random numbers: 0 or a larger whole number.")]
MetricsOption = Annotated[
    Path | None,
    _machine(
        "Append progress and scores to this file, one JSON object per line, with the name of the "
        "model as `run`.",
        metavar="FILE",
    ),
]
QuietOption = Annotated[bool, _machine("Print nothing but errors.", "--quiet", "-q")]
