"""A network in PyTorch gives a text the score that NumPy gives it, on any device."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from devices import DEVICES

from charlm.corpus.windows import CONTEXT_LENGTH, MOST_ROWS, SEGMENT_LENGTH
from charlm.errors import CheckpointError, CorpusError
from charlm.inference.model import Model
from charlm.inference.scoring import Score, windows_of
from charlm.training.network import load_language_model
from charlm.training.scoring import LONGEST_WINDOW, Scorer, batch_count, batch_nats

CPU = torch.device("cpu")
CELLS = [
    {"cell": "lstm"},
    {"cell": "gru"},
    {"cell": "rnn"},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"cell": "lstm", "num_layers": 3, "hidden_size": 6, "residual": True},
]
TEXTS = {
    "text": "a bad cab\nfed a cafe, gab, hag\n" * 9,
    "lines": "a bad cab\n\nfed a cafe\r\n" + "g" * 200 + "\nh",
    "pairs": "cab\tbed\n\thad\nhead\t\nfade a bag\tdeaf, and a long answer " + "e" * 99,
}
DIRECTIONS = [  # of pairs there is but one
    (task, direction)
    for task in TEXTS
    for direction in ("forward", "backward")[: 1 if task == "pairs" else 2]
]


def assert_same(found, wanted):
    assert (found.tokens, found.characters, found.bytes) == (
        wanted.tokens,
        wanted.characters,
        wanted.bytes,
    )
    assert found.nats == pytest.approx(wanted.nats, abs=1e-5 * wanted.tokens)


def scored_by_both(checkpoint, text, device=CPU):
    return Scorer(checkpoint, device).score(text), Model(checkpoint).score(text)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize(("task", "direction"), DIRECTIONS)
def test_every_form_scores_as_in_numpy(random_checkpoint, task, direction, device):
    checkpoint = random_checkpoint(task=task, direction=direction)

    assert_same(*scored_by_both(checkpoint, TEXTS[task], device))


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("config", CELLS, ids=lambda config: "-".join(map(str, config.values())))
@pytest.mark.parametrize("tied", [False, True])
def test_every_network_scores_as_in_numpy(random_checkpoint, config, tied, device):
    checkpoint = random_checkpoint(tie_weights=tied, **config)

    assert_same(*scored_by_both(checkpoint, TEXTS["text"], device))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_of_both_directions_each_scores_as_in_numpy(random_checkpoint, direction):
    both = random_checkpoint(direction="both")
    found = Scorer(both.for_direction(direction), CPU).score(TEXTS["text"])

    assert_same(found, Model(both).score(TEXTS["text"], direction=direction))


def test_documents_are_each_read_from_nothing(random_checkpoint):
    checkpoint = random_checkpoint(document_separator="%")

    assert_same(*scored_by_both(checkpoint, "a bad cab%%a bad cab%a cafe, fed%"))


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_of_nothing_the_score_is_nothing(random_checkpoint, text):
    assert Scorer(random_checkpoint(task="lines"), CPU).score(text) == Score()


def test_what_is_certain_scores_what_was_asked_of_it(unigram_checkpoint):
    """Of "aab" and its end: 2 × ln 2 + 2 × ln 4 nats."""
    checkpoint = unigram_checkpoint({"a": 1 / 2, "b": 1 / 4, None: 1 / 4}, task="lines")
    found = Scorer(checkpoint, CPU).score("aab\n")

    assert (found.tokens, found.characters, found.bytes) == (4, 4, 4)
    assert found.nats == pytest.approx(6 * math.log(2))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_long_text_is_cut_and_scores_as_one_stream(random_checkpoint, direction):
    """Three segments are read side by side, in the time of one and what each reads before."""
    checkpoint = random_checkpoint(direction=direction)
    text = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 3 * SEGMENT_LENGTH))
    windows = windows_of([text], checkpoint.tokenizer, checkpoint.config)
    in_one = math.fsum(
        nats for nats, *_ in batch_nats(load_language_model(checkpoint, CPU), windows)
    )
    found, wanted = scored_by_both(checkpoint, text)

    assert batch_count(windows, checkpoint.config) == 3 * SEGMENT_LENGTH // LONGEST_WINDOW
    assert (
        batch_count(windows.cut()[0], checkpoint.config)
        == (SEGMENT_LENGTH + CONTEXT_LENGTH) // LONGEST_WINDOW
    )
    assert_same(found, wanted)
    assert found.nats == pytest.approx(in_one, abs=1e-4 * found.tokens)


@pytest.mark.parametrize("encoder", ["attention", "context"])
def test_a_long_target_is_not_cut_from_its_source(random_checkpoint, encoder):
    checkpoint = random_checkpoint(task="pairs", encoder=encoder, hidden_size=8)
    text = "abc\t" + "abcdefgh" * (SEGMENT_LENGTH // 3)

    assert_same(*scored_by_both(checkpoint, f"{text}\nh\tgf\n"))


def test_more_lines_than_are_read_at_once_score_as_in_numpy(random_checkpoint):
    checkpoint = random_checkpoint(task="lines")
    lines = ["abcdefgh"[number % 8] * (number % 90 + 1) for number in range(MOST_ROWS + 50)]

    assert_same(*scored_by_both(checkpoint, "\n".join(lines)))


def test_logits_are_made_a_few_at_a_time(random_checkpoint, monkeypatch):
    """The vocabulary has some 264 tokens, so 1,000 logits are those of 3 predictions."""
    scorer = Scorer(random_checkpoint(), CPU)
    whole = scorer.score(TEXTS["text"])
    monkeypatch.setattr("charlm.inference.scoring.MOST_LOGITS", 1000)
    made = []
    scorer.network.output.register_forward_hook(lambda *passed: made.append(len(passed[-1])))

    assert scorer.score(TEXTS["text"]).nats == pytest.approx(whole.nats, rel=1e-6)
    assert max(made) == 3
    assert sum(made) == whole.tokens


def test_products_are_not_rounded_to_ten_bits(random_checkpoint):
    """As cuDNN does by default, for which this is nothing else than what it was afterwards."""
    rnn = torch.backends.cudnn.rnn
    before = rnn.fp32_precision
    scorer, seen = Scorer(random_checkpoint(), CPU), []
    scorer.network.embedding.register_forward_hook(lambda *_: seen.append(rnn.fp32_precision))
    scorer.score("abc")

    assert seen == ["ieee"]
    assert rnn.fp32_precision == before


def test_a_relu_that_grows_beyond_all_bounds_is_told(random_checkpoint):
    """NumPy cuts it off at a million; twenty times as much each step is beyond after five."""
    checkpoint = random_checkpoint(cell="rnn", nonlinearity="relu")
    arrays = {
        **checkpoint.arrays,
        "recurrent.0.weight_hh": 20 * np.eye(7, dtype=np.float32),
        "recurrent.0.bias": np.ones(7, np.float32),
    }
    scorer = Scorer(replace(checkpoint, arrays=arrays), CPU)

    assert math.isfinite(scorer.score("abc").nats)
    for text in ("abcdefgh", "abcdefgh" * 30):  # a large number; none
        with pytest.raises(CheckpointError, match="grow beyond all bounds") as caught:
            scorer.score(text)
        assert caught.value.hint == "score it without --device"


def test_a_line_that_is_no_pair_is_told(random_checkpoint):
    with pytest.raises(CorpusError, match=r"test\.tsv"):
        Scorer(random_checkpoint(task="pairs"), CPU).score("cab\n", name="test.tsv")
