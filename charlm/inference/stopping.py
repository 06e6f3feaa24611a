"""Where a text stops: after a number of characters, words, lines or sentences, or at a text."""

from functools import cache
from typing import Any, Literal

from charlm.config import GenerationConfig, UserPattern

# A stopping criterion; "end" is the end of a line or an answer; at a "dead end" no token is
# allowed; "attempts" means that no candidate was kept, "lexicon" that the answer was there.
FinishReason = Literal[
    "length",
    "words",
    "lines",
    "sentences",
    "stop",
    "until",
    "end",
    "dead end",
    "attempts",
    "lexicon",
]

MOST_SEARCHED = 1000  # last characters in which `until` is searched
LONGEST_SENTENCE_END = 8  # characters: a punctuation mark and closing quotes or brackets


class StoppingCriteria:
    """Reads a text piece by piece, decides where it stops and returns the characters to show.

    The next character shows that a word or sentence is complete; that character is not shown.
    """

    def __init__(self, config: GenerationConfig) -> None:
        # Why the text stopped; None while it goes on.
        self.finish_reason: FinishReason | None = "length" if config.length == 0 else None
        self._config, self._has_only_length = config, config.has_only_length
        self._until = None if config.until is None else UserPattern("--until", config.until)
        self._characters = self._words = self._lines = self._sentences = 0
        # A line end of a stop text may be CRLF; of two that end here, the longer one is left out.
        variants = {*config.stop, *(stop.replace("\n", "\r\n") for stop in config.stop)}
        self._stops = sorted(variants, key=len, reverse=True)
        longest_stop = max(map(len, self._stops), default=0)
        searched = 0 if config.until is None else MOST_SEARCHED
        self._recent_size = max(longest_stop, LONGEST_SENTENCE_END, searched)
        self._recent = ""  # the last characters of the text
        self._held = 0  # how many of them may begin a stop text and are not shown yet

    def push(self, text: str) -> str:
        """Append `text`, and return the characters to show now."""
        if self.finish_reason is not None:
            return ""
        if not self._has_only_length:
            return "".join(map(self._push_character, text))
        if self._config.length is None:
            return text
        text = text[: self._config.length - self._characters]
        self._characters += len(text)
        if self._characters == self._config.length:
            self.finish_reason = "length"
        return text

    def finish(self, reason: FinishReason = "end") -> str:
        """Return the characters held back, at the end of the text."""
        return "" if self.finish_reason is not None else self._stop(reason)

    def _push_character(self, character: str) -> str:
        if self.finish_reason is not None:
            return ""
        config = self._config
        if config.words is not None and self._ends_word(character):
            self._words += 1
            if self._words == config.words:
                return self._stop("words")
        if config.sentences is not None and self._ends_sentence(character):
            self._sentences += 1
            if self._sentences == config.sentences:
                return self._stop("sentences")
        self._recent = (self._recent + character)[-self._recent_size :]
        self._held += 1
        self._characters += 1
        for stop in self._stops:
            if self._recent.endswith(stop):
                return self._stop("stop", excluded=0 if config.keep_stop else len(stop))
        if self._until is not None and self._until.is_in(self._recent):
            return self._stop("until")
        if config.lines is not None and character == "\n":
            self._lines += 1
            if self._lines == config.lines:
                return self._stop("lines")
        if self._characters == config.length:
            return self._stop("length")
        return self._release(held=self._stop_prefix_length())

    def _ends_word(self, character: str) -> bool:
        return character.isspace() and not self._recent[-1:].isspace() and self._recent != ""

    def _ends_sentence(self, character: str) -> bool:
        end, ideographic_end, closer = _sentence_patterns()
        if ideographic_end.search(self._recent):
            return not closer.match(character)
        return character.isspace() and end.search(self._recent) is not None

    def _stop_prefix_length(self) -> int:
        """Return how many of the last characters may begin a stop text."""
        if self._config.keep_stop:
            return 0
        lengths = (
            length
            for stop in self._stops
            for length in range(1, min(len(stop), self._held + 1))
            if self._recent.endswith(stop[:length])
        )
        return max(lengths, default=0)

    def _stop(self, reason: FinishReason, *, excluded: int = 0) -> str:
        self.finish_reason = reason
        return self._release(held=excluded)

    def _release(self, *, held: int) -> str:
        """Return the characters held back, except the last `held`."""
        characters = self._recent[len(self._recent) - self._held :]
        self._held = held
        return characters[: len(characters) - held]


@cache
def _sentence_patterns() -> tuple[Any, Any, Any]:
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
