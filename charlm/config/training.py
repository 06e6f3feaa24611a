"""How a network is trained."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from charlm.cells import CELLS
from charlm.config.checks import LARGEST_SIZE, LONGEST_TIME, require, require_choice, require_whole
from charlm.config.corpus import TokenizerKind
from charlm.config.model import ModelConfig
from charlm.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
OptimizerName = Literal["adamw", "adam", "sgd", "rmsprop"]
Initialisation = Literal["orthogonal", "identity", "uniform"]

MOST_STEPS = 1 << 40
LARGEST_NUMBER = 1e38  # float32 holds it, and twice as much
LARGEST_NGRAM_ORDER = 12  # tokens
DEFAULT_MAX_TIME = 300.0  # seconds
DEFAULT_SAVE_EVERY = 60.0  # seconds
DEFAULT_BPTT_LENGTH = 64  # tokens
SHORT_BPTT_LENGTH = 32  # for words, and for short runs

DEFAULT_LEARNING_RATE: dict[OptimizerName, float] = {
    "adamw": 1.5e-2,
    "adam": 1.5e-2,
    "sgd": 2.0,
    "rmsprop": 5e-3,
}

DEFAULT_WEIGHT_DECAY: dict[OptimizerName, float] = {
    "adamw": 0.1,  # decoupled; the others add it to the gradient, where it harms
    "adam": 0.0,
    "sgd": 0.0,
    "rmsprop": 0.0,
}

# The default dropout by epochs × recurrent weights / training tokens, from each key on: how many
# recurrent weights each token has to train. A text that is read once or twice is not overfitted,
# and dropout costs: a minute of Tang poems (0.8) comes to 4.632 without, to 4.721 with 0.2. Five
# minutes of tiny shakespeare (12) come to 1.388 with 0.2, to 1.405 with 0.3; a minute of the ferry
# tales (60) is best with 0.3, of the mountain inn (600) with 0.5.
DEFAULT_DROPOUT = {0: 0.0, 4: 0.2, 30: 0.3, 300: 0.5}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a network is trained; stored in every checkpoint's provenance."""

    # Parallel streams. In the same time 32 of them, at a learning rate of 0.015, score some 0.01
    # nats better than 16, and 0.008 on English; small Chinese texts did not gain.
    batch_size: int = 32
    bptt_length: int | None = None  # tokens; None lets the plan choose
    optimizer: OptimizerName = "adamw"
    learning_rate: float | None = None  # peak; None lets the plan choose
    weight_decay: float | None = None  # on matrices only; None takes the optimizer's default
    momentum: float = 0.9  # of SGD
    max_gradient_norm: float = 1.0
    # Of the recurrent matrices; None takes the identity for ReLU, else orthogonal matrices.
    initialisation: Initialisation | None = None
    forget_bias: float = 1.0  # initial, of an LSTM
    # After the embedding, between layers and before the output; None lets the plan choose.
    dropout: float | None = None
    max_time: float | None = None  # seconds of training, validation included
    max_epochs: float | None = None
    max_steps: int | None = None
    precision: Precision = "auto"
    device: Device = "auto"
    threads: int | None = None  # None lets torch choose
    # Tokens before a position whose n-grams are counted; 0 counts single tokens alone, and None
    # lets the text decide.
    ngram_order: int | None = None
    rng_seed: int = 0

    def __post_init__(self) -> None:
        require_whole("batch-size", self.batch_size, 1, LARGEST_SIZE)
        if self.bptt_length is not None:
            require_whole("bptt-length", self.bptt_length, 1, LARGEST_SIZE)
        require_choice("optimizer", self.optimizer, tuple(DEFAULT_LEARNING_RATE))
        require_choice("precision", self.precision, ("auto", "fp32", "bf16"))
        require_choice("device", self.device, ("auto", "cpu", "cuda", "mps"))
        require("learning-rate", self.learning_rate, above=0)
        require("weight-decay", self.weight_decay, at_least=0)
        require("momentum", self.momentum, at_least=0, below=1)
        require("max-gradient-norm", self.max_gradient_norm, above=0)
        if self.initialisation is not None:
            require_choice("initialisation", self.initialisation, get_args(Initialisation))
        require("forget-bias", self.forget_bias, at_least=-100, at_most=100)
        require("dropout", self.dropout, at_least=0, below=1)
        require("max-time", self.max_time, above=0)
        require("max-epochs", self.max_epochs, above=0)
        # Larger numbers would overflow.
        require("learning-rate", self.learning_rate, at_most=LARGEST_NUMBER)
        require("weight-decay", self.weight_decay, at_most=LARGEST_NUMBER)
        require("max-gradient-norm", self.max_gradient_norm, at_most=LARGEST_NUMBER)
        require("max-time", self.max_time, at_most=LONGEST_TIME)
        require("max-epochs", self.max_epochs, at_most=MOST_STEPS)
        if self.max_steps is not None:
            require_whole("max-steps", self.max_steps, 1, MOST_STEPS)
        if self.threads is not None:
            require_whole("threads", self.threads, 1, 1 << 12)
        if self.ngram_order is not None:
            require_whole("ngram-order", self.ngram_order, 0, LARGEST_NGRAM_ORDER)
        require_whole("rng-seed", self.rng_seed, 0, (1 << 63) - 1)

    @classmethod
    def for_model(
        cls,
        model: ModelConfig,
        tokenizer: TokenizerKind,
        *,
        bptt_length: int | None = None,
        forget_bias: float | None = None,
        **settings: Any,
    ) -> "TrainingConfig":
        """Return a config whose defaults suit a network and its tokenizer.

        Raises:
            ConfigError: If a setting does not apply to the network.
        """
        if bptt_length is None and tokenizer == "word":
            # After a minute of tiny shakespeare: 2.12 bits per character; with 64 tokens 2.17.
            bptt_length = SHORT_BPTT_LENGTH
        if forget_bias is None:
            forget_bias = cls.forget_bias
        elif "forget" not in CELLS[model.cell].gates:
            raise ConfigError(f"forget-bias needs --cell lstm, got {model.cell}")
        return cls(bptt_length=bptt_length, forget_bias=forget_bias, **settings)

    @property
    def window_length(self) -> int:
        """Tokens of each stream in one step: bptt_length, or its default."""
        return self.bptt_length or DEFAULT_BPTT_LENGTH

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up: learning_rate, or the optimizer's default."""
        if self.learning_rate is not None:
            return self.learning_rate
        return DEFAULT_LEARNING_RATE[self.optimizer]

    @property
    def matrix_decay(self) -> float:
        """The weight decay on matrices: weight_decay, or the optimizer's default."""
        if self.weight_decay is not None:
            return self.weight_decay
        return DEFAULT_WEIGHT_DECAY[self.optimizer]

    def to_json(self) -> dict[str, Any]:
        """Return the config as a JSON object, with the optimizer's defaults filled in."""
        chosen = {"learning_rate": self.peak_learning_rate, "weight_decay": self.matrix_decay}
        return {**asdict(self), **chosen}
