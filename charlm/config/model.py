"""The network: its size, cell, direction and task."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from charlm.cells import CELLS, Cell
from charlm.config.checks import LARGEST_SIZE, require_choice, require_whole
from charlm.config.corpus import (
    CLASS_TASKS,
    LARGE_VOCABULARIES,
    Columns,
    Task,
    TokenizerKind,
    check_columns,
)
from charlm.config.patterns import require_bounded_pattern
from charlm.errors import ConfigError
from charlm.formatting import count

Nonlinearity = Literal["tanh", "relu"]
SingleDirection = Literal["forward", "backward"]
Direction = Literal["forward", "backward", "both"]
Encoder = Literal["none", "context", "attention"]

LARGE_EMBEDDING_SIZE = 256  # of words and subwords
# Of a network with an encoder.
ENCODER_EMBEDDING_SIZE, ENCODER_HIDDEN_SIZE, ENCODER_NUM_LAYERS = 128, 256, 2
SMALLEST_FITTED_SIZE = 256  # units; the plan chooses no fewer for a short run
LARGEST_NUM_LAYERS = 64
LONGEST_BEGINNING = 8  # characters
FORMER_NAMES = {"form": "task"}  # charlm 0.1.0 wrote "form" for "task"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network's size, and what it is trained for; stored in every checkpoint.

    With `tie_weights` the output matrix is the embedding (Press & Wolf 2017,
    https://arxiv.org/abs/1608.05859), after a projection if their sizes differ.
    """

    embedding_size: int = 64
    hidden_size: int = 512  # units per layer
    num_layers: int = 1
    cell: Cell = "lstm"
    nonlinearity: Nonlinearity = "tanh"  # of the simple RNN alone
    residual: bool = False  # adds a layer's input to its output, from the second layer on
    # A backward network reads a text from its end. "both" is two networks with one embedding.
    direction: Direction = "forward"
    tie_weights: bool = False
    task: Task = "text"
    # What reads the source of a pair. "none": the network that writes the target. "attention": a
    # bidirectional encoder, to whose states the network attends at each step. "context": the same
    # encoder, whose last states are the first of the network.
    encoder: Encoder = "none"
    num_classes: int = 0  # labels or tags
    columns: Columns | None = None  # as in `CorpusConfig`; None stands for the first two
    document_separator: str | None = None
    # A running text begins after this, such as an empty line. "" stands for no such place: a text
    # begins where a document begins if ends are predicted, and else anywhere.
    begins_after: str = ""
    predicts_end: bool = False  # of a running text, which is one of several documents
    mask: str | None = None  # a regular expression; what it matches in a line is read as one mark

    def __post_init__(self) -> None:
        require_whole("embedding-size", self.embedding_size, 1, LARGEST_SIZE)
        require_whole("hidden-size", self.hidden_size, 1, LARGEST_SIZE)
        require_whole("num-layers", self.num_layers, 1, LARGEST_NUM_LAYERS)
        require_choice("cell", self.cell, tuple(CELLS))
        require_choice("nonlinearity", self.nonlinearity, get_args(Nonlinearity))
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise ConfigError(f"nonlinearity is for --cell rnn, not for {self.cell}")
        require_choice("residual", self.residual, (False, True))
        if self.residual and self.is_of_classes:
            raise ConfigError(f"residual connections are not for {self.task}")
        if self.residual and self.num_layers == 1:
            raise ConfigError("residual connections are between layers; there is one layer")
        require_choice("direction", self.direction, get_args(Direction))
        require_choice("tie-weights", self.tie_weights, (False, True))
        require_choice("task", self.task, get_args(Task))
        require_choice("encoder", self.encoder, get_args(Encoder))
        if self.encoder != "none" and self.task != "pairs":
            raise ConfigError(f"an encoder is for pairs, not for {self.task}")
        parts = 4 if self.task == "tags" else 2
        if self.has_encoder and self.hidden_size % parts:
            raise ConfigError(
                f"hidden-size must be a multiple of {parts}, got {self.hidden_size}: an encoder "
                "reads both ways, with half of the units each"
            )
        require_whole("num-classes", self.num_classes, 0, LARGEST_SIZE)
        check_columns(self.columns, self.task)
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))  # JSON has lists
        if self.is_of_classes and (self.direction != "forward" or self.tie_weights):
            raise ConfigError(f"{self.task} are read both ways, and have an output of their own")
        if self.task == "pairs" and self.direction != "forward":
            raise ConfigError(
                f"pairs are read forward, not {self.direction}",
                hint="to predict sources from targets, swap the columns",
            )
        if not isinstance(self.document_separator, str | None):
            raise ConfigError("document-separator must be a text")
        if self.document_separator == "":
            raise ConfigError("document-separator must not be empty")
        if not isinstance(self.begins_after, str) or len(self.begins_after) > LONGEST_BEGINNING:
            raise ConfigError(f"begins-after must be at most {LONGEST_BEGINNING} characters")
        require_choice("predicts-end", self.predicts_end, (False, True))
        if self.task != "text" and (self.begins_after or self.predicts_end):
            raise ConfigError("begins-after and predicts-end are for running text")
        if self.mask is not None:
            self._check_mask(self.mask)

    def _check_mask(self, mask: object) -> None:
        require_bounded_pattern("mask", mask)
        if self.task != "lines":
            raise ConfigError("a mask is for lines", hint="add --lines, or leave out --mask")

    @classmethod
    def for_tokenizer(
        cls,
        kind: TokenizerKind,
        *,
        embedding_size: int | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        tie_weights: bool | None = None,
        encoder: Encoder = "none",
        **settings: Any,
    ) -> "ModelConfig":
        """Return a config whose defaults suit a tokenizer, and an encoder if there is one.

        A large vocabulary needs a larger embedding, and a second matrix of that size costs more.
        """
        is_large = kind in LARGE_VOCABULARIES
        has_encoder = encoder != "none"  # and a decoder: labels and tags take one larger layer
        if embedding_size is None:
            smaller = ENCODER_EMBEDDING_SIZE if has_encoder else cls.embedding_size
            embedding_size = LARGE_EMBEDDING_SIZE if is_large else smaller
        if hidden_size is None:
            hidden_size = ENCODER_HIDDEN_SIZE if has_encoder else cls.hidden_size
        if num_layers is None:
            num_layers = ENCODER_NUM_LAYERS if has_encoder else cls.num_layers
        if tie_weights is None:
            has_classes = settings.get("task") in CLASS_TASKS  # as outputs, which are not read
            tie_weights = not has_classes and (is_large or encoder == "attention")
        return cls(
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            tie_weights=tie_weights,
            encoder=encoder,
            **settings,
        )

    @property
    def network(self) -> str:
        """The network as textbooks name it: "LSTM, 1 layer of 512 units"."""
        name = "simple RNN" if self.cell == "rnn" else self.cell.upper()
        nonlinearity = f" with {self.nonlinearity}" if self.cell == "rnn" else ""
        directions = {"backward": " that reads backward", "both": " for each direction"}
        encoder = {"attention": " with attention", "context": " with a context vector"}
        return (
            f"{'encoder and decoder of ' if self.encoder != 'none' else ''}"
            f"{'residual ' if self.residual else ''}{name}{nonlinearity}"
            f"{' that reads both ways' if self.is_of_classes else ''}"
            f"{directions.get(self.direction, '')}, "
            f"{count(self.num_layers, 'layer')} of {count(self.hidden_size, 'unit')}"
            f"{encoder.get(self.encoder, '')}"
        )

    @property
    def is_of_classes(self) -> bool:
        """Whether the model predicts labels or tags."""
        return self.task in CLASS_TASKS

    @property
    def has_encoder(self) -> bool:
        """Whether a bidirectional encoder reads sources, or texts with labels or tags."""
        return self.encoder != "none" or self.is_of_classes

    @property
    def has_features(self) -> bool:
        """Whether the sources of pairs have features."""
        return self.columns is not None and len(self.columns) > 2

    @property
    def copies(self) -> bool:
        """Whether attention also raises the logits of the tokens that it looks at."""
        return self.encoder == "attention" and self.tie_weights

    @property
    def encoder_size(self) -> int:
        """Units of each direction of the encoder: both side by side are as wide as a layer."""
        return self.hidden_size // 2

    @property
    def character_size(self) -> int:
        """Units of each direction of the network that reads the characters of a token."""
        return self.hidden_size // 4

    @property
    def directions(self) -> tuple[SingleDirection, ...]:
        """The direction of each network, forward first."""
        return ("forward", "backward") if self.direction == "both" else (self.direction,)

    def require_direction(self, direction: Direction, purpose: str) -> None:
        """Raise ConfigError if the model lacks a direction, or one of both."""
        if self.direction in (direction, "both"):
            return
        other = "" if direction == "both" else f"--direction {direction} or "
        raise ConfigError(
            f"{purpose} needs a model of direction {direction} or both; this one is "
            f"{self.direction}",
            hint=None if self.task == "pairs" else f"train one with {other}--direction both",
        )

    @property
    def predicts_boundary(self) -> bool:
        """Whether the network predicts the end of an example, as one more token."""
        return self.task != "text" or self.predicts_end

    @property
    def is_of_documents(self) -> bool:
        """Whether running text is documents, which begin and end by themselves."""
        return self.predicts_end and not self.begins_after

    @property
    def begins_anywhere(self) -> bool:
        """Whether running text has no place where texts begin, so that one may begin anywhere."""
        return self.task == "text" and not self.begins_after and not self.predicts_end

    def outputs(self, vocab_size: int) -> int:
        """Return the number of outputs: the classes, or the vocabulary and a predicted boundary."""
        if self.is_of_classes:
            return self.num_classes
        return vocab_size + self.predicts_boundary

    @classmethod
    def from_json(cls, value: object) -> "ModelConfig":
        """Return the config that `to_json` wrote, trusting nothing in `value`.

        Raises:
            ConfigError: If a key is unknown or a value out of range. A missing key takes its
                default: the file is older than the setting.
        """
        names = set(cls.__dataclass_fields__)
        if isinstance(value, dict) and "task" not in value:
            value = {FORMER_NAMES.get(name, name): setting for name, setting in value.items()}
        if not isinstance(value, dict) or not {"hidden_size"} <= set(value) <= names:
            raise ConfigError(f"a model config must hold: {', '.join(sorted(names))}")
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return the config as a JSON object."""
        return asdict(self)
