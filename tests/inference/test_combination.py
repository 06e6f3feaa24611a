"""A network and counts predict as one: a probability, one score, and nothing of the target."""

import math
from dataclasses import replace

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.corpus.ngrams import count_corpus
from charlm.inference import combination_weights
from charlm.inference.adaptive import AdaptiveCombination, adaptive_score
from charlm.inference.combination import Combination, network_of
from charlm.inference.combination_weights import fit_weights, with_ngrams
from charlm.inference.model import Model
from charlm.inference.runtime import Runtime, log_softmax
from charlm.inference.scoring import windows_of
from charlm.ngram import NGramTable
from charlm.parameters import parameters

TEXT = "the cat sat on the mat, and the dog sat on the log.\n\nwhere did the cat go?\n\n" * 40
WEIGHTS = [(1.0, 0.3), (0.9, 0.4), (0.8, 0.5), (0.6, 0.2)]


@pytest.fixture
def with_counts(corpus_of):
    """Build a random network beside real counts, and its corpus."""

    def build(kind="char", text=TEXT, *, task="text", direction="forward", order=3, **config):
        corpus = corpus_of(text, tokenizer=kind, task=task, **config)
        model = ModelConfig(
            embedding_size=6,
            hidden_size=8,
            task=task,
            direction=direction,
            begins_after=corpus.config.begins_after or "",
            predicts_end=bool(corpus.config.predicts_end),
        )
        generator = np.random.default_rng(0)
        arrays = {
            parameter.name: generator.standard_normal(parameter.shape, np.float32) / 2
            for parameter in parameters(model, corpus.tokenizer.vocab_size)
        }
        checkpoint = Checkpoint(config=model, tokenizer=corpus.tokenizer, arrays=arrays)
        tables = {
            name: replace(table, weights=np.array(WEIGHTS, np.float32)[: table.order + 1])
            for name, table in count_corpus(corpus, model, order=order, seconds=None).items()
        }
        return replace(checkpoint, ngrams=tables), corpus

    return build


def log_probabilities(model, ids):
    """Return the log-probabilities after a boundary and each id, one after another."""
    network, state = model.runtime(), model.runtime().zero_state(1)
    rows = []
    for token in [model.tokenizer.boundary_id, *ids]:
        logits, state = network.predict(np.array([token]), state)
        rows.append(log_softmax(logits)[0])
    return np.array(rows)


def test_the_logits_are_the_weighted_sum_of_both_experts(with_counts):
    checkpoint, _ = with_counts()
    table = checkpoint.ngrams["forward"]
    both, alone = Model(checkpoint), Model(replace(checkpoint, ngrams={}))
    ids = both.tokenizer.encode("the cat").tolist()
    boundary = both.tokenizer.boundary_id
    known = [[-1, -1, boundary], [-1, boundary, ids[0]], [boundary, *ids[:2]], ids[:3]]
    matched, ratios = table.log_ratios(np.array(known))
    a, b = table.weights[matched].T
    expected = a[:, None] * log_probabilities(alone, ids)[:4] + b[:, None] * ratios

    assert log_probabilities(both, ids)[:4] == pytest.approx(log_softmax(expected), abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "task"), [("char", "text"), ("word", "text"), ("bpe", "lines"), ("byte", "lines")]
)
def test_all_ways_of_scoring_agree(with_counts, kind, task):
    checkpoint, _ = with_counts(kind, task=task)
    model = Model(checkpoint)
    text = TEXT[:300].replace("\n\n", "\n") + "zebra 客\n"
    score = model.score(text)
    tokens = model.score_tokens(text)
    by_line = [line.nats for line in model.score_lines(text.splitlines())]

    assert tokens.nats.sum() == pytest.approx(score.nats, abs=1e-3)
    if task == "lines":
        assert math.fsum(by_line) == pytest.approx(score.nats, abs=1e-3)
    else:
        carried = model.score_lines(text.splitlines(keepends=True), carry=True)
        assert math.fsum(line.nats for line in carried) == pytest.approx(score.nats, abs=1e-3)
    assert score.nats != pytest.approx(Model(replace(checkpoint, ngrams={})).score(text).nats)


