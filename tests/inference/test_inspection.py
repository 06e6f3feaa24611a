"""The states of a network are those of the textbook, and predict what the model predicts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from reference import CELLS, sigmoid

import charlm
from charlm.errors import ConfigError
from charlm.inference.model import Model

TEXT = "abcahgfedcab"


def textbook_states(checkpoint, ids):
    """Yield the state vectors of each layer after each of `ids`, in float64."""
    config, arrays = checkpoint.config, checkpoint.arrays
    step, vectors = CELLS[config.cell]
    states = [[np.zeros(config.hidden_size)] * vectors for _ in range(config.num_layers)]
    for token in ids:
        x = arrays["embedding.weight"][token].astype(np.float64)
        for layer in range(config.num_layers):
            w, u, b = (
                arrays[f"recurrent.{layer}.{name}"] for name in ("weight_ih", "weight_hh", "bias")
            )
            states[layer], _ = step(x, states[layer], w, u, b, config.nonlinearity)
            x = states[layer][0] + x if config.residual and layer > 0 else states[layer][0]
        yield [list(vectors) for vectors in states], x


@pytest.mark.parametrize(
    "size",
    [
        {},
        {"num_layers": 2},
        {"cell": "gru", "num_layers": 2},
        {"cell": "rnn", "num_layers": 2, "residual": True},
        {"cell": "rnn", "nonlinearity": "relu"},
    ],
)
def test_states_and_logits_are_those_of_the_textbook(random_checkpoint, size):
    checkpoint = random_checkpoint(**size)
    states = list(Model(checkpoint).states(TEXT))
    boundary = checkpoint.tokenizer.boundary_id
    ids = [boundary, *checkpoint.tokenizer.encode(TEXT).tolist()]

    assert [state.id for state in states] == ids
    assert [state.token for state in states] == [None, *TEXT]
    for state, (expected, top) in zip(states, textbook_states(checkpoint, ids), strict=True):
        assert state.hidden == pytest.approx(np.array([layer[0] for layer in expected]), abs=1e-5)
        if checkpoint.config.cell == "lstm":
            assert state.cell == pytest.approx(np.array([layer[1] for layer in expected]), abs=1e-5)
        else:
            assert state.cell is None
        logits = checkpoint.arrays["output.weight"] @ top + checkpoint.arrays["output.bias"]
        assert state.logits == pytest.approx(logits, abs=1e-4)
        log_sum = np.log(np.exp(logits).sum())
        assert state.log_probabilities == pytest.approx(logits - log_sum, abs=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_gates_are_those_of_the_equations(random_checkpoint, cell):
    checkpoint = random_checkpoint(cell=cell)
    before, after = list(Model(checkpoint).states("ab"))[1:]
    arrays = checkpoint.arrays
    x, h = arrays["embedding.weight"][after.id], before.hidden[0]
    w, u, b = (arrays[f"recurrent.0.{name}"] for name in ("weight_ih", "weight_hh", "bias"))
    if cell == "lstm":
        i, f, g, o = np.split(w @ x + u @ h + b, 4)
        expected = {
            "input": sigmoid(i), "forget": sigmoid(f), "cell": np.tanh(g), "output": sigmoid(o)
        }  # fmt: skip
        c = after.gates["forget"] * before.cell + after.gates["input"] * after.gates["cell"]
        assert after.cell == pytest.approx(c, abs=1e-6)
        assert after.hidden == pytest.approx(after.gates["output"] * np.tanh(c), abs=1e-6)
    elif cell == "gru":
        (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(w @ x + b, 3), np.split(u @ h, 3)
        r = sigmoid(w_r + u_r)
        expected = {"reset": r, "update": sigmoid(w_z + u_z), "new": np.tanh(w_n + r * u_n)}
    else:
        expected = {"hidden": np.tanh(w @ x + u @ h + b)}

    assert list(after.gates) == list(expected)
    for name, gate in expected.items():
        assert after.gates[name] == pytest.approx(gate[None], abs=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"begins_after": "\n\n"},
        {"predicts_end": True, "document_separator": "\n%\n"},
        {"task": "lines"},
        {"direction": "backward", "begins_after": "\n\n"},
    ],
)
def test_the_sum_of_log_probabilities_is_the_score(random_checkpoint, config):
    model = Model(random_checkpoint(**config))
    text = TEXT + ("\n" if model.config.task == "lines" else "")
    states = list(model.states(text))
    nats = -sum(
        state.log_probabilities[following.id] for state, following in itertools.pairwise(states)
    )
    if model.config.predicts_boundary:
        nats -= states[-1].log_probabilities[model.tokenizer.boundary_id]

    assert len(states) == len(TEXT) + 1
    assert nats == pytest.approx(model.score(text).nats, abs=1e-4)


def test_counts_are_in_the_probabilities_and_not_in_the_logits(verse_checkpoint):
    assert verse_checkpoint.ngrams
    network_alone = Model(replace(verse_checkpoint, ngrams={}))
    for state, alone in zip(
        Model(verse_checkpoint).states("the cat"), network_alone.states("the cat"), strict=True
    ):
        assert (state.logits == alone.logits).all()
        assert (state.hidden == alone.hidden).all()
        assert np.exp(state.log_probabilities).sum() == pytest.approx(1, abs=1e-5)
        assert not np.allclose(state.log_probabilities, alone.log_probabilities, atol=1e-3)


def test_lines_and_pairs_have_a_first_state_each(random_checkpoint):
    lines = list(Model(random_checkpoint(task="lines")).states("ab\nab\n"))
    pairs = list(Model(random_checkpoint(task="pairs")).states("ab\tc\n"))

    assert [state.token for state in lines] == [None, "a", "b"] * 2
    assert (lines[0].hidden == lines[3].hidden).all()
    assert [state.token for state in pairs] == [None, "a", "b", None, "c"]


def test_an_empty_text_has_the_state_before_it(verse_checkpoint):
    [state] = Model(verse_checkpoint).states("")

    assert isinstance(state, charlm.NetworkState)
    assert repr(state) == f"NetworkState(id={state.id}, token=None)"


def test_a_mixture_has_no_states(verse_checkpoint):
    model = Model(verse_checkpoint)
    with pytest.raises(ValueError, match="a mixture of models has no checkpoint"):
        model.mixed(model).states("a")
    with pytest.raises(TypeError, match="text must be a str, got int"):
        model.states(5)


@pytest.mark.parametrize("encoder", ["attention", "context"])
def test_a_network_with_an_encoder_has_no_states(random_checkpoint, encoder):
    model = Model(random_checkpoint(task="pairs", encoder=encoder, hidden_size=8))

    with pytest.raises(ConfigError, match="this one has an encoder"):
        model.states("a\tb")
