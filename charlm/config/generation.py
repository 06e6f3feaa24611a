"""How text is generated: how tokens are drawn, where a text stops, which texts are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from charlm.config.checks import LARGEST_SIZE, require, require_field_types, require_whole
from charlm.config.model import ModelConfig
from charlm.config.patterns import require_pattern
from charlm.errors import ConfigError

DEFAULT_LENGTH = 500  # characters
LENGTH_BESIDE_OTHERS = 100_000  # characters, if another criterion stops the text
LONGEST_WORD = 1000  # characters; a model that never ends one must not write 100,000
MOST_CANDIDATES = 10_000  # for one text
LARGEST_BEAM = 10_000  # hypotheses
LARGEST_DISTANCE = 2  # edits; the lines three edits away are millions


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How tokens are drawn, and where a text stops: at the first criterion that holds.

    Forbidden tokens are excluded first, and repeated tokens are penalised. Then the logits are
    divided by the temperature. Then top-k, top-p, min-p and typical-p each filter, in this order,
    the tokens that the filter before it kept.

    Attributes:
        temperature: Number that divides the logits, 0 or more; 0 takes the most probable token.
            Of a model of pairs the default is 0.
        top_k: Number of most probable tokens that are kept; 0 is off.
        top_p: Probability that the fewest kept tokens reach together, above 0; 1 is off.
        min_p: Smallest probability that is kept, as a share of the largest, from 0 to 1; 0 is off.
        typical_p: Probability that the kept tokens reach together, those first whose surprisal is
            nearest to the expected one, above 0; 1 is off.
        repetition_penalty: Power to which the probabilities of recent tokens are raised; 1 is off.
        repetition_window: Number of tokens that are recent.
        no_repeat_ngram: Length in tokens of sequences that may not come twice; 0 is off.
        allow_chars: The characters that may be generated; None allows all.
        forbid_chars: Characters that may not be generated.
        max_width: Most characters of a line; None is off.
        seed_weight: Weight of the counts of a long seed text, from 0 to 1; 0 is off.
        beam: Number of hypotheses that the search for the likeliest answer to a source keeps at
            each step; 1 takes the most probable token (greedy search).
        length: Number of characters after which a text stops; None never stops. If another setting
            stops the text, or if it ends by itself as a document, the default is 100,000.
        words: Number of words after which a text stops; None is off.
        lines: Number of lines after which a text stops; None is off.
        sentences: Number of sentences after which a text stops; None is off.
        stop: Texts before which a text stops.
        keep_stop: Whether the text ends with the one that stopped it.
        until: Regular expression; a text stops after its first match. None is off.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    repetition_window: int = 64
    no_repeat_ngram: int = 0
    allow_chars: str | None = None
    forbid_chars: str = ""
    max_width: int | None = None
    seed_weight: float = 0.1
    beam: int = 1

    length: int | None = DEFAULT_LENGTH
    words: int | None = None
    lines: int | None = None
    sentences: int | None = None
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    until: str | None = None

    def __post_init__(self) -> None:
        require_field_types(self)
        require("temperature", self.temperature, at_least=0)
        require_whole("top-k", self.top_k, 0)
        require("top-p", self.top_p, above=0, at_most=1)
        require("min-p", self.min_p, at_least=0, at_most=1)
        require("typical-p", self.typical_p, above=0, at_most=1)
        require("repetition-penalty", self.repetition_penalty, above=0)
        require_whole("repetition-window", self.repetition_window, 1, LARGEST_SIZE)
        require_whole("no-repeat-ngram", self.no_repeat_ngram, 0, LARGEST_SIZE)
        require("seed-weight", self.seed_weight, at_least=0, at_most=1)
        require_whole("beam", self.beam, 1, LARGEST_BEAM)
        if self.max_width is not None:
            require_whole("max-width", self.max_width, 1)
        if self.allow_chars is not None and not set(self.allow_chars) - set(self.forbid_chars):
            raise ConfigError("no character is allowed")
        if self.length is not None:
            require_whole("length", self.length, 0)
        for name in ("words", "lines", "sentences"):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name), 1)
        if "" in self.stop:
            raise ConfigError("stop must not be empty")
        require_pattern("until", self.until)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "GenerationConfig":
        """Return the config with these settings, and with a long length if another criterion stops.

        Raises:
            ConfigError: If a setting is out of its range.
            TypeError: If a setting does not exist, or has another type.
        """
        config = cls(**settings)
        if "length" in settings or config.has_only_length:
            return config
        longest = LENGTH_BESIDE_OTHERS
        if config.words is not None:
            longest = min(longest, LONGEST_WORD * config.words)
        return replace(config, length=longest)

    @classmethod
    def for_model(cls, settings: Mapping[str, Any], model: ModelConfig) -> "GenerationConfig":
        """Return the config with these settings, as `from_settings`, and a model's own defaults."""
        if model.is_of_documents:
            settings = {"length": LENGTH_BESIDE_OTHERS, **settings}
        if model.task == "pairs":
            settings = {"temperature": 0.0, **settings}
        return cls.from_settings(settings)

    @property
    def has_constraints(self) -> bool:
        """Whether characters or the line width are constrained."""
        return self.allow_chars is not None or self.max_width is not None or bool(self.forbid_chars)

    @property
    def has_only_length(self) -> bool:
        """Whether the length is the only stopping criterion."""
        counts = (self.words, self.lines, self.sentences)
        return not self.stop and self.until is None and counts == (None, None, None)


@dataclass(frozen=True, kw_only=True)
class CandidateFilter:
    """How many texts are generated for a seed text, and which of the candidates are kept."""

    count: int = 1  # texts for each seed text
    best_of: int = 1  # candidates; the one with the highest probability per token is kept
    match: str | None = None  # regular expression that must match somewhere in the text
    unique: bool = False  # no text twice
    novel: bool = False  # no text from the training text
    min_distance: int = 0  # edits between a text and every line of the training text
    unique_by: str | None = None  # regular expression of a field that no two texts share
    novel_by: str | None = None  # regular expression of a field that is not among `known_fields`
    known_fields: frozenset[str] = frozenset()
    attempts: int = 100  # for each text

    def __post_init__(self) -> None:
        require_whole("count", self.count, 1)
        require_whole("best-of", self.best_of, 1, MOST_CANDIDATES)
        require_whole("attempts", self.attempts, 1)
        require_whole("min-distance", self.min_distance, 0, LARGEST_DISTANCE)
        require_pattern("match", self.match)
        require_pattern("unique-by", self.unique_by)
        require_pattern("novel-by", self.novel_by)

    @property
    def conditions(self) -> list[str]:
        """The options that may reject a text, as on a command line."""
        return [
            *([] if self.match is None else [f"--match {self.match!r}"]),
            *(["--unique"] if self.unique else []),
            *(["--novel"] if self.novel else []),
            *([f"--min-distance {self.min_distance}"] if self.min_distance else []),
            *([] if self.unique_by is None else [f"--unique-by {self.unique_by!r}"]),
            *([] if self.novel_by is None else [f"--novel-by {self.novel_by!r}"]),
        ]
