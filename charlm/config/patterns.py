"""Regular expressions of a user or of a model file. A search that takes too long is an error."""

import math
import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from charlm.errors import ConfigError

if TYPE_CHECKING:
    import regex

MOST_SECONDS = 1.0  # for one search; a thousand characters take a millisecond
CHARACTERS_PER_SECOND = 50_000  # of replacements, at least; they take a millisecond, too
SHORTEST_SEARCH = 1e-3  # seconds
# Bounds of a pattern that a model file may hold. Counts such as {9} multiply the memory it takes.
LONGEST_PATTERN = 1000  # characters
MOST_REPEATS = 100_000  # product of all counts
COUNTS = re.compile(r"\{[0-9]*(?:,[0-9]*)?\}")
RECURSION = re.compile(r"\(\?(?:R|&|P>|[-+]?\d)")
TOO_SLOW_HINT = "write it without one repetition inside another, as in (a+)+"


class UserPattern:
    """A regular expression that ends in time."""

    def __init__(self, option: str, pattern: str) -> None:
        """Compile `pattern`, which `option` gave."""
        import regex  # only here, because most commands need none

        self._option, self._pattern = option, regex.compile(pattern)

    def is_in(self, text: str) -> bool:
        """Return whether the pattern matches somewhere in `text`.

        Raises:
            ConfigError: If the search takes more than MOST_SECONDS.
        """
        return self._search(text) is not None

    def field(self, text: str) -> str | None:
        """Return the first match in `text`, or its first group if there is one; else None.

        Raises:
            ConfigError: If the search takes more than MOST_SECONDS.
        """
        match = self._search(text)
        if match is None:
            return None
        found: str | None = match.group(1 if self._pattern.groups else 0)
        return found

    def _search(self, text: str) -> "regex.Match[str] | None":
        try:
            return self._pattern.search(text, timeout=MOST_SECONDS)
        except TimeoutError:
            raise ConfigError(
                f"a search for {self._option} takes more than {MOST_SECONDS:g} second",
                hint=TOO_SLOW_HINT,
            ) from None

    def spans(self, lines: Iterable[str]) -> Iterator[list[tuple[int, int]]]:
        """Yield where the pattern matches in each line. Empty matches do not count.

        Raises:
            ConfigError: If lines take more than MOST_SECONDS and the time for their length.
        """
        seconds = MOST_SECONDS
        for line in lines:
            seconds += len(line) / CHARACTERS_PER_SECOND
            start = time.monotonic()
            try:
                matches = list(self._pattern.finditer(line, timeout=max(seconds, SHORTEST_SEARCH)))
            except TimeoutError:
                raise ConfigError(
                    f"a line takes too long with {self._option}", hint=TOO_SLOW_HINT
                ) from None
            seconds -= time.monotonic() - start
            yield [match.span() for match in matches if match.group()]


def user_pattern(option: str, pattern: str) -> UserPattern:
    """Return the pattern of an option.

    Raises:
        ConfigError: If it is no regular expression.
    """
    require_pattern(option.removeprefix("--"), pattern)
    return UserPattern(option, pattern)


def require_bounded_pattern(name: str, pattern: object) -> None:
    """Raise ConfigError unless `pattern` is a regular expression whose size is bounded."""
    if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN:
        raise ConfigError(f"{name} must be a text of at most {LONGEST_PATTERN:,} characters")
    counts = [[1, *map(int, re.findall("[0-9]{1,9}", span))] for span in COUNTS.findall(pattern)]
    if math.prod(float(max(numbers)) for numbers in counts) > MOST_REPEATS:
        raise ConfigError(f"the counts in {name} repeat too much: more than {MOST_REPEATS:,} times")
    if RECURSION.search(pattern):
        raise ConfigError(f"{name} must not call itself")
    require_pattern(name, pattern)


def require_pattern(name: str, pattern: str | None) -> None:
    """Raise ConfigError unless `pattern` is None or a regular expression."""
    if pattern is None:
        return
    import regex

    try:
        regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{name} is not a valid regular expression: {error}") from None
