"""Every setting and its default: frozen, validated dataclasses that need neither torch nor NumPy.

A default stands here and nowhere else; the commands' flags and help read it from these classes.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from charlm.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
OptimizerName = Literal["adamw", "adam", "sgd", "rmsprop"]
TokenizerKind = Literal["char", "byte", "word", "bpe", "unigram"]

Form = Literal["text", "lines", "pairs"]
Cell = Literal["lstm", "gru", "rnn"]
Nonlinearity = Literal["tanh", "relu"]
OneWay = Literal["forward", "backward"]
Direction = Literal["forward", "backward", "both"]
Initialisation = Literal["orthogonal", "identity", "uniform"]

DEFAULT_MODEL_PATH = "model.safetensors"
DEFAULT_MAX_TIME = 300.0  # seconds
LARGE_VOCABULARIES: tuple[TokenizerKind, ...] = ("word", "bpe", "unigram")
DEFAULT_WORDS = 20_000  # in a vocabulary of words, at most
DEFAULT_BPTT_LENGTH = 64  # tokens
SHORT_BPTT_LENGTH = 32  # of words, and of a run that has little time
LARGE_EMBEDDING_SIZE = 256  # of words and subwords
SMALLEST_FITTED_SIZE = 256  # units of a network that has little time
DEFAULT_LENGTH = 500  # characters

DEFAULT_LEARNING_RATE: dict[OptimizerName, float] = {
    "adamw": 1.5e-2,
    "adam": 1.5e-2,
    "sgd": 2.0,
    "rmsprop": 5e-3,
}

DEFAULT_WEIGHT_DECAY: dict[OptimizerName, float] = {
    "adamw": 0.1,  # apart from the gradient; the others add it to the gradient, where it harms
    "adam": 0.0,
    "sgd": 0.0,
    "rmsprop": 0.0,
}

# What a file may claim is bounded before anything is computed from it (law 8: a file is data).
LARGEST_SIZE = 1 << 20
LARGEST_NUM_LAYERS = 64


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """How texts become what is learnt from, and which part of them is held out."""

    tokenizer: TokenizerKind = "char"
    vocab_size: int | None = None  # words or subwords beside the bytes; None lets these choose
    # One running text; lines that are items of their own; or lines of a source, a tab and a target.
    form: Form = "text"
    document_separator: str | None = None  # stands between documents and is no part of them
    validation_fraction: float = 0.1
    max_validation_characters: int = 500_000

    def __post_init__(self) -> None:
        _require_choice("tokenizer", self.tokenizer, get_args(TokenizerKind))
        _require_choice("form", self.form, get_args(Form))
        _require("validation-fraction", self.validation_fraction, above=0, below=1)
        if self.vocab_size is not None:
            _require_whole("vocab-size", self.vocab_size, 1, LARGEST_SIZE)
            if self.tokenizer not in LARGE_VOCABULARIES:
                raise ConfigError(
                    f"vocab-size has no meaning for the {self.tokenizer} tokenizer",
                    hint=f"it is for --tokenizer {', '.join(LARGE_VOCABULARIES)}",
                )
        if self.document_separator == "":
            raise ConfigError("document-separator must not be empty")
        if self.document_separator is not None and self.form != "text":
            raise ConfigError(f"document-separator is for running text, not for {self.form}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network's size, and what its ids stand for; stored in every checkpoint.

    With `tie_weights` the output matrix is the embedding (Press & Wolf 2017,
    https://arxiv.org/abs/1608.05859), behind a projection where their sizes differ.
    """

    embedding_size: int = 64
    hidden_size: int = 512  # units per layer
    num_layers: int = 1
    cell: Cell = "lstm"
    nonlinearity: Nonlinearity = "tanh"  # of the simple RNN; the others have their own
    residual: bool = False  # a layer's output is added to its input, from the second layer on
    # Backward reads a text from its end; both are two networks with one embedding.
    direction: Direction = "forward"
    tie_weights: bool = False
    form: Form = "text"
    document_separator: str | None = None

    def __post_init__(self) -> None:
        _require_whole("embedding-size", self.embedding_size, 1, LARGEST_SIZE)
        _require_whole("hidden-size", self.hidden_size, 1, LARGEST_SIZE)
        _require_whole("num-layers", self.num_layers, 1, LARGEST_NUM_LAYERS)
        _require_choice("cell", self.cell, get_args(Cell))
        _require_choice("nonlinearity", self.nonlinearity, get_args(Nonlinearity))
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise ConfigError(f"nonlinearity is for --cell rnn, not for {self.cell}")
        _require_choice("residual", self.residual, (False, True))
        if self.residual and self.num_layers == 1:
            raise ConfigError("residual connections are between layers; there is one layer")
        _require_choice("direction", self.direction, get_args(Direction))
        _require_choice("tie-weights", self.tie_weights, (False, True))
        _require_choice("form", self.form, get_args(Form))
        if self.form == "pairs" and self.direction != "forward":
            raise ConfigError(
                f"pairs are read forward, not {self.direction}",
                hint="to learn the way from target to source, swap the columns",
            )
        if not isinstance(self.document_separator, str | None):
            raise ConfigError("document-separator must be a text")

    @classmethod
    def for_tokenizer(
        cls,
        kind: TokenizerKind,
        *,
        embedding_size: int | None = None,
        tie_weights: bool | None = None,
        **more: Any,
    ) -> "ModelConfig":
        """Return the config whose unnamed settings suit a tokenizer.

        The larger the vocabulary, the more the embedding has to tell apart, and the more a
        second matrix of its size costs.
        """
        is_large = kind in LARGE_VOCABULARIES
        if embedding_size is None:
            embedding_size = LARGE_EMBEDDING_SIZE if is_large else cls.embedding_size
        if tie_weights is None:
            tie_weights = is_large
        return cls(embedding_size=embedding_size, tie_weights=tie_weights, **more)

    @property
    def directions(self) -> tuple[OneWay, ...]:
        """The direction of each network."""
        return ("forward", "backward") if self.direction == "both" else (self.direction,)

    @property
    def predicts_boundary(self) -> bool:
        """Whether the end of an item is predicted, as one more token."""
        return self.form != "text"

    def outputs(self, vocab_size: int) -> int:
        """Return the number of tokens that are predicted."""
        return vocab_size + self.predicts_boundary

    @classmethod
    def from_json(cls, value: object) -> "ModelConfig":
        """Return the config that `to_json` wrote, trusting nothing in `value`.

        Raises:
            ConfigError: If a key is unknown or its value out of range. One that is not there
                has its default, which is what files meant that were written before it.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(value, dict) or not {"hidden_size"} <= set(value) <= names:
            raise ConfigError(f"a model config must hold: {', '.join(sorted(names))}")
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return the config as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a network is trained; stored in every checkpoint's provenance."""

    batch_size: int = 32  # parallel streams
    bptt_length: int | None = None  # tokens; None lets the plan choose
    optimizer: OptimizerName = "adamw"
    learning_rate: float | None = None  # peak; None lets the plan choose
    weight_decay: float | None = None  # on matrices only; None takes the optimizer's default
    momentum: float = 0.9  # of sgd
    max_gradient_norm: float = 1.0
    # Of recurrent matrices; None takes the identity for ReLU, else orthogonal ones.
    initialisation: Initialisation | None = None
    forget_bias: float = 1.0  # of an LSTM, at the start
    # On the embedding, between layers and before the output; None lets the plan choose.
    dropout: float | None = None
    max_time: float | None = None  # seconds of training, validation included
    max_epochs: float | None = None
    max_steps: int | None = None
    precision: Precision = "auto"
    device: Device = "auto"
    threads: int | None = None  # None leaves the choice to torch
    rng_seed: int = 0

    def __post_init__(self) -> None:
        _require_whole("batch-size", self.batch_size, 1, LARGEST_SIZE)
        if self.bptt_length is not None:
            _require_whole("bptt-length", self.bptt_length, 1, LARGEST_SIZE)
        _require_choice("optimizer", self.optimizer, tuple(DEFAULT_LEARNING_RATE))
        _require_choice("precision", self.precision, ("auto", "fp32", "bf16"))
        _require_choice("device", self.device, ("auto", "cpu", "cuda", "mps"))
        _require("learning-rate", self.learning_rate, above=0)
        _require("weight-decay", self.weight_decay, at_least=0)
        _require("momentum", self.momentum, at_least=0, below=1)
        _require("max-gradient-norm", self.max_gradient_norm, above=0)
        if self.initialisation is not None:
            _require_choice("initialisation", self.initialisation, get_args(Initialisation))
        _require("forget-bias", self.forget_bias, at_least=-100, at_most=100)
        _require("dropout", self.dropout, at_least=0, below=1)
        _require("max-time", self.max_time, above=0)
        _require("max-epochs", self.max_epochs, above=0)
        if self.max_steps is not None:
            _require_whole("max-steps", self.max_steps, 1, 1 << 40)
        if self.threads is not None:
            _require_whole("threads", self.threads, 1, 1 << 12)
        _require_whole("rng-seed", self.rng_seed, 0, (1 << 63) - 1)

    @classmethod
    def for_model(
        cls,
        model: ModelConfig,
        tokenizer: TokenizerKind,
        *,
        bptt_length: int | None = None,
        forget_bias: float | None = None,
        **more: Any,
    ) -> "TrainingConfig":
        """Return the config whose unnamed settings suit a network and its tokens.

        Raises:
            ConfigError: If a setting has no meaning for the network.
        """
        if bptt_length is None and tokenizer == "word":
            # In a minute of tiny shakespeare 2.12 bits per character; with 64 2.17.
            bptt_length = SHORT_BPTT_LENGTH
        if forget_bias is None:
            forget_bias = cls.forget_bias
        elif model.cell != "lstm":
            raise ConfigError(f"forget-bias is for --cell lstm, not for {model.cell}")
        return cls(bptt_length=bptt_length, forget_bias=forget_bias, **more)

    @property
    def window_length(self) -> int:
        """The tokens that a step reads of each stream: as given, or the default."""
        return self.bptt_length or DEFAULT_BPTT_LENGTH

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up: the given one, or the optimizer's default."""
        if self.learning_rate is not None:
            return self.learning_rate
        return DEFAULT_LEARNING_RATE[self.optimizer]

    @property
    def matrix_decay(self) -> float:
        """The weight decay on matrices: the given one, or the optimizer's default."""
        if self.weight_decay is not None:
            return self.weight_decay
        return DEFAULT_WEIGHT_DECAY[self.optimizer]

    def to_json(self) -> dict[str, Any]:
        """Return the config as a JSON object, with the optimizer's defaults filled in."""
        chosen = {"learning_rate": self.peak_learning_rate, "weight_decay": self.matrix_decay}
        return {**asdict(self), **chosen}


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the next token is drawn: logits ÷ temperature, then top-k, then top-p."""

    temperature: float = 0.8  # 0 takes the likeliest token
    top_k: int = 0  # 0 is off
    top_p: float = 1.0  # 1 is off

    def __post_init__(self) -> None:
        _require("temperature", self.temperature, at_least=0)
        _require_whole("top-k", self.top_k, 0, 1 << 40)
        _require("top-p", self.top_p, above=0, at_most=1)


def _require_whole(name: str, value: object, smallest: int, largest: int) -> None:
    if type(value) is not int or not smallest <= value <= largest:
        raise ConfigError(
            f"{name} must be a whole number from {smallest} to {largest}, got {value!r}"
        )


def _require_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")


def _require(
    name: str,
    value: float | None,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Raise ConfigError unless `value` is None or a finite number within the given bounds."""
    if value is None:
        return
    rules = [
        ("above", above, above is None or value > above),
        ("at least", at_least, at_least is None or value >= at_least),
        ("below", below, below is None or value < below),
        ("at most", at_most, at_most is None or value <= at_most),
    ]
    if not math.isfinite(value) or not all(holds for _, _, holds in rules):
        rule = " and ".join(f"{word} {bound:g}" for word, bound, _ in rules if bound is not None)
        finite = "" if math.isfinite(value) else "finite and "
        raise ConfigError(f"{name} must be {finite}{rule}, got {value:g}")
