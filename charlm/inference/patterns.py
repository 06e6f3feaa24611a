"""Regular expressions: a user's own, which may take too long, and ends of sentences."""

from functools import cache
from typing import Any

from charlm.errors import ConfigError

MOST_SECONDS = 1.0  # for one search; a thousand characters take a millisecond


class UserPattern:
    """A regular expression of the user. A search that takes too long is an error."""

    def __init__(self, option: str, pattern: str) -> None:
        """Compile `pattern`, which `option` gave."""
        import regex  # only here, because most texts need none

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
                hint="write it without one repetition inside another, as in (a+)+",
            ) from None


@cache
def sentence_patterns() -> tuple[Any, Any, Any]:
    """Return the patterns of the end of a sentence, of one in Chinese or Japanese, and of closers.

    The marks are Unicode's Sentence_Terminal, in any script, and the ellipsis. White space must
    follow, except after the marks of Chinese and Japanese, where any character may but a closer.
    """
    import regex

    closer = r"[\"'’\p{Close_Punctuation}\p{Final_Punctuation}]"
    return (
        regex.compile(rf"[\p{{Sentence_Terminal}}…]{closer}*\Z"),
        regex.compile(rf"[。！？]{closer}*\Z"),
        regex.compile(rf"[。！？]|{closer}"),
    )
