"""A network and counts whose counts and weights learn a text while they score it.

The counts of what was read stand on those of the training text. The weights of the product of
experts (`combination.py`) are sums of two: one depends on how long a context either holds, one on
the last token. All take a Newton step after each block. Each block is scored before anything
learns it.
"""

import math
from collections.abc import Sequence

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
START = (0.7, 0.3)  # weights of the first network and counts where the text itself is known
PRIOR = 20.0  # tokens that the start is worth, at a variance of 1 nat
LARGEST_WEIGHT = 3.0
FADING = 0.9995  # of what the weights have learnt, with each token


class AdaptiveCombination:
    """Scores the tokens of a text in their order, and learns from them."""

    def __init__(
        self,
        table: NGramTable,
        ids: Integers,
        prefix: Integers | None = None,
        *,
        networks: int = 1,
    ) -> None:
        """Begin a text: `ids` in reading order, with a boundary before each example.

        The networks read the `prefix` between a boundary and a text.
        """
        self._table, self._ids = table, ids
        self._head = [table.boundary_id, *([] if prefix is None else prefix.tolist())]
        self._boundaries = np.flatnonzero(ids == table.boundary_id)
        self._counts = AdaptiveCounts(ids)
        # Of each order that the text knows, 0 included, and each that the table knows.
        start = np.zeros((LONGEST + 1, table.order + 1, networks + 1))
        start[..., [0, -1]] = START
        start[0][:, [0, -1]] = table.weights
        self._by_order = _Weights(start.reshape(-1, networks + 1))
        # By the last token that was read.
        self._by_token = _Weights(np.zeros((table.boundary_id + 1, networks + 1)))

    def score(self, logits: Sequence[Floats], start: int, stop: int) -> Nats:
        """Return −ln p of ids [start, stop), given the logits of each network, and learn them.

        The ids are of one example; the logits have one row for each, shape (N, outputs).
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
        both = np.stack([*logits, np.log(shares)], axis=-1, dtype=np.float64)
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
        curvatures = weighted.transpose(0, 2, 1) @ both - means[:, :, None] * means[:, None]
        self._by_order.learn(orders, gradients, curvatures)
        self._by_token.learn(last_tokens, gradients, curvatures)
        return nats


class _Weights:
    """Sets of weights of E experts, networks and counts, which learn by Newton steps.

    Attributes:
        values: Shape (N, E).
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self._prior = PRIOR * np.eye(values.shape[1])
        self._curvatures = np.tile(5 * self._prior, (len(values), 1, 1))

    def learn(
        self,
        chosen: NDArray[np.int64],
        gradients: NDArray[np.float64],
        curvatures: NDArray[np.float64],
    ) -> None:
        """Take a step with each set that was used.

        Args:
            chosen: The set that was used at each position, shape (P,).
            gradients: Of −ln p with respect to it, shape (P, E).
            curvatures: The second derivatives, shape (P, E, E).
        """
        sets, numbers, counts = np.unique(chosen, return_inverse=True, return_counts=True)
        self._curvatures[sets] *= FADING ** counts[:, None, None]
        np.add.at(self._curvatures, chosen, curvatures)
        gradient = np.zeros((len(sets), gradients.shape[1]))
        np.add.at(gradient, numbers, gradients)
        damped = self._curvatures[sets] + self._prior
        values = self.values[sets] - np.linalg.solve(damped, gradient[..., None])[..., 0]
        self.values[sets] = np.clip(values, -LARGEST_WEIGHT, LARGEST_WEIGHT)


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
                nats.append(float(combination.score([logits], start, stop).sum()))
    texts = [scored_text(example, config.task) for example in examples]
    return Score(
        nats=math.fsum(nats),
        tokens=int((windows.stop - windows.first).sum()),
        characters=sum(map(len, texts)),
        bytes=sum(len(utf8(text)) for text in texts),
    )
