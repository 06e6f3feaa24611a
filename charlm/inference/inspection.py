"""What a network computes at each token of a text, for who studies it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from charlm.cells import CELLS
from charlm.checkpoint import Checkpoint
from charlm.corpus.windows import prefix_of
from charlm.errors import ConfigError
from charlm.inference.combination import Combination
from charlm.inference.runtime import Floats, Runtime, log_softmax
from charlm.inference.scoring import examples_of, ids_of_examples


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkState:
    """What a network of L layers of H units has computed when it has read a token.

    V is the number of tokens that may come next: the vocabulary and, in a model of lines, pairs or
    several documents, the end.

    Attributes:
        id: The token that was read.
        token: Its text or its byte; None for the boundary before a text.
        hidden: The output h of each layer, shape (L, H).
        cell: The cell state c of each layer, shape (L, H); None if the cell is no LSTM.
        gates: The activations of the gates of each layer, each of shape (L, H), by name: of an
            LSTM "input", "forget", "cell" and "output", of a GRU "reset", "update" and "new", of a
            simple RNN "hidden".
        logits: Those of the network alone for the next token, shape (V,).
        log_probabilities: ln p of the next token, shape (V,): the logarithm of the softmax of the
            logits, or of network and counts together if the model has counts.
    """

    id: int
    token: str | int | None
    hidden: Floats = field(repr=False)
    cell: Floats | None = field(repr=False)
    gates: Mapping[str, Floats] = field(repr=False)
    logits: Floats = field(repr=False)
    log_probabilities: Floats = field(repr=False)


def network_states(checkpoint: Checkpoint, text: str) -> Iterator[NetworkState]:
    """Return an iterator over the states of a network of one direction that reads `text`.

    Raises:
        ConfigError: If an encoder reads the sources.
        CorpusError: If the model is of pairs and a line is not a pair.
    """
    if checkpoint.config.has_encoder:
        raise ConfigError("states are those of one network, and this one has an encoder, too")
    return _states_of_examples(checkpoint, examples_of(text, checkpoint.config, "the text") or [""])


def _states_of_examples(checkpoint: Checkpoint, examples: Sequence[str]) -> Iterator[NetworkState]:
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    network = Runtime(config, checkpoint.arrays)
    counts = checkpoint.ngrams.get(config.directions[0])
    predictor = network if counts is None else Combination(network, counts)
    tokens = (*tokenizer.pieces, None)
    prefix = [] if (ids := prefix_of(tokenizer, config)) is None else ids.tolist()
    has_cell_state = "cell" in CELLS[config.cell].state
    for example in examples:
        boundary, *ids = ids_of_examples([example], tokenizer, config)[:-1].tolist()
        state = predictor.zero_state(1)
        for token in [boundary, *prefix][:-1]:
            _, state = predictor.step(np.array([token]), state)
        last = [boundary, *prefix][-1]
        for index, token in enumerate([last, *ids]):
            gates = network.gates(np.array([token]), state[: config.num_layers])
            features, state = predictor.step(np.array([token]), state)
            layers = state[: config.num_layers]
            yield NetworkState(
                id=token if index else boundary,
                token=tokens[token] if index else None,
                hidden=np.concatenate([layer[0] for layer in layers]),
                cell=np.concatenate([layer[1] for layer in layers]) if has_cell_state else None,
                gates={name: np.concatenate([layer[name] for layer in gates]) for name in gates[0]},
                logits=network.logits(features[:, : network.feature_size])[0],
                log_probabilities=log_softmax(predictor.logits(features)[0]),
            )
