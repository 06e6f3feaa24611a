"""Streams leave nothing out; segments score each token once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.corpus.layout import Segments, Streams

TO_BE = [*"to·be·or·not"]


def test_streams_are_folded_as_the_drawing_shows():
    streams = Streams(np.array([ord(letter) for letter in TO_BE]), batch_size=3, bptt_length=2)
    rows = [["".join(map(chr, row)) for row in streams.window(step)] for step in range(3)]

    # The first letter of each is the token before the window.
    assert [[row[1:] for row in window] for window in rows] == [
        ["to", "e·", "·n"],
        ["·b", "or", "ot"],
        ["e·", "·n", "to"],
    ]
    assert [row[0] for row in rows[1]] == ["o", "·", "n"]


@given(tokens=st.integers(1, 60), batch_size=st.integers(1, 7), bptt_length=st.integers(1, 9))
def test_a_stream_reads_on_where_its_last_window_ended(tokens, batch_size, bptt_length):
    streams = Streams(np.arange(tokens), batch_size, bptt_length)
    for step in range(5):
        window, following = streams.window(step), streams.window(step + 1)

        assert window.shape == (batch_size, bptt_length + 1)
        assert (following[:, 0] == window[:, -1]).all()
        assert (window[:, 1:] == (window[:, :-1] + 1) % tokens).all()


@given(length=st.integers(1, 30), batch_size=st.integers(1, 7), bptt_length=st.integers(1, 9))
def test_an_epoch_reads_every_token_equally_often(length, batch_size, bptt_length):
    tokens = length * batch_size * bptt_length  # whole windows
    streams = Streams(np.arange(tokens), batch_size, bptt_length)
    assert streams.steps_per_epoch == length

    read = np.concatenate([streams.window(step)[:, 1:].ravel() for step in range(length)])

    assert np.bincount(read, minlength=tokens).tolist() == [1] * tokens


@given(
    total=st.integers(1, 200),
    count=st.integers(1, 9),
    burn_in=st.integers(0, 40),
    length=st.integers(1, 50),
)
def test_segments_score_every_token_once(total, count, burn_in, length):
    segments = Segments(np.arange(total), 999, count, burn_in)
    scored = [targets[counts] for _, targets, counts in segments.windows(length)]

    assert sorted(np.concatenate(scored)) == list(range(total))


def test_a_segment_reads_the_tokens_before_its_own():
    [(inputs, targets, counts)] = Segments(np.arange(10), 99, 2, burn_in=2).windows(100)

    assert targets[1].tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert inputs[1].tolist() == [99, 3, 4, 5, 6, 7, 8]
    assert targets[1][counts[1]].tolist() == [5, 6, 7, 8, 9]
    assert targets[0][counts[0]].tolist() == [0, 1, 2, 3, 4]
    assert inputs[0][:5].tolist() == [99, 0, 1, 2, 3]


@pytest.mark.parametrize(("total", "count"), [(100, 1), (4096, 2), (2048 * 1000, 256)])
def test_there_is_a_segment_for_every_2048_tokens_up_to_256(total, count):
    inputs, _, _ = next(Segments(np.zeros(total, np.uint8), 1).windows(1))

    assert len(inputs) == count
