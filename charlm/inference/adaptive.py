"""A network and counts whose counts and weights learn a text while they score it.

The counts of what was read stand on those of the training text. The weights of the product of
experts (`combination.py`) are sums of two: one is chosen by how much of a context either knows, one
by the last token. All take a Newton step after each block. Each block is scored before anything
learns it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.corpus.examples import scored_text
from charlm.inference.runtime import Floats, Runtime
from charlm.inference.scoring import Nats, Score, examples_of, predict_windows, windows_of
from charlm.ngram import NGramTable
from charlm.ngram.adaptive import LONGEST, AdaptiveCounts
from charlm.ngram.table import Integers, contexts_before
from charlm.tokenizers.base import utf8

BLOCK = 256  # tokens between two steps of the weights
MOST_NUMBERS = 1 << 21  # of the logits of a block
WINDOWS_AT_ONCE = 16  # whose features are held
START = (0.7, 0.3)  # weights of network and counts where the text itself is known
PRIOR = 20.0  # tokens that the start is worth, at a variance of 1 nat
LARGEST_WEIGHT = 3.0
FADING = 0.998  # of what the weights have learnt, with each token


class AdaptiveCombination:
    """Scores the tokens of a text in their order, and learns from them."""

    def __init__(self, table: NGramTable, ids: Integers, prefix: Integers | None = None) -> None:
        """Begin a text: `ids` in reading order, with a boundary before each example.

        The network reads the `prefix` between a boundary and a text.
        """
        self._table, self._ids = table, ids
        self._head = [table.boundary_id, *([] if prefix is None else prefix.tolist())]
        self._boundaries = np.flatnonzero(ids == table.boundary_id)
        self._counts = AdaptiveCounts(ids)
        # Of each order that the text knows, 0 included, and each that the table knows.
        start = np.tile(np.array(START), (LONGEST + 1, table.order + 1, 1))
        start[0] = table.weights
        self._by_order = _Weights(start.reshape(-1, 2))
        self._by_token = _Weights(
            np.zeros((table.boundary_id + 1, 2))
        )  # the last one that was read

    def score(self, logits: Floats, start: int, stop: int) -> Nats:
        """Return −ln p of ids [start, stop), given the network's logits, and learn them.

        The ids are of one example; `logits` has one row for each, shape (N, outputs).
        """
        before = int(np.searchsorted(self._boundaries, start)) - 1
        begin = int(self._boundaries[before])
        positions = np.arange(start, stop)
        order = self._table.order
        contexts = contexts_before(self._ids, positions, order, begin + 1, self._head)
        matched, ratios = self._table.log_ratios(contexts)
        increments = self._counts.read(start, stop, begin)
        shares = np.exp(ratios, dtype=np.float64)
        shares /= shares.sum(axis=-1, keepdims=True)
        np.add.at(shares, (increments.owners, increments.tokens), increments.shares)
        both = np.stack([logits, np.log(shares)], axis=-1, dtype=np.float64)
        targets = self._ids[start:stop].astype(np.int64)
        orders = increments.orders * (order + 1) + matched
        last_tokens = self._ids[start - 1 : stop - 1].astype(np.int64)
        weights = self._by_order.values[orders] + self._by_token.values[last_tokens]
        combined = np.einsum("nvd,nd->nv", both, weights)
        combined -= combined.max(axis=-1, keepdims=True)
        probabilities = np.exp(combined)
        probabilities /= probabilities.sum(axis=-1, keepdims=True)
        rows = np.arange(len(targets))
        nats: Nats = -np.log(probabilities[rows, targets])
        weighted = probabilities[..., None] * both
        means = weighted.sum(axis=1)
        gradients = means - both[rows, targets]
        curvatures = np.einsum("nvd,nve->nde", weighted, both) - means[:, :, None] * means[:, None]
        self._by_order.learn(orders, gradients, curvatures)
        self._by_token.learn(last_tokens, gradients, curvatures)
        return nats


class _Weights:
    """Pairs of weights of network and counts, which learn by Newton steps.

    Attributes:
        values: Shape (N, 2).
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self._curvatures = np.tile(5 * PRIOR * np.eye(2), (len(values), 1, 1))

    def learn(
        self,
        chosen: NDArray[np.int64],
        gradients: NDArray[np.float64],
        curvatures: NDArray[np.float64],
    ) -> None:
        """Take a step with each pair that was used.

        Args:
            chosen: The pair that was used at each position, shape (P,).
            gradients: Of −ln p with respect to it, shape (P, 2).
            curvatures: The second derivatives, shape (P, 2, 2).
        """
        for pair in np.unique(chosen):
            used = chosen == pair
            self._curvatures[pair] *= FADING ** int(used.sum())
            self._curvatures[pair] += curvatures[used].sum(axis=0)
            damped = self._curvatures[pair] + PRIOR * np.eye(2)
            step = np.linalg.solve(damped, gradients[used].sum(axis=0))
            values = self.values[pair] - step
            self.values[pair] = np.clip(values, -LARGEST_WEIGHT, LARGEST_WEIGHT)


def adaptive_score(checkpoint: Checkpoint, text: str, *, name: str) -> Score:
    """Return the score of `text` by counts and weights that learn it as they read.

    The examples of the text are read one after another. The checkpoint is of one direction; it
    may be without counts.

    Raises:
        CorpusError: If the model is of pairs and a line of `name` is not a pair.
    """
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    network = Runtime(config, checkpoint.arrays)
    table = checkpoint.ngrams.get(config.directions[0]) or NGramTable.empty(
        config.outputs(tokenizer.vocab_size), tokenizer.boundary_id
    )
    examples = examples_of(text, config, name)
    windows = windows_of(examples, tokenizer, config)
    if config.direction == "backward":  # in reading order again
        windows = windows.select(np.arange(len(windows.begin))[::-1])
    combination = AdaptiveCombination(table, windows.ids, windows.prefix)
    block = max(1, min(BLOCK, MOST_NUMBERS // table.outputs))
    cut, _ = windows.cut()
    nats: list[float] = []
    for first in range(0, len(cut.begin), WINDOWS_AT_ONCE):
        part = cut.select(np.arange(first, min(first + WINDOWS_AT_ONCE, len(cut.begin))))
        low = int(part.first.min())
        features = np.empty((int(part.stop.max()) - low, network.feature_size), np.float32)
        for _, some, positions in predict_windows(network, part):
            features[positions - low] = some
        for begin, end in zip(part.first.tolist(), part.stop.tolist(), strict=True):
            for start in range(begin, end, block):
                stop = min(start + block, end)
                logits = network.logits(features[start - low : stop - low])
                nats.append(float(combination.score(logits, start, stop).sum()))
    texts = [scored_text(example, config.task) for example in examples]
    return Score(
        nats=math.fsum(nats),
        tokens=int((windows.stop - windows.first).sum()),
        characters=sum(map(len, texts)),
        bytes=sum(len(utf8(text)) for text in texts),
    )
