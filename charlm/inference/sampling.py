"""Logits → the next token."""

import numpy as np
from numpy.typing import NDArray

from charlm.config import SamplingConfig


def next_token_probabilities(
    logits: NDArray[np.floating], config: SamplingConfig
) -> NDArray[np.float64]:
    """Return the distribution that is drawn from: temperature, then top-k, then top-p.

    Args:
        logits: Unnormalised log-probabilities, shape (V,).
        config: Temperature 0 puts everything on the likeliest token, the first of equals.

    Returns:
        Probabilities that sum to 1, shape (V,). Top-k keeps exactly k tokens, the first of
        equals; top-p keeps the fewest of the likeliest whose probabilities reach p
        (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751).
    """
    if config.temperature == 0:
        return _kept(np.ones(len(logits)), np.array([np.argmax(logits)]))
    # The likeliest is 0 before the division, so no temperature overflows.
    scaled = (logits - logits.max()).astype(np.float64) / max(config.temperature, 1e-300)
    probabilities: NDArray[np.float64] = np.exp(scaled)
    probabilities /= probabilities.sum()
    if not config.top_k and config.top_p == 1:
        return probabilities
    order = np.argsort(-scaled, kind="stable")  # by logits, which differ where these may not
    kept = order[: config.top_k] if config.top_k else order
    if config.top_p < 1:
        mass = probabilities[kept].cumsum()
        kept = kept[: int(mass.searchsorted(config.top_p * mass[-1])) + 1]
    return _kept(probabilities, kept)


def draw(probabilities: NDArray[np.float64], generator: np.random.Generator) -> int:
    """Return one token drawn from `probabilities`, by inverting their cumulative sum."""
    cumulative = probabilities.cumsum()
    token = int(cumulative.searchsorted(generator.random() * cumulative[-1], side="right"))
    # Rounding can put the product at the very end of the sum.
    return min(token, int(np.flatnonzero(probabilities)[-1]))


def _kept(
    probabilities: NDArray[np.float64], tokens: NDArray[np.signedinteger]
) -> NDArray[np.float64]:
    """Return the distribution restricted to `tokens`."""
    result = np.zeros_like(probabilities)
    result[tokens] = probabilities[tokens] / probabilities[tokens].sum()
    return result
