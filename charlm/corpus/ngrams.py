"""The n-grams of a corpus: those of its training part, in each direction."""

import numpy as np
from numpy.typing import NDArray

from charlm.config import LARGE_VOCABULARIES, ModelConfig, SingleDirection
from charlm.corpus.encoding import Corpus
from charlm.corpus.shards import RunningText
from charlm.ngram import NGramTable, count_ngrams
from charlm.parameters import parameter_count
from charlm.tokenizers import Ids

# The longest contexts, in tokens. On tiny shakespeare 8 score 0.0025 nats better
# than 6.
LONGEST_CONTEXT, LONGEST_CONTEXT_OF_WORDS = 8, 4
# Bytes of a table: as many as the network takes, between these.
ALWAYS_ALLOWED, LARGEST_TABLE = 6 << 20, 32 << 20
MOST_COUNTED = 4_000_000  # ids; of a longer text, evenly spread parts are counted
COUNTED_PER_SECOND = 200_000  # ids for each second of training: a tenth of the time, at most


def count_corpus(
    corpus: Corpus, model: ModelConfig, *, order: int | None, seconds: float | None
) -> dict[SingleDirection, NGramTable]:
    """Return the n-grams of the training part by direction.

    Pairs, labels and tags have none: they depend on sources, which counts do not know.

    Args:
        corpus: Its held-out part is not counted.
        model: The network that the table stands beside.
        order: The length of the longest contexts; None decides it by the tokenizer.
        seconds: The time of training, which bounds what is counted; None for no bound.
    """
    if model.task not in ("text", "lines"):
        return {}
    tokenizer = corpus.tokenizer
    if order is None:
        is_large = tokenizer.kind in LARGE_VOCABULARIES
        order = LONGEST_CONTEXT_OF_WORDS if is_large else LONGEST_CONTEXT
    most = MOST_COUNTED if seconds is None else int(COUNTED_PER_SECOND * seconds)
    network = 4 * parameter_count(model, tokenizer.vocab_size) // len(model.directions)
    tables: dict[SingleDirection, NGramTable] = {}
    for direction in model.directions:
        text = corpus if direction == "forward" else corpus.mirrored()
        ids = _training_ids(text, min(most, MOST_COUNTED) // len(model.directions))
        tables[direction] = count_ngrams(
            ids,
            _are_counted(ids, model, tokenizer.boundary_id),
            order=order,
            outputs=model.outputs(tokenizer.vocab_size),
            boundary_id=tokenizer.boundary_id,
            most_bytes=min(LARGEST_TABLE, max(ALWAYS_ALLOWED, network)),
        )
    return tables


def _training_ids(corpus: Corpus, most: int) -> Ids:
    """Return at most about `most` ids of the training part in reading order, a boundary first."""
    if isinstance(corpus.train, RunningText):
        boundary = np.array([corpus.tokenizer.boundary_id], corpus.tokenizer.id_dtype)
        return np.concatenate([boundary, corpus.train.sample(most)])
    boundaries = corpus.train.boundaries
    stop = int(boundaries[np.searchsorted(boundaries, most, side="right") - 1])
    return corpus.train.ids[: stop + 1]


def _are_counted(ids: Ids, model: ModelConfig, boundary_id: int) -> NDArray[np.bool_]:
    """Return which ids the network predicts."""
    is_boundary = ids == boundary_id
    are_counted = np.ones(len(ids), np.bool_) if model.predicts_boundary else ~is_boundary
    are_counted[:1] = False
    return are_counted
