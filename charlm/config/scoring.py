"""How a text is judged."""

from typing import Literal

ScoreUnit = Literal["bits_per_character", "bits", "nats", "perplexity", "percentile"]

DEFAULT_SCORE_UNIT: ScoreUnit = "bits_per_character"  # lines of any length compare in it
