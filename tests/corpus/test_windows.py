"""Windows score each id once, whatever they read before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ids_as_text import BOUNDARY, letters

from charlm.corpus.windows import Windows, cut_evenly


def longest_first(windows):
    """Return the windows, few enough for one group, in the order in which they are read."""
    [numbers] = windows.groups()
    return windows.select(numbers)


def scored(windows, length):
    """Return the ids that are scored."""
    return np.concatenate(
        [
            batch.targets[batch.is_scored]
            for numbers in windows.groups()
            for batch in windows.select(numbers).batches(length)
        ]
    )


@given(
    total=st.integers(1, 200),
    count=st.integers(1, 9),
    context_length=st.integers(0, 40),
    length=st.integers(1, 50),
)
def test_the_windows_of_a_text_score_every_id_once(total, count, context_length, length):
    windows = Windows(np.arange(total), 999, *cut_evenly(0, total, count, context_length))

    assert sorted(scored(windows, length)) == list(range(total))


def test_a_window_reads_the_ids_before_its_own():
    windows = longest_first(Windows(np.arange(10), 99, *cut_evenly(0, 10, 2, context_length=2)))
    [batch] = windows.batches(100)

    assert batch.targets[0].tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert batch.inputs[0].tolist() == [99, 3, 4, 5, 6, 7, 8]
    assert batch.targets[0][batch.is_scored[0]].tolist() == [5, 6, 7, 8, 9]
    assert batch.targets[1][batch.is_scored[1]].tolist() == [0, 1, 2, 3, 4]
    assert batch.inputs[1][:5].tolist() == [99, 0, 1, 2, 3]


@pytest.mark.parametrize(("total", "count"), [(100, 1), (4096, 2), (2048 * 1000, 256)])
def test_there_is_a_window_for_every_2048_ids_up_to_256(total, count):
    assert cut_evenly(0, total).shape == (3, count)


def windows_of(task, *examples):
    """Return the windows of documents, lines or pairs: a letter is its code, `■` the boundary."""
    ids = np.array([BOUNDARY if letter == "■" else ord(letter) for letter in "".join(examples)])
    ids = np.insert(ids, 0, BOUNDARY)
    return Windows.for_scoring(task, ids, np.flatnonzero(ids == BOUNDARY), BOUNDARY)


def test_a_line_is_scored_with_its_end():
    windows = longest_first(windows_of("lines", "Ann■", "■", "Bo■"))
    [batch] = windows.batches(100)

    assert [
        letters(row[is_scored])
        for row, is_scored in zip(batch.targets, batch.is_scored, strict=True)
    ] == ["Ann■", "Bo■", "■"]
    assert [letters(row)[:1] for row in batch.inputs] == ["■", "■", "■"]
    assert batch.is_scored.sum() == 4 + 3 + 1


def test_the_target_of_a_pair_is_scored_and_the_source_is_read():
    windows = longest_first(windows_of("pairs", "cat■pet■", "ox■farm■"))
    [batch] = windows.batches(100)

    assert [letters(row) for row in batch.inputs] == ["■cat■pet", "■ox■farm"]
    assert [
        letters(row[is_scored])
        for row, is_scored in zip(batch.targets, batch.is_scored, strict=True)
    ] == ["pet■", "farm■"]


def test_documents_are_scored_one_by_one():
    windows = longest_first(windows_of("text", "first■", "■", "second■"))
    [batch] = windows.batches(100)

    assert [
        letters(row[is_scored])
        for row, is_scored in zip(batch.targets, batch.is_scored, strict=True)
    ] == ["second", "first"]


def test_only_a_text_reads_a_boundary_and_the_prefix_first():
    """A later window of the text reads the id before it."""
    ids = np.array([BOUNDARY, *map(ord, "abcdefgh"), BOUNDARY, *map(ord, "xy"), BOUNDARY])
    begin, first, stop = np.array([[1, 4, 10], [1, 6, 10], [6, 9, 12]])
    prefix = np.array([*map(ord, "12")])
    windows = Windows(ids, BOUNDARY, begin, first, stop, prefix)
    [batch] = longest_first(windows).batches(100)

    assert [
        (letters(inputs[: len(letters(targets))]), letters(targets[is_scored]))
        for inputs, targets, is_scored in zip(
            batch.inputs, batch.targets, batch.is_scored, strict=True
        )
    ] == [("■12abcd", "abcde"), ("cdefghh", "fgh"), ("■12xyyy", "xy")]
    short = [letters(row) for batch in longest_first(windows).batches(2) for row in batch.inputs]
    assert short == ["■1", "cd", "■1", "2a", "ef", "2x", "bc", "gh", "d"]


def test_the_end_of_a_document_is_scored_if_it_is_predicted():
    ids = np.array([BOUNDARY, *map(ord, "ab"), BOUNDARY, *map(ord, "c"), BOUNDARY])
    windows = Windows.for_scoring(
        "text", ids, np.flatnonzero(ids == BOUNDARY), BOUNDARY, ids[:0], predicts_end=True
    )
    [batch] = longest_first(windows).batches(100)

    assert [
        letters(row[is_scored])
        for row, is_scored in zip(batch.targets, batch.is_scored, strict=True)
    ] == ["ab■", "c■"]


def test_a_window_that_has_ended_is_no_row():
    windows = longest_first(windows_of("lines", "abcdef■", "a■", "abc■"))

    assert [batch.inputs.shape for batch in windows.batches(2)] == [(3, 2), (2, 2), (1, 2), (1, 1)]


def test_a_long_window_is_cut_and_its_first_piece_reads_all_that_comes_before():
    begin, first, stop = np.array([[0, 9500], [1000, 9500], [9500, 10_000]])
    cut, origins = Windows(np.arange(10_000), 99_999, begin, first, stop).cut()

    assert origins.tolist() == [0, 0, 0, 0, 1]
    assert cut.first.tolist() == [1000, 3125, 5250, 7375, 9500]
    assert cut.stop.tolist() == [3125, 5250, 7375, 9500, 10_000]
    assert cut.begin.tolist() == [0, 3125 - 256, 5250 - 256, 7375 - 256, 9500]


def test_each_process_scores_its_share_and_the_first_has_the_longest():
    stop = np.array([3, 10, 12, 30, 31])
    begin = np.array([0, 3, 10, 12, 30])
    windows = Windows(np.zeros(31, np.uint16), 300, begin, begin, stop)
    shards = [windows.shard(rank, 2) for rank in range(2)]

    assert [shard.begin.tolist() for shard in shards] == [[12, 0, 30], [3, 10]]


def test_all_windows_may_be_one_batch_cut_at_a_length():
    batch = windows_of("lines", "abcdef■", "a■").as_batch(3)

    assert [letters(row) for row in batch.inputs] == ["■ab", "■a■"]
    assert batch.is_scored.tolist() == [[True, True, True], [True, True, False]]
