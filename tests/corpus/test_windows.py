"""Windows score each id once; batches read each item once an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ids_as_text import BOUNDARY, letters

from charlm.corpus.batches import ExampleBatches
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.windows import Windows, segments


def longest_first(windows):
    """Return the passages, few enough for one batch, in the order in which they are read."""
    [chosen] = windows.groups()
    return windows.select(chosen)


def scored(windows, length):
    """Return the ids that count, passage by passage."""
    found = [
        window.targets[window.is_scored]
        for chosen in windows.groups()
        for window in windows.select(chosen).batches(length)
    ]
    return np.concatenate(found)


@given(
    total=st.integers(1, 200),
    count=st.integers(1, 9),
    burn_in=st.integers(0, 40),
    length=st.integers(1, 50),
)
def test_segments_score_every_id_once(total, count, burn_in, length):
    windows = Windows(np.arange(total), 999, *segments(0, total, count, burn_in))

    assert sorted(scored(windows, length)) == list(range(total))


def test_a_segment_reads_the_ids_before_its_own():
    windows = Windows(np.arange(10), 99, *segments(0, 10, 2, burn_in=2))
    batch = longest_first(windows)
    [window] = batch.batches(100)

    assert window.targets[0].tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert window.inputs[0].tolist() == [99, 3, 4, 5, 6, 7, 8]
    assert window.targets[0][window.is_scored[0]].tolist() == [5, 6, 7, 8, 9]
    assert window.targets[1][window.is_scored[1]].tolist() == [0, 1, 2, 3, 4]
    assert window.inputs[1][:5].tolist() == [99, 0, 1, 2, 3]


@pytest.mark.parametrize(("total", "count"), [(100, 1), (4096, 2), (2048 * 1000, 256)])
def test_there_is_a_segment_for_every_2048_ids_up_to_256(total, count):
    assert segments(0, total).shape == (3, count)


def encoded(*items, task="lines"):
    """Encode lines or pairs by hand: a letter is its code, `■` the boundary."""
    ids = np.array(
        [BOUNDARY if letter == "■" else ord(letter) for letter in "".join(["■", *items])]
    )
    boundaries = np.flatnonzero(ids == BOUNDARY)
    predictions = sum(len(item) for item in items)
    return EncodedText(
        ids=ids,
        boundaries=boundaries,
        characters=predictions,
        predictions=predictions,
        token_counts=np.bincount(ids, minlength=BOUNDARY + 1),
    )


def windows_of(task, *items):
    text = encoded(*items)
    return Windows.of(task, text.ids, text.boundaries, BOUNDARY)


def test_of_lines_everything_is_scored_and_the_end_too():
    batch = longest_first(windows_of("lines", "Ann■", "■", "Bo■"))
    [window] = batch.batches(100)

    assert [
        letters(row[count]) for row, count in zip(window.targets, window.is_scored, strict=True)
    ] == ["Ann■", "Bo■", "■"]
    assert [letters(row)[:1] for row in window.inputs] == ["■", "■", "■"]
    assert window.is_scored.sum() == 4 + 3 + 1


def test_of_pairs_the_target_is_scored_and_the_source_is_read():
    batch = longest_first(windows_of("pairs", "cat■pet■", "ox■farm■"))
    [window] = batch.batches(100)

    assert [letters(row) for row in window.inputs] == ["■cat■pet", "■ox■farm"]
    assert [
        letters(row[count]) for row, count in zip(window.targets, window.is_scored, strict=True)
    ] == ["pet■", "farm■"]


def test_documents_are_scored_one_by_one():
    batch = longest_first(windows_of("text", "first■", "■", "second■"))
    [window] = batch.batches(100)

    assert [
        letters(row[count]) for row, count in zip(window.targets, window.is_scored, strict=True)
    ] == ["second", "first"]


def test_a_passage_that_has_ended_costs_nothing():
    batch = longest_first(windows_of("lines", "abcdef■", "a■", "abc■"))

    assert [window.inputs.shape for window in batch.batches(2)] == [(3, 2), (2, 2), (1, 2), (1, 1)]


ITEMS = st.lists(st.text("abc", max_size=9).map(lambda text: f"{text}■"), min_size=1, max_size=99)


@given(items=ITEMS, positions=st.integers(1, 40), rng_seed=st.integers(0, 3))
def test_an_epoch_of_batches_reads_every_item_once(items, positions, rng_seed):
    """Items are numbered by their place; an epoch is as many items as there are."""
    batches = ExampleBatches(
        encoded(*items), "lines", BOUNDARY, positions=positions, rng_seed=rng_seed
    )
    numbers = [batches._items_of(pool) for pool in range(5)]

    assert all(len(pool) == len(numbers[0]) for pool in numbers)
    order = np.concatenate(numbers)
    for start in range(0, len(order) - len(items) + 1, len(items)):
        assert sorted(order[start : start + len(items)]) == list(range(len(items)))


def test_batches_are_of_like_length_and_leave_nothing_out():
    items = [f"{'x' * (1 + number % 30)}■" for number in range(3000)]
    batches = ExampleBatches(encoded(*items), "lines", BOUNDARY, positions=256, rng_seed=0)
    pool = [batches.batch(step) for step in range(batches._batches_per_pool)]
    places = sum(window.is_scored.sum() for window in pool)
    padded = sum(window.inputs.size for window in pool)

    assert places == sum(len(items[number]) for number in batches._items_of(0))
    assert batches.tokens_per_step == pytest.approx(places / len(pool), rel=0.01)
    assert places / padded > 0.9
    assert max(window.inputs.size for window in pool) < 2 * 256


def test_an_item_that_is_too_long_is_read_as_far_as_a_batch_goes():
    batches = ExampleBatches(
        encoded("x" * 1000 + "■", "ab■"), "lines", BOUNDARY, positions=64, rng_seed=0
    )
    windows = [batches.batch(step) for step in range(60)]

    assert max(window.inputs.shape[1] for window in windows) == 64
    assert {letters(window.targets[0])[:2] for window in windows} == {"xx", "ab"}


def test_batches_depend_on_the_step_and_the_rng_seed_alone():
    items = [f"{'x' * (number % 7)}{number}■" for number in range(500)]

    def window(step, rng_seed):
        batches = ExampleBatches(
            encoded(*items), "lines", BOUNDARY, positions=100, rng_seed=rng_seed
        )
        return batches.batch(step).targets

    assert (window(9, 1) == window(9, 1)).all()
    assert window(9, 1).shape != window(9, 2).shape or (window(9, 1) != window(9, 2)).any()


def test_a_long_item_is_cut_and_its_first_part_reads_all_that_comes_before():
    begin, first, stop = np.array([[0, 9500], [1000, 9500], [9500, 10_000]])
    cut, owners = Windows(np.arange(10_000), 99_999, begin, first, stop).cut()

    assert owners.tolist() == [0, 0, 0, 0, 1]
    assert cut.first.tolist() == [1000, 3125, 5250, 7375, 9500]
    assert cut.stop.tolist() == [3125, 5250, 7375, 9500, 10_000]
    assert cut.begin.tolist() == [0, 3125 - 256, 5250 - 256, 7375 - 256, 9500]


def test_passages_are_dealt_out_each_once_the_longest_to_the_first():
    stop = np.array([3, 10, 12, 30, 31])
    begin = np.array([0, 3, 10, 12, 30])
    windows = Windows(np.zeros(31, np.uint16), 300, begin, begin, stop)
    shard = [windows.shard(rank, 2) for rank in range(2)]

    assert [each.begin.tolist() for each in shard] == [[12, 0, 30], [3, 10]]