def test_pytorch_scores_the_same(with_counts):
    import torch

    from charlm.training.scoring import Scorer

    for settings in ({}, {"kind": "word"}, {"task": "lines"}, {"order": 0}):
        checkpoint, _ = with_counts(**settings)
        expected = Model(checkpoint).score(TEXT)
        score = Scorer(checkpoint, torch.device("cpu")).score(TEXT)

        assert score.nats == pytest.approx(expected.nats, abs=1e-4 * expected.tokens)


def test_a_long_text_and_its_pieces_have_one_score(with_counts, monkeypatch):
    checkpoint, _ = with_counts()
    model = Model(checkpoint)
    expected = model.score(TEXT)
    monkeypatch.setattr("charlm.corpus.windows.SEGMENT_LENGTH", 300)
    monkeypatch.setattr("charlm.inference.scoring.MOST_LOGITS", 1000)

    assert model.score(TEXT).nats == pytest.approx(expected.nats, abs=1e-4 * expected.tokens)


def test_a_text_is_generated_alone_as_among_others(with_counts):
    model = Model(with_counts()[0])
    alone = model.generate("the ", length=40, rng_seed=(5, 1, 0))
    many = list(model.generate_many(["cat ", "the ", ""], length=40, rng_seed=5))

    assert many[1].text == alone


def test_both_directions_have_counts_of_their_own(with_counts):
    checkpoint, _ = with_counts(direction="both", task="lines")
    text = "the cat sat on the mat, and the dog sat on the log."
    forward, backward = (
        Model(checkpoint.for_direction(direction)).score(text).nats
        for direction in ("forward", "backward")
    )
    model = Model(checkpoint)

    assert checkpoint.ngrams.keys() == {"forward", "backward"}
    assert model.score(text, direction="forward").nats == pytest.approx(forward)
    assert model.score(text, direction="backward").nats == pytest.approx(backward)
    assert model.pseudo_score(text).nats > 0
    assert len(model.generate("the ", ending="log.", length=10, rng_seed=1)) <= 10


def test_models_with_counts_are_saved_loaded_and_mixed(with_counts, tmp_path):
    checkpoint, _ = with_counts()
    checkpoint.save(tmp_path / "model")
    model = Model(Checkpoint.load(tmp_path / "model"))

    assert model.score(TEXT).nats == pytest.approx(Model(checkpoint).score(TEXT).nats)
    mixed = model.mixed(Model(replace(checkpoint, ngrams={})), 1.0)
    assert mixed.score(TEXT[:99]).nats == pytest.approx(model.score(TEXT[:99]).nats, rel=1e-5)


def test_fitted_weights_are_those_that_score_best(with_counts, monkeypatch):
    monkeypatch.setattr(combination_weights, "PRIOR", 1e-3)
    checkpoint, corpus = with_counts()
    network = Runtime(checkpoint.config, checkpoint.arrays)
    windows = windows_of([TEXT[-900:]], checkpoint.tokenizer, checkpoint.config)
    table = checkpoint.ngrams["forward"]
    weights, gain = fit_weights(network, table, windows)
    fitted = replace(table, weights=weights)

    def nats(weights):
        ngrams = {"forward": replace(table, weights=weights)}
        return Model(replace(checkpoint, ngrams=ngrams)).score(TEXT[-900:]).nats

    best = nats(fitted.weights)
    assert best < nats(np.tile(np.float32([1, 0]), (table.order + 1, 1)))
    for change in ([0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]):
        assert nats(fitted.weights + np.float32(change)) > best
    assert gain > 0
    again = with_ngrams(replace(checkpoint, ngrams={}), {"forward": table}, corpus.validation)
    assert again.ngrams["forward"].weights.shape == (table.order + 1, 2)


