"""The unit of scores."""

from typing import Literal

ScoreUnit = Literal["bits_per_character", "bits", "nats", "perplexity", "percentile"]

DEFAULT_SCORE_UNIT: ScoreUnit = "bits_per_character"  # comparable between lines of any length
