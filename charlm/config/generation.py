"""How text is generated: how tokens are drawn, where a text stops, which texts are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from charlm.config.checks import LARGEST_SIZE, require, require_whole
from charlm.config.patterns import require_pattern
from charlm.errors import ConfigError

DEFAULT_LENGTH = 500  # characters
LENGTH_BESIDE_OTHERS = 100_000  # characters, if another criterion stops the text
LONGEST_WORD = 1000  # characters; a model that never ends one must not write 100,000
MOST_CANDIDATES = 10_000  # for one text
LARGEST_DISTANCE = 2  # edits; the lines three edits away are millions


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How tokens are drawn, and where a text stops: at the first criterion that holds.

    Forbidden tokens are excluded first, and repeated tokens are penalised. Then the logits are
    divided by the temperature. Then top-k, top-p, min-p and typical-p each filter, in this order,
    the tokens that the filter before it kept.
    """

    temperature: float = 0.8  # 0 takes the most probable token
    top_k: int = 0  # tokens; 0 is off
    top_p: float = 1.0  # 1 is off
    min_p: float = 0.0  # 0 is off
    typical_p: float = 1.0  # 1 is off
    repetition_penalty: float = 1.0  # 1 is off
    repetition_window: int = 64  # tokens
    no_repeat_ngram: int = 0  # tokens; 0 is off
    allow_chars: str | None = None  # None allows all
    forbid_chars: str = ""
    max_width: int | None = None  # characters of a line; None is off
    seed_weight: float = 0.1  # of the counts of a long seed text; 0 is off

    length: int | None = DEFAULT_LENGTH  # characters; None never stops
    words: int | None = None
    lines: int | None = None
    sentences: int | None = None
    stop: tuple[str, ...] = ()  # texts, not shown
    keep_stop: bool = False  # shows the stop text
    until: str | None = None  # regular expression; its match is shown

    def __post_init__(self) -> None:
        require("temperature", self.temperature, at_least=0)
        require_whole("top-k", self.top_k, 0)
        require("top-p", self.top_p, above=0, at_most=1)
        require("min-p", self.min_p, at_least=0, at_most=1)
        require("typical-p", self.typical_p, above=0, at_most=1)
        require("repetition-penalty", self.repetition_penalty, above=0)
        require_whole("repetition-window", self.repetition_window, 1, LARGEST_SIZE)
        require_whole("no-repeat-ngram", self.no_repeat_ngram, 0, LARGEST_SIZE)
        require("seed-weight", self.seed_weight, at_least=0, at_most=1)
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
            TypeError: If a setting does not exist.
        """
        config = cls(**settings)
        if "length" in settings or config.has_only_length:
            return config
        longest = LENGTH_BESIDE_OTHERS
        if config.words is not None:
            longest = min(longest, LONGEST_WORD * config.words)
        return replace(config, length=longest)

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
