"""Logits → the next token."""

import numpy as np
from numpy.typing import NDArray

from charlm.config import SamplingConfig

Floats = NDArray[np.floating]

COLDEST = 1e-200  # temperature, below which nothing but the likeliest is left


def next_token_probabilities(logits: Floats, config: SamplingConfig) -> NDArray[np.float64]:
    """Return the distributions that are drawn from.

    The logits are divided by the temperature. Then top-k, top-p, min-p and typical-p, in this
    order, each cut off a part of what the one before has left:

    * Top-k keeps exactly k tokens, the first of equals.
    * Top-p keeps the fewest of the likeliest whose probabilities reach p (Holtzman et al. 2020,
      https://arxiv.org/abs/1904.09751).
    * Min-p keeps what has at least that share of the likeliest one's probability (Nguyen et al.
      2024, https://arxiv.org/abs/2407.01082).
    * Typical-p keeps, of those whose surprisal is nearest to the entropy, the fewest whose
      probabilities reach p (Meister et al. 2023, https://arxiv.org/abs/2202.00666).

    Args:
        logits: Unnormalised log-probabilities, shape (…, V); −∞ is never drawn. Each row has a
            number that is finite.
        config: Temperature 0 puts everything on the likeliest token, the first of equals.

    Returns:
        Probabilities that sum to 1, shape (…, V).
    """
    if config.temperature == 0:
        greedy = np.zeros(logits.shape)
        np.put_along_axis(greedy, logits.argmax(axis=-1)[..., None], 1.0, axis=-1)
        return greedy
    return _normalised(_weights(logits, config))


def draw_next_tokens(
    logits: Floats, config: SamplingConfig, uniforms: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return a token for each row, drawn from its `next_token_probabilities`.

    Args:
        logits: Shape (B, V).
        config: As there.
        uniforms: Random numbers in [0, 1), shape (B,).
    """
    if config.temperature == 0:
        likeliest: NDArray[np.int64] = logits.argmax(axis=-1)
        return likeliest
    return draw(_weights(logits, config), uniforms)


def draw(weights: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a place in each row with a probability that is its share of the row's sum.

    Args:
        weights: Shape (B, V), of any sum above 0.
        uniforms: Random numbers in [0, 1), shape (B,).
    """
    cumulative = weights.cumsum(axis=-1)
    total = cumulative[:, -1]
    # A little less than the sum, or rounding could put the product at its very end.
    targets = uniforms * np.nextafter(total, 0.0)
    places: NDArray[np.int64] = (cumulative > targets[:, None]).argmax(axis=-1)
    return places


def _weights(logits: Floats, config: SamplingConfig) -> NDArray[np.float64]:
    """Return what probabilities are proportional to, shape (…, V); the temperature is not 0."""
    # The likeliest is 0 before the division, so no temperature overflows.
    best = logits.max(axis=-1, keepdims=True)
    weights: NDArray[np.float64] = np.subtract(logits, best, dtype=np.float64)
    if config.temperature < COLDEST:
        weights[weights < 0] = -np.inf  # what would overflow is as good as impossible
    elif config.temperature != 1:
        weights /= config.temperature
    if not config.cuts_off:
        np.exp(weights, out=weights)
        return weights
    # By logits, which differ where probabilities may not.
    order = np.argsort(-weights, axis=-1, kind="stable")
    ranked = _normalised(np.exp(np.take_along_axis(weights, order, axis=-1)))
    if config.top_k:
        ranked[..., config.top_k :] = 0
    if config.top_p < 1:
        ranked[_mass_before(ranked) >= config.top_p * ranked.sum(axis=-1, keepdims=True)] = 0
    if config.min_p > 0:
        ranked[ranked < config.min_p * ranked[..., :1]] = 0
    if config.typical_p < 1:
        ranked[~_is_typical(ranked, config.typical_p)] = 0
    np.put_along_axis(weights, order, ranked, axis=-1)
    return weights


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def _mass_before(ranked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of what stands before each place, shape (…, V)."""
    mass = np.zeros_like(ranked)
    np.cumsum(ranked[..., :-1], axis=-1, out=mass[..., 1:])
    return mass


def _is_typical(ranked: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Return which tokens typical-p keeps, shape (…, V)."""
    kept = ranked / ranked.sum(axis=-1, keepdims=True)
    surprisal = -np.log(np.where(kept > 0, kept, 1.0))
    entropy = (kept * surprisal).sum(axis=-1, keepdims=True)
    distance = np.where(kept > 0, np.abs(surprisal - entropy), np.inf)
    order = np.argsort(distance, axis=-1, kind="stable")
    mass = _mass_before(np.take_along_axis(kept, order, axis=-1))
    typical = np.empty(ranked.shape, dtype=np.bool_)
    np.put_along_axis(typical, order, mass < share, axis=-1)
    return typical
