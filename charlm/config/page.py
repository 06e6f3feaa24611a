"""How a model becomes a page."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from charlm.config.checks import require, require_choice

WeightType = Literal["int8", "float16", "float32"]

USUAL_SIZE = 2e6  # bytes
ROOM_FOR_COUNTS = 1.1  # times the size without counts


@dataclass(frozen=True, kw_only=True)
class PageConfig:
    """What a page holds of a model.

    Attributes:
        weights: How each weight is stored. int8 has a scale for each row of a matrix; float32 is
            exact.
        max_size: Megabytes that the page may have; counts are left out until it is that small. By
            default 2, or 1.1 times the size without counts if that is more; with float32 no limit.
    """

    weights: WeightType = "int8"
    max_size: float | None = None

    def __post_init__(self) -> None:
        require_choice("weights", self.weights, get_args(WeightType))
        if self.max_size is not None:
            require("max-size", self.max_size, above=0)

    def most_bytes(self, without_counts: int) -> float:
        """Return the largest size of a page that has this size without counts, in bytes."""
        if self.max_size is not None:
            return self.max_size * 1e6
        if self.weights == "float32":
            return math.inf
        return max(USUAL_SIZE, ROOM_FOR_COUNTS * without_counts)
