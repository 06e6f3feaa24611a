"""The score of a model by the length of the context before each token."""

import numpy as np

from charlm.config import ModelConfig
from charlm.corpus.windows import Windows
from charlm.errors import CorpusError
from charlm.inference.runtime import Runtime
from charlm.inference.scoring import score_windows
from charlm.tokenizers import Ids, Tokenizer

LONGEST_CONTEXT = 512  # tokens
SCORED_TOKENS = 256  # spread evenly


def context_lengths(tokens: int) -> list[int]:
    """Return 1, 2, 4 … up to LONGEST_CONTEXT, or to half of a shorter text.

    Raises:
        CorpusError: If the text has fewer than 4 tokens.
    """
    longest = min(LONGEST_CONTEXT, tokens // 2)
    if longest < 2:
        raise CorpusError(f"--memory needs a text of at least 4 tokens; this one has {tokens}")
    return [1 << power for power in range(longest.bit_length())]


def nats_by_context(runtime: Runtime, tokenizer: Tokenizer, text: str) -> dict[int, float]:
    """Return the mean −ln p of a token by the number of tokens read before it, in nats.

    The same tokens are scored for each length, each time from the zero state.

    Raises:
        CorpusError: If the text has fewer than 4 tokens.
    """
    ids = ids_as_read(text, tokenizer, runtime.config)
    lengths = context_lengths(len(ids))
    scored = np.unique(np.linspace(lengths[-1], len(ids) - 1, SCORED_TOKENS).astype(np.int64))
    # These windows begin in the middle of a text.
    prefix = None if runtime.config.begins_anywhere else ids[:0]
    nats: dict[int, float] = {}
    for length in lengths:
        begin = scored - length
        if prefix is not None:
            begin += 1  # a window reads the id before it, too
        windows = Windows(ids, tokenizer.boundary_id, begin, scored, scored + 1, prefix)
        nats[length] = score_windows(runtime, windows).mean()
    return nats


def ids_as_read(text: str, tokenizer: Tokenizer, config: ModelConfig) -> Ids:
    """Return the ids of a text in reading order: a backward network begins at its end."""
    ids = tokenizer.encode(text)
    return ids[::-1] if config.direction == "backward" else ids
