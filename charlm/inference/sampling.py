"""Logits → the next token."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from charlm.config import GenerationConfig

Floats = NDArray[np.floating]
Probabilities = NDArray[np.float64]  # shape (…, V)

COLDEST = 1e-200  # below this temperature only the most probable token is left


def top_k(ranked: Probabilities, k: float) -> NDArray[np.bool_]:
    """Keep exactly k tokens, the first ones of equals."""
    return np.broadcast_to(np.arange(ranked.shape[-1]) < k, ranked.shape)


def top_p(ranked: Probabilities, p: float) -> NDArray[np.bool_]:
    """Keep the fewest most probable tokens whose probabilities reach p.

    Holtzman et al. 2020, https://arxiv.org/abs/1904.09751.
    """
    kept: NDArray[np.bool_] = _sum_before(ranked) < p * ranked.sum(axis=-1, keepdims=True)
    return kept


def min_p(ranked: Probabilities, p: float) -> NDArray[np.bool_]:
    """Keep the tokens with at least p times the highest probability.

    Nguyen et al. 2024, https://arxiv.org/abs/2407.01082.
    """
    return ranked >= p * ranked[..., :1]


def typical_p(ranked: Probabilities, p: float) -> NDArray[np.bool_]:
    """Keep the fewest tokens that reach p, those with a surprisal nearest to the entropy first.

    Meister et al. 2023, https://arxiv.org/abs/2202.00666.
    """
    probabilities = ranked / ranked.sum(axis=-1, keepdims=True)
    surprisal = -np.log(np.where(probabilities > 0, probabilities, 1.0))
    entropy = (probabilities * surprisal).sum(axis=-1, keepdims=True)
    distance = np.where(probabilities > 0, np.abs(surprisal - entropy), np.inf)
    order = np.argsort(distance, axis=-1, kind="stable")
    sum_before = _sum_before(np.take_along_axis(probabilities, order, axis=-1))
    typical = np.empty(ranked.shape, dtype=np.bool_)
    np.put_along_axis(typical, order, sum_before < p, axis=-1)
    return typical


Filter = Callable[[Probabilities, float], NDArray[np.bool_]]

# Applied in this order: a setting of GenerationConfig, its filter, and the value that is off. A
# filter gets the probabilities that the one before it kept, the highest first, and the value.
FILTERS: dict[str, tuple[Filter, float]] = {
    "top_k": (top_k, 0),
    "top_p": (top_p, 1),
    "min_p": (min_p, 0),
    "typical_p": (typical_p, 1),
}


def next_token_probabilities(logits: Floats, config: GenerationConfig) -> Probabilities:
    """Return the distributions that tokens are drawn from, shape (…, V).

    Temperature 0 gives all probability to the most probable token, the first one of equals. A logit
    of −∞ is never drawn. Each row of `logits`, shape (…, V), has a finite one.
    """
    if config.temperature == 0:
        greedy = np.zeros(logits.shape)
        np.put_along_axis(greedy, logits.argmax(axis=-1)[..., None], 1.0, axis=-1)
        return greedy
    return _normalised(_weights(logits, config))


def draw_next_tokens(
    logits: Floats, config: GenerationConfig, uniforms: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Draw a token for each row of logits from its `next_token_probabilities`, shape (B,).

    `uniforms` are random numbers in [0, 1), shape (B,).
    """
    if config.temperature == 0:
        most_probable: NDArray[np.int64] = logits.argmax(axis=-1)
        return most_probable
    return draw(_weights(logits, config), uniforms)


def draw(weights: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw a column for each row of weights, shape (B, V), in proportion to them, shape (B,).

    Each row has a positive sum. `uniforms` are random numbers in [0, 1), shape (B,).
    """
    cumulative = weights.cumsum(axis=-1)
    # Slightly below the sum; otherwise rounding could give a target that no column exceeds.
    targets = uniforms * np.nextafter(cumulative[:, -1], 0.0)
    columns: NDArray[np.int64] = (cumulative > targets[:, None]).argmax(axis=-1)
    return columns


def _weights(logits: Floats, config: GenerationConfig) -> NDArray[np.float64]:
    """Return weights proportional to the probabilities, shape (…, V); the temperature is not 0."""
    # The highest logit becomes 0 before the division, so that no temperature overflows.
    highest = logits.max(axis=-1, keepdims=True)
    weights: NDArray[np.float64] = np.subtract(logits, highest, dtype=np.float64)
    if config.temperature < COLDEST:
        weights[weights < 0] = -np.inf  # the division would overflow
    elif config.temperature != 1:
        weights /= config.temperature
    filters = [
        (keep, value)
        for name, (keep, off) in FILTERS.items()
        if (value := getattr(config, name)) != off
    ]
    if not filters:
        np.exp(weights, out=weights)
        return weights
    # Ranked by logits, which differ where rounded probabilities may be equal.
    order = np.argsort(-weights, axis=-1, kind="stable")
    ranked = _normalised(np.exp(np.take_along_axis(weights, order, axis=-1)))
    for keep, value in filters:
        ranked[~keep(ranked, value)] = 0
    np.put_along_axis(weights, order, ranked, axis=-1)
    return weights


def _normalised(weights: NDArray[np.float64]) -> Probabilities:
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def _sum_before(ranked: Probabilities) -> NDArray[np.float64]:
    """Return the sum of the probabilities before each column, shape (…, V)."""
    sums = np.zeros_like(ranked)
    np.cumsum(ranked[..., :-1], axis=-1, out=sums[..., 1:])
    return sums
