"""How a text is spoken: what is drawn, and where it stops."""

import re
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from charlm.config.checks import LARGEST_SIZE, require, require_whole
from charlm.errors import ConfigError

DEFAULT_LENGTH = 500  # characters
MOST_CANDIDATES = 10_000  # of which one is kept
LENGTH_BESIDE_OTHERS = 100_000  # characters, where something else is to stop a text


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the next token is drawn.

    What the text may not say falls away first, and what it has said lately is made less likely.
    Then the logits are divided by the temperature, and top-k, top-p, min-p and typical-p, in this
    order, each cut off a part of what the one before has left.
    """

    temperature: float = 0.8  # 0 takes the likeliest token
    top_k: int = 0  # 0 is off
    top_p: float = 1.0  # 1 is off
    min_p: float = 0.0  # 0 is off
    typical_p: float = 1.0  # 1 is off
    repetition_penalty: float = 1.0  # 1 is off
    repetition_window: int = 64  # tokens
    no_repeat_ngram: int = 0  # tokens; 0 is off
    allow_chars: str | None = None  # None allows all
    forbid_chars: str = ""
    max_width: int | None = None  # characters of a line; None is off

    def __post_init__(self) -> None:
        require("temperature", self.temperature, at_least=0)
        require_whole("top-k", self.top_k, 0)
        require("top-p", self.top_p, above=0, at_most=1)
        require("min-p", self.min_p, at_least=0, at_most=1)
        require("typical-p", self.typical_p, above=0, at_most=1)
        require("repetition-penalty", self.repetition_penalty, above=0)
        require_whole("repetition-window", self.repetition_window, 1, LARGEST_SIZE)
        require_whole("no-repeat-ngram", self.no_repeat_ngram, 0, LARGEST_SIZE)
        if self.max_width is not None:
            require_whole("max-width", self.max_width, 1)
        if self.allow_chars is not None and not set(self.allow_chars) - set(self.forbid_chars):
            raise ConfigError("no character is allowed")

    @property
    def restricts(self) -> bool:
        """Whether there is anything that a text may not say."""
        return self.allow_chars is not None or self.max_width is not None or bool(self.forbid_chars)

    @property
    def cuts_off(self) -> bool:
        """Whether a part of the distribution is cut off."""
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0 or self.typical_p < 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a text stops: at whatever comes first."""

    length: int | None = DEFAULT_LENGTH  # characters; None goes on for ever
    words: int | None = None
    lines: int | None = None
    sentences: int | None = None
    stop: tuple[str, ...] = ()  # texts that are not said any more
    keep_stop: bool = False  # but are
    until: str | None = None  # a regular expression, said to its end

    def __post_init__(self) -> None:
        if self.length is not None:
            require_whole("length", self.length, 0)
        for name in ("words", "lines", "sentences"):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name), 1)
        if "" in self.stop:
            raise ConfigError("stop must not be empty")
        require_pattern("until", self.until)

    @property
    def is_length_alone(self) -> bool:
        """Whether nothing but the length stops a text."""
        others = self.words, self.lines, self.sentences, self.until
        return not self.stop and all(each is None for each in others)


@dataclass(frozen=True, kw_only=True)
class CandidateFilter:
    """Which texts are kept of those that are made."""

    count: int = 1  # for each seed text
    best_of: int = 1  # of so many, the one that is likeliest a token
    match: str | None = None  # a regular expression that is found in the text
    unique: bool = False  # no text twice
    novel: bool = False  # none that stands in the training text
    tries: int = 100  # for each text

    def __post_init__(self) -> None:
        require_whole("count", self.count, 1)
        require_whole("best-of", self.best_of, 1, MOST_CANDIDATES)
        require_whole("tries", self.tries, 1)
        require_pattern("match", self.match)


class Speech(TypedDict, total=False):
    """The settings of `SamplingConfig` and `Limits`, as arguments by name."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    repetition_window: int
    no_repeat_ngram: int
    allow_chars: str | None
    forbid_chars: str
    max_width: int | None
    length: int | None
    words: int | None
    lines: int | None
    sentences: int | None
    stop: tuple[str, ...]
    keep_stop: bool
    until: str | None


def configs_of(speech: Speech) -> tuple[SamplingConfig, Limits]:
    """Return the configs of which these are settings; without a length other limits suffice.

    Raises:
        ConfigError: If a setting is out of its range.
        TypeError: If there is no such setting.
    """
    settings: dict[str, Any] = dict(speech)
    limits = {each.name: settings.pop(each.name) for each in fields(Limits) if each.name in speech}
    found = Limits(**limits)
    if "length" not in limits and not found.is_length_alone:
        found = Limits(**limits, length=LENGTH_BESIDE_OTHERS)
    return SamplingConfig(**settings), found


def require_pattern(name: str, pattern: str | None) -> None:
    """Raise ConfigError unless `pattern` is None or a regular expression."""
    try:
        re.compile(pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{name} is no regular expression: {error}") from None
