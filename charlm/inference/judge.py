"""The half of a model that judges: how much information a text is under it, and where."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from charlm.config import OneWay, ScoreUnit
from charlm.config.checks import require_whole
from charlm.errors import ConfigError
from charlm.inference.trained import Trained

# Imported by each method for itself: speaking does not wait for it.
if TYPE_CHECKING:
    from charlm.inference.bidirectional import PseudoScore
    from charlm.inference.scoring import Score
    from charlm.inference.tokens import TokenScores


class Judge(Trained):
    """Judges: scores texts, their lines and their tokens."""

    def score(
        self, text: str, *, direction: OneWay | None = None, name: str = "the text"
    ) -> "Score":
        """Return how much information `text` is under the model, read from nothing.

        A model of lines or pairs reads each line from nothing, and predicts its end.

        Args:
            text: To score.
            direction: In which it is read; None takes the model's own, of both forward.
            name: What error messages call the text.

        Raises:
            ConfigError: If the model lacks the direction.
            CorpusError: If the model is one of pairs and a line is none.
        """
        from charlm.inference.scoring import score_text

        return score_text(self.runtime(direction), self.tokenizer, text, name=name)

    def score_lines(
        self, lines: Iterable[str], *, carry: bool = False, direction: OneWay | None = None
    ) -> "Iterator[Score]":
        """Return an iterator over the scores of lines, in their order.

        Lines are read ahead, 1, 2, 4 … 4,096 at a time, and scored side by side.

        Args:
            lines: With or without their ends. Each is read for itself, by a model of running
                text after a line end, and its end is predicted. An empty one has score 0.
            carry: Whether each is read on from the one before, so that their scores add up to
                that of the text. An end counts only if it is there.
            direction: In which each is read; None takes the model's own, of both forward.

        Raises:
            ConfigError: If the model lacks the direction, or is to carry and cannot.
            CorpusError: If the model is one of pairs and a line is none.
            ValueError: If a line holds a line end before its own.
            TypeError: If it is one text that is given.
        """
        from charlm.inference.lines import lots_of

        if isinstance(lines, str):
            raise TypeError("lines are several texts, not one")
        lots = self.score_lots(lots_of(lines, carry=carry), carry=carry, direction=direction)
        return (score for lot in lots for score in lot)

    def score_lots(
        self,
        lots: Iterable[Sequence[str]],
        *,
        carry: bool = False,
        direction: OneWay | None = None,
        name: str = "the text",
    ) -> "Iterator[list[Score]]":
        """Return what `score_lines` does, of lines that come in lots, a list a lot.

        The next lot is asked for when the one before is scored, so it may wait for its source.
        """
        from charlm.inference.lines import score_lots, score_stream

        network = self.runtime(direction)
        if not carry:
            return score_lots(network, self.tokenizer, lots, name=name)
        config = network.config
        if config.form != "text" or config.document_separator is not None:
            what = "documents" if config.form == "text" else config.form
            raise ConfigError(
                f"a model of {what} reads each from nothing, so it carries nothing on",
                hint="leave out --carry",
            )
        if config.direction == "backward":
            raise ConfigError("lines carry on forward only; this model reads backward")
        return score_stream(network, self.tokenizer, lots)

    def score_tokens(
        self,
        text: str,
        *,
        choices: int = 1,
        direction: OneWay | None = None,
        name: str = "the text",
    ) -> "TokenScores":
        """Return the score of each token of `text`, read as `score` reads it.

        Args:
            text: To score.
            choices: How many of the likeliest tokens to tell for each place.
            direction: As for `score`.
            name: As for `score`.

        Raises:
            ConfigError: If the model lacks the direction.
            CorpusError: If the model is one of pairs and a line is none, or the text is longer
                than 33,554,432 characters.
        """
        from charlm.inference.tokens import score_tokens

        require_whole("choices", choices, 1)
        network = self.runtime(direction)
        return score_tokens(network, self.tokenizer, text, choices=choices, name=name)

    def percentile(self, bits_per_character: float) -> float:
        """Return how many percent of the held-out lines score lower, in [0, 100].

        It is interpolated between quantiles: 0 at the lowest score and 100 at the highest. That is
        what a line's score means, read for itself in the model's own direction.

        Raises:
            ConfigError: If the model does not know how held-out lines score.
        """
        if not len(self.line_scores):
            raise ConfigError(
                "the model does not hold the scores of held-out lines, so it tells no percentiles",
                hint="a training stores them if two lines or more are held out: train again",
            )
        shares = np.linspace(0, 100, len(self.line_scores))
        return float(np.interp(bits_per_character, self.line_scores, shares))

    def in_unit(self, score: "Score", unit: ScoreUnit) -> float:
        """Return a score of a line or text in a unit; see `percentile` for that one."""
        if unit == "percentile":
            return self.percentile(score.bits_per_character)
        found: float = getattr(score, unit)
        return found

    def share_known(self, text: str) -> float:
        """Return which share of `text` stands in what the model was trained from, in [0, 1].

        It is an estimate, of lines or of passages as the fingerprints are; held-out text counts as
        known; 0 if the model has no fingerprint.
        """
        return max((each.share_known(text) for each in self.fingerprints), default=0.0)

    def pseudo_score(self, text: str) -> "PseudoScore":
        """Return how well each token of `text` is predicted from all others, on both sides.

        Raises:
            ConfigError: If the model is not one of both directions.
        """
        from charlm.inference.bidirectional import pseudo_score

        self._require("both", "a pseudo-likelihood")
        networks = self.runtime("forward"), self.runtime("backward")
        return pseudo_score(*networks, self.tokenizer, text)