def test_the_held_out_part_is_not_counted(with_counts):
    checkpoint, corpus = with_counts(text="abcd\n" * 300 + "wxyz\n" * 40)
    counts = checkpoint.ngrams["forward"].unigrams

    assert corpus.validation.characters == 170
    assert counts[checkpoint.tokenizer.encode("a")[0]] > 0
    assert counts.sum() < 60  # numbers of different tokens before


def test_pairs_have_no_counts(with_counts):
    """They know the target alone, but what is likely in it depends on the source."""
    checkpoint, _ = with_counts(text="abc\txyz\nbca\tyzx\n" * 30, task="pairs")

    assert checkpoint.ngrams == {}


def test_counts_that_do_not_help_are_left_out(with_counts):
    """The held-out text is the reverse of what was counted, and the network knows no better."""
    checkpoint, corpus = with_counts(text="abcdefgh\n" * 200 + "hgfedcba\n" * 23)
    table = checkpoint.ngrams["forward"]
    still = replace(
        checkpoint,
        ngrams={},
        arrays={name: np.zeros_like(array) for name, array in checkpoint.arrays.items()},
    )
    useless = replace(table, unigrams=np.zeros_like(table.unigrams), contexts=[])
    useless = replace(useless, weights=useless.weights[:1], discounts=useless.discounts[:1])

    assert with_ngrams(still, {"forward": useless}, corpus.validation) is still


@pytest.mark.parametrize("task", ["text", "lines"])
def test_an_adaptive_score_is_no_worse_on_a_text_that_repeats_itself(with_counts, task):
    checkpoint, _ = with_counts(task=task)
    text = "zebras quarrel with wombats by night.\n" * 40
    static, adaptive = Model(checkpoint).score(text), adaptive_score(checkpoint, text, name="x")

    assert (adaptive.tokens, adaptive.characters) == (static.tokens, static.characters)
    assert adaptive.nats < 0.3 * static.nats
    without = adaptive_score(replace(checkpoint, ngrams={}), text, name="x")
    assert without.nats < Model(replace(checkpoint, ngrams={})).score(text).nats


def test_an_adaptive_prediction_never_looks_at_its_target(with_counts):
    """Another target changes no probability of the tokens before it, nor the sum at its place."""
    checkpoint, _ = with_counts()
    table, tokenizer = checkpoint.ngrams["forward"], checkpoint.tokenizer
    ids = np.array([tokenizer.boundary_id, *tokenizer.encode(TEXT[:200])])
    logits = np.random.default_rng(0).standard_normal((100, table.outputs)).astype(np.float32)
    total, before = 0.0, set()
    for target in range(table.outputs):
        changed = ids.copy()
        changed[101] = target
        combination = AdaptiveCombination(table, changed)
        before.add(float(combination.score([logits], 1, 101).sum()))
        total += math.exp(-float(combination.score([logits[:1]], 101, 102)[0]))

    assert len(before) == 1
    assert total == pytest.approx(1, abs=1e-6)


def test_the_better_of_two_networks_gets_the_weight():
    """Of two tokens at random one network knows the next, and the other is as sure of the wrong."""
    ids = np.append(2, np.random.default_rng(0).integers(0, 2, 4096))
    right = np.where(ids[1:, None] == [0, 1], 1.0, -1.0).astype(np.float32)
    combination = AdaptiveCombination(NGramTable.empty(2, 2), ids, networks=2)
    nats = [
        combination.score([-right[at : at + 256], right[at : at + 256]], at + 1, at + 257).mean()
        for at in range(0, 4096, 256)
    ]

    assert nats[0] > 0.69  # ln 2
    assert nats[-1] < 0.05


def test_without_counts_a_network_predicts_alone(with_counts):
    checkpoint, _ = with_counts()

    assert isinstance(network_of(checkpoint), Combination)
    assert isinstance(network_of(replace(checkpoint, ngrams={})), Runtime)
