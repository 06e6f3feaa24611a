"""Where a text stops: after so many characters, words, lines or sentences, or at what it says."""

import re
from typing import Literal

from charlm.config import Limits

# What the limits are called; the end of a line or an answer; nothing that may be said; or that all
# tries to make a text were in vain.
Reason = Literal[
    "length", "words", "lines", "sentences", "stop", "until", "end", "dead end", "tries"
]

MOST_SEARCHED = 1000  # characters in which `until` is looked for, back from the last
LONGEST_SENTENCE_END = 8  # characters: a mark and what closes after it
_CLOSERS = r"[\"'’”»›)\]}」』）】]"
# White space follows; after marks of Chinese or Japanese it may be anything that does not close.
_SENTENCE_END = re.compile(rf"[.!?…]{_CLOSERS}*\Z")
_IDEOGRAPHIC_SENTENCE_END = re.compile(rf"[。！？]{_CLOSERS}*\Z")
_CLOSER = re.compile(rf"[。！？]|{_CLOSERS}")


class Stopper:
    """Takes a text as it comes, and tells how much of it is shown and where it stops.

    A word or a sentence is over when what follows shows it, which is not shown itself.

    Attributes:
        reason: Why the text stopped; None while it goes on.
    """

    def __init__(self, limits: Limits) -> None:
        self.reason: Reason | None = "length" if limits.length == 0 else None
        self._limits, self._is_length_alone = limits, limits.is_length_alone
        self._until = None if limits.until is None else re.compile(limits.until)
        self._characters = self._words = self._lines = self._sentences = 0
        longest = max(map(len, limits.stop), default=0)
        searched = 0 if limits.until is None else MOST_SEARCHED
        self._remembered = max(longest, LONGEST_SENTENCE_END, searched)
        self._recent = ""  # the last characters of the text
        self._held = 0  # how many of them may begin a text to stop at, and are not shown yet

    def push(self, text: str) -> str:
        """Return what is to be shown now that `text` has come."""
        if self.reason is not None:
            return ""
        if not self._is_length_alone:
            return "".join(map(self._take, text))
        if self._limits.length is None:
            return text
        text = text[: self._limits.length - self._characters]
        self._characters += len(text)
        if self._characters == self._limits.length:
            self.reason = "length"
        return text

    def finish(self, reason: Reason = "end") -> str:
        """Return what was held back, now that no more will come."""
        return "" if self.reason is not None else self._stop(reason)

    def _take(self, character: str) -> str:
        """Return what is to be shown now that one more character has come."""
        if self.reason is not None:
            return ""
        limits = self._limits
        if limits.words is not None and self._ends_word(character):
            self._words += 1
            if self._words == limits.words:
                return self._stop("words")
        if limits.sentences is not None and self._ends_sentence(character):
            self._sentences += 1
            if self._sentences == limits.sentences:
                return self._stop("sentences")
        self._recent = (self._recent + character)[-self._remembered :]
        self._held += 1
        self._characters += 1
        for stop in limits.stop:
            if self._recent.endswith(stop):
                return self._stop("stop", unsaid=0 if limits.keep_stop else len(stop))
        if self._until is not None and self._until.search(self._recent):
            return self._stop("until")
        if limits.lines is not None and character == "\n":
            self._lines += 1
            if self._lines == limits.lines:
                return self._stop("lines")
        if self._characters == limits.length:
            return self._stop("length")
        return self._release(kept=self._may_stop())

    def _ends_word(self, character: str) -> bool:
        return character.isspace() and not self._recent[-1:].isspace() and self._recent != ""

    def _ends_sentence(self, character: str) -> bool:
        if _IDEOGRAPHIC_SENTENCE_END.search(self._recent):
            return not _CLOSER.match(character)
        return character.isspace() and _SENTENCE_END.search(self._recent) is not None

    def _may_stop(self) -> int:
        """Return how many of the last characters may begin a text to stop at."""
        if self._limits.keep_stop:
            return 0
        sizes = (
            size
            for stop in self._limits.stop
            for size in range(1, min(len(stop), self._held + 1))
            if self._recent.endswith(stop[:size])
        )
        return max(sizes, default=0)

    def _stop(self, reason: Reason, *, unsaid: int = 0) -> str:
        self.reason = reason
        return self._release(kept=unsaid)

    def _release(self, *, kept: int) -> str:
        """Return what is held back, but for the last `kept` characters."""
        held = self._recent[len(self._recent) - self._held :]
        self._held = kept
        return held[: len(held) - kept]
