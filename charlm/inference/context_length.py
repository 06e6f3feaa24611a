"""How far back a model remembers: its score by the length of the context."""

import numpy as np

from charlm.config import ModelConfig
from charlm.corpus.windows import Windows
from charlm.errors import CorpusError
from charlm.inference.runtime import Runtime
from charlm.inference.scoring import score_windows
from charlm.tokenizers import Ids, Tokenizer

MOST_CONTEXT = 512  # tokens
SCORED = 256  # tokens, spread evenly


def context_lengths(tokens: int) -> list[int]:
    """Return 1, 2, 4 … up to MOST_CONTEXT, or half of a shorter text.

    Raises:
        CorpusError: If there is too little text to tell anything.
    """
    longest = min(MOST_CONTEXT, tokens // 2)
    if longest < 2:
        raise CorpusError(f"memory needs a text of at least 4 tokens, and there are {tokens}")
    return [1 << power for power in range(longest.bit_length())]


def nats_by_context(runtime: Runtime, tokenizer: Tokenizer, text: str) -> dict[int, float]:
    """Return −ln p of a token by the number of tokens that were read before it, in nats a token.

    The same tokens are predicted each time, each after a start from nothing.

    Raises:
        CorpusError: If there is too little text to tell anything.
    """
    ids = ids_as_read(text, tokenizer, runtime.config)
    lengths = context_lengths(len(ids))
    scored = np.unique(np.linspace(lengths[-1], len(ids) - 1, SCORED).astype(np.int64))
    return {
        length: score_windows(
            runtime,
            Windows(ids, tokenizer.boundary_id, scored - length, scored, scored + 1),
        ).mean()
        for length in lengths
    }


def ids_as_read(text: str, tokenizer: Tokenizer, config: ModelConfig) -> Ids:
    """Return the ids of a text, for a backward network from its end."""
    ids = tokenizer.encode(text)
    return ids[::-1] if config.direction == "backward" else ids
