"""Regular expressions of a user or of a model file. A search that takes too long is an error."""

import time
from collections.abc import Iterable, Iterator

from charlm.errors import ConfigError

MOST_SECONDS = 1.0  # for one search; a thousand characters take a millisecond
CHARACTERS_PER_SECOND = 50_000  # of replacements, at least; they take a millisecond, too
SHORTEST_SEARCH = 1e-3  # seconds
LONGEST_PATTERN = 1000  # characters, of one in a model file
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
        try:
            return self._pattern.search(text, timeout=MOST_SECONDS) is not None
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


def require_pattern(name: str, pattern: str | None) -> None:
    """Raise ConfigError unless `pattern` is None or a regular expression."""
    if pattern is None:
        return
    import regex

    try:
        regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{name} is not a valid regular expression: {error}") from None
