"""The networks with an encoder in PyTorch and in NumPy: equal, whatever stands side by side."""

import numpy as np
import pytest
import torch

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.inference.classifier import Classifier
from charlm.inference.encoder_decoder import EncoderDecoder
from charlm.tokenizers import CharacterTokenizer
from charlm.training.networks import build_network

TOKENIZER = CharacterTokenizer("abcdefgh")
V = TOKENIZER.vocab_size  # also the boundary
CELLS = ("lstm", "gru", "rnn")
# Ids of some letters, and of a byte.
A, B, C, D, BYTE = 256, 257, 258, 259, 65


def network_of(config):
    """Return a network with random weights that are not small, and what NumPy needs of it."""
    torch.manual_seed(0)
    network = build_network(config, V).eval()
    network.initialise(np.arange(config.outputs(V)))
    with torch.no_grad():
        for tensor in network.tensors().values():
            tensor.add_(0.3 * torch.randn_like(tensor))
    return network


def batch_of(rows, scored):
    """Return padded inputs, and which positions are scored, as tensors."""
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    is_scored = torch.zeros(len(rows), length, dtype=torch.bool)
    for number, (row, places) in enumerate(zip(rows, scored, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        is_scored[number, places] = True
    return ids, is_scored


def logits_of(network, rows, scored):
    """Return the logits at the scored positions, by PyTorch."""
    with torch.no_grad():
        features, _ = network.read(*batch_of(rows, scored))
        return network.output(features).numpy()


PAIRS = [
    [V, A, B, C, V, D, A],  # a source of three tokens, a target of two
    [V, BYTE, V, A, B, C, D],
    [V, A, A, A, A, A, V],
]
SCORED = [[4, 5, 6], [2, 3, 4, 5, 6], [6]]  # from the second boundary on


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": "attention"},
        {"encoder": "attention", "tie_weights": True},
        {"encoder": "attention", "num_layers": 2, "residual": True},
        {"encoder": "context"},
        {"encoder": "context", "num_layers": 2, "tie_weights": True},
    ],
)
def test_numpy_reads_pairs_as_pytorch_does(cell, settings):
    config = ModelConfig(task="pairs", cell=cell, hidden_size=8, embedding_size=6, **settings)
    network = network_of(config)
    numpy_network = EncoderDecoder(config, network.to_arrays())
    state = numpy_network.zero_state(len(PAIRS))
    columns = []
    for ids in np.array(PAIRS).T:
        features, state = numpy_network.step(ids, state)
        columns.append(numpy_network.logits(features))
    by_numpy = np.concatenate(
        [np.stack(columns, axis=1)[row, places] for row, places in enumerate(SCORED)]
    )

    assert by_numpy == pytest.approx(logits_of(network, PAIRS, SCORED), abs=1e-5)


def test_a_pair_does_not_depend_on_those_beside_it():
    config = ModelConfig(
        task="pairs", encoder="attention", tie_weights=True, hidden_size=8, embedding_size=6
    )
    network = network_of(config)
    alone = [logits_of(network, [row], [places]) for row, places in zip(PAIRS, SCORED, strict=True)]

    assert np.concatenate(alone) == pytest.approx(logits_of(network, PAIRS, SCORED), abs=1e-5)


def test_a_pair_whose_source_was_cut_predicts_nothing():
    config = ModelConfig(task="pairs", encoder="attention", hidden_size=8, embedding_size=6)
    network = network_of(config)
    with_cut = logits_of(network, [PAIRS[0], [V, A, B, C, D, A, A]], [SCORED[0], []])

    assert with_cut == pytest.approx(logits_of(network, PAIRS[:1], SCORED[:1]), abs=1e-5)


@pytest.mark.parametrize("encoder", ["attention", "context"])
def test_sources_that_are_read_at_once_are_read_as_token_by_token(encoder):
    config = ModelConfig(
        task="pairs", encoder=encoder, tie_weights=True, hidden_size=8, embedding_size=6
    )
    network = EncoderDecoder(config, network_of(config).to_arrays())
    sources = [[A, B, C], [BYTE], [A, A, D, B, C]]
    state, left = network.start([[V, *source, V] for source in sources])
    at_once, state = network.step(np.array([V] * len(sources)), state)
    next_at_once, _ = network.step(np.array([A, B, C]), state)

    assert left == 1
    for row, (source, token) in enumerate(zip(sources, (A, B, C), strict=True)):
        state = network.zero_state(1)
        for read in [V, *source, V]:
            alone, state = network.step(np.array([read]), state)
        next_alone, _ = network.step(np.array([token]), state)
        assert at_once[row] == pytest.approx(alone[0], abs=1e-5)
        assert next_at_once[row] == pytest.approx(next_alone[0], abs=1e-5)


def test_attention_is_spread_over_the_source_alone():
    config = ModelConfig(task="pairs", encoder="attention", hidden_size=8, embedding_size=6)
    network = EncoderDecoder(config, network_of(config).to_arrays())
    weights = network.attention([A, B, C], [D, A])

    assert weights.shape == (3, 3)
    assert weights.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)


def test_a_copied_token_gets_the_attention_of_its_place():
    """All weights are zero but the embedding's, so the gate is half open, at 5 of 10."""
    config = ModelConfig(
        task="pairs", encoder="attention", tie_weights=True, hidden_size=4, embedding_size=V + 1
    )
    network = build_network(config, V)
    with torch.no_grad():
        for tensor in network.tensors().values():
            tensor.zero_()
        network.embedding.weight.copy_(torch.eye(V + 1))
    logits = logits_of(network, [[V, A, A, B, V]], [[4]])

    assert logits[0, A] == pytest.approx(5 * 2 / 3)
    assert logits[0, B] == pytest.approx(5 * 1 / 3)
    assert logits[0, C] == 0


def classifier_of(config, network):
    return Classifier(Checkpoint(config=config, tokenizer=TOKENIZER, arrays=network.to_arrays()))


def log_probabilities(logits):
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_numpy_labels_texts_as_pytorch_does(cell, num_layers):
    config = ModelConfig(
        task="labels", num_classes=3, cell=cell, hidden_size=8, embedding_size=6,
        num_layers=num_layers,
    )  # fmt: skip
    network = network_of(config)
    texts = [[A, B, C], [D], [], [BYTE, A]]
    rows = [[V, *text, V, 0] for text in texts]
    by_torch = logits_of(network, rows, [[len(text) + 1] for text in texts])
    by_numpy = classifier_of(config, network).labels([np.array(text, int) for text in texts])

    assert by_numpy == pytest.approx(log_probabilities(by_torch), abs=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_numpy_tags_sentences_as_pytorch_does(cell, num_layers):
    config = ModelConfig(
        task="tags", num_classes=3, cell=cell, hidden_size=8, embedding_size=6,
        num_layers=num_layers,
    )  # fmt: skip
    network = network_of(config)
    sentences = [[[A, B], [C]], [[D]], [[A], [], [B, C, D, A]]]
    rows, scored = [], []
    for sentence in sentences:
        row, places = [V], []
        for token in sentence:
            row += [*token, V, 7, V]  # 7 stands for the tag, which is not read
            places.append(len(row) - 3)
        rows.append(row)
        scored.append(places)
    by_torch = logits_of(network, rows, scored)
    classifier = classifier_of(config, network)
    by_numpy = classifier.tags([[np.array(t, int) for t in sentence] for sentence in sentences])

    assert [len(tags) for tags in by_numpy] == [2, 1, 3]
    assert np.concatenate(by_numpy) == pytest.approx(log_probabilities(by_torch), abs=1e-5)
