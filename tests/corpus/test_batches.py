"""Streams read every id equally often, and batches of examples each example once an epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_as_text import BOUNDARY, letters

from charlm.config import CorpusConfig
from charlm.corpus import batches as batches_module
from charlm.corpus import shards
from charlm.corpus.batches import ExampleBatches, Streams
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.corpus.shards import ShardGroup


@pytest.fixture
def streams_of(tmp_path):
    """Read texts in streams; nothing is held out."""

    def build(*texts, batch_size, bptt_length, rng_seed=0, streams=None, begins_after=None):
        documents = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.txt"
            path.write_text(text)
            documents.append(Document(path.name, path))
        config = CorpusConfig(tokenizer="byte")
        corpus = encode_corpus(documents, config, validation=documents)
        return Streams(
            corpus.train,
            BOUNDARY,
            batch_size=batch_size,
            bptt_length=bptt_length,
            rng_seed=rng_seed,
            streams=streams,
            begins_after=None if begins_after is None else np.array([*begins_after.encode()]),
        )

    return build


def test_streams_read_segments_as_the_drawing_shows(streams_of, monkeypatch):
    monkeypatch.setattr("charlm.corpus.encoding.SMALLEST_CORPUS", 1)
    monkeypatch.setattr(batches_module, "STREAM_SEGMENT", 6)
    text, sizes = "to be, or not to be: that", {"batch_size": 2, "bptt_length": 3}
    streams = streams_of(text, **sizes, rng_seed=18, begins_after="")
    windows = [streams.batch(step) for step in range(4)]

    assert [[letters(window.inputs[row]) for window in windows] for row in range(2)] == [
        ["e, ", "or ", "not", " to"],
        [": t", "hat", "■to", "e, "],
    ]
    assert [letters(window.targets[1]) for window in windows] == [" th", "at■", "to ", ", o"]
    assert [window.is_start.tolist() for window in windows] == [
        [True, True], [False, True], [True, False], [False, True],
    ]  # fmt: skip
    assert sum(int((~window.is_scored).sum()) for window in windows) == 1  # the boundary


def test_a_segment_reads_a_boundary_where_a_text_may_begin(streams_of, monkeypatch):
    """After "!", in the middle of the text, as scores and generated texts begin."""
    monkeypatch.setattr(batches_module, "STREAM_SEGMENT", 4)
    streams = streams_of("ab!" * 40, batch_size=2, bptt_length=4, begins_after="!")
    starts = {
        letters(row)
        for batch in map(streams.batch, range(40))
        for row, is_start in zip(batch.inputs, batch.is_start, strict=True)
        if is_start
    }

    assert {"■!ab", "!ab!", "ab!a"} <= starts
    assert "b!ab" not in starts


def test_where_texts_begin_anywhere_each_segment_reads_a_boundary(streams_of, monkeypatch):
    monkeypatch.setattr("charlm.corpus.encoding.SMALLEST_CORPUS", 1)
    monkeypatch.setattr(batches_module, "STREAM_SEGMENT", 6)
    streams = streams_of("to be, or not to be: that", batch_size=2, bptt_length=3, rng_seed=14)
    windows = [streams.batch(step) for step in range(4)]

    assert [[letters(window.inputs[row]) for window in windows] for row in range(2)] == [
        ["■to", " be", "■t ", "to "],
        ["■th", "■ o", "r n", "■e:"],
    ]
    assert [[letters(window.targets[row]) for window in windows] for row in range(2)] == [
        ["to ", "be,", "t t", "o b"],
        ["tha", " or", " no", "e: "],
    ]
    assert all(window.is_scored.all() for window in windows)


def test_what_precedes_a_boundary_does_not_predict_it(streams_of):
    streams = streams_of("x" * 40, batch_size=1, bptt_length=41)
    window = streams.batch(0)

    assert letters(window.targets[0]).count("■") == 1
    assert (window.is_scored == (window.targets != BOUNDARY)).all()


@pytest.mark.parametrize("shard_bytes", [1 << 20, 40, 7])
@pytest.mark.parametrize(("batch_size", "bptt_length"), [(1, 5), (3, 16), (7, 64)])
def test_a_segment_reads_on_through_all_shards_and_documents(
    streams_of, monkeypatch, shard_bytes, batch_size, bptt_length
):
    """However a text is cut into shards, a segment is a piece of the circle that they make."""
    monkeypatch.setattr(shards, "SHARD_BYTES", shard_bytes)
    texts = ["".join(chr(97 + (n * n) % 26) for n in range(143)) + "\nend\n", "another " * 6]
    circle = "".join(f"{text}■" for text in texts)
    streams = streams_of(*texts, batch_size=batch_size, bptt_length=bptt_length)
    steps = 3 * len(circle) // bptt_length
    windows = [streams.batch(step) for step in range(steps)]

    for row in range(batch_size):
        segments_read = [""]
        for window in windows:
            inputs, targets = letters(window.inputs[row]), letters(window.targets[row])
            assert inputs[1:] == targets[:-1]
            if inputs[0] == "■" and segments_read[-1][-1:] != "■":
                segments_read.append("")
            else:
                assert inputs[0] == (segments_read[-1][-1:] or "■")
            segments_read[-1] += targets
        assert all(segment in 9 * circle for segment in segments_read)


class Circle:
    """A text of numbers, which are their own positions, in one shard."""

    tokens = 0
    group_count = 1

    def shard_group(self, number):
        return ShardGroup(range(1), np.array([0, self.tokens]))

    def segment_start(self, group, number, count):
        return 0, number * self.tokens // count

    def read(self, shard, position, count):
        return (position + np.arange(count)) % self.tokens


@given(
    segments_=st.integers(1, 30),
    windows=st.integers(1, 5),
    batch_size=st.integers(1, 7),
    bptt_length=st.integers(1, 9),
    rng_seed=st.integers(0, 3),
)
def test_an_epoch_reads_every_id_equally_often(
    segments_, windows, batch_size, bptt_length, rng_seed
):
    """On average over streams that are in the middle of their segments."""

    class Text(Circle):
        tokens = segments_ * windows * bptt_length  # whole segments

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "STREAM_SEGMENT", windows * bptt_length)
        streams = Streams(
            Text(), 10**9, batch_size=batch_size, bptt_length=bptt_length, rng_seed=rng_seed
        )
        # As many epochs as there are streams: whole turns of all of them.
        steps = segments_ * windows
        starts = [stream * windows // batch_size for stream in range(batch_size)]
        read = [
            streams.batch(step).targets[stream]
            for stream in range(batch_size)
            for step in range(windows - starts[stream], windows - starts[stream] + steps)
        ]

    counts = np.bincount(np.concatenate(read), minlength=Text.tokens)
    assert counts.sum() == batch_size * Text.tokens
    assert counts.min() >= batch_size - 2
    assert counts.max() <= batch_size + 2


@settings(max_examples=30, deadline=None)
@given(
    tokens=st.integers(1, 200),
    windows=st.integers(1, 5),
    bptt_length=st.integers(1, 40),
)
def test_no_text_length_leaves_a_position_out(tokens, windows, bptt_length):
    """The cuts of an epoch are moved by any number up to the distance of two segments."""

    class Text(Circle):
        pass

    Text.tokens = tokens
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "STREAM_SEGMENT", windows * bptt_length)
        streams = Streams(Text(), 10**9, batch_size=1, bptt_length=bptt_length, rng_seed=0)
    segments = sum(streams._counts)
    starts = [streams._segment(number)[1] % tokens for number in range(20 * tokens)]

    assert streams._spacing == max(1, tokens // segments)
    assert len(set(starts)) > 0.9 * segments * streams._spacing


def test_an_epoch_reads_one_shard_group_after_another(streams_of, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    monkeypatch.setattr("charlm.corpus.encoding.SAMPLE_BYTES", 3000)
    streams = streams_of("a line of 20 letters\n" * 430, batch_size=2, bptt_length=64)
    segments = sum(streams._counts)
    groups = [streams._segment(number)[0] % 3 for number in range(2 * segments)]

    assert [groups.count(group) for group in range(3)] == [2 * n for n in streams._counts]
    assert groups[:segments] == sorted(groups[:segments]) == groups[segments:]


def test_processes_share_the_streams(streams_of):
    text, sizes = "some text of no great length " * 9, {"batch_size": 5, "bptt_length": 7}
    whole = streams_of(text, **sizes)
    shares = [streams_of(text, **sizes, streams=streams) for streams in (range(2), range(2, 5))]

    for step in range(30):
        rows = [row for share in shares for row in share.batch(step).targets.tolist()]
        assert rows == whole.batch(step).targets.tolist()


def test_each_epoch_has_an_order_of_its_own(streams_of):
    streams = streams_of("abcdefghij" * 1000, batch_size=1, bptt_length=64)
    segments = sum(streams._counts)
    epochs = [
        [streams._segment(epoch * segments + number)[1] for number in range(segments)]
        for epoch in range(2)
    ]
    orders = [np.argsort(starts).tolist() for starts in epochs]

    assert segments == 10_001 // 256
    assert all(len(set(starts)) == segments for starts in epochs)
    assert set(epochs[0]).isdisjoint(epochs[1])
    assert orders[0] != orders[1]
    assert list(range(segments)) not in orders


def encoded(*examples):
    """Encode lines by hand: a letter is its code, `■` the boundary."""
    ids = np.array(
        [BOUNDARY if letter == "■" else ord(letter) for letter in "".join(["■", *examples])]
    )
    boundaries = np.flatnonzero(ids == BOUNDARY)
    predictions = sum(len(example) for example in examples)
    return EncodedText(
        ids=ids,
        boundaries=boundaries,
        characters=predictions,
        predictions=predictions,
        token_counts=np.bincount(ids, minlength=BOUNDARY + 1),
    )


EXAMPLES = st.lists(
    st.text("abc", max_size=9).map(lambda text: f"{text}■"), min_size=1, max_size=99
)


@given(examples=EXAMPLES, positions=st.integers(1, 40), rng_seed=st.integers(0, 3))
def test_an_epoch_of_batches_reads_every_example_once(examples, positions, rng_seed):
    """An epoch is as many examples as there are."""
    batches = ExampleBatches(
        encoded(*examples), "lines", BOUNDARY, positions=positions, rng_seed=rng_seed
    )
    numbers = [batches._examples_of(bucket) for bucket in range(5)]

    assert all(len(bucket) == len(numbers[0]) for bucket in numbers)
    order = np.concatenate(numbers)
    for start in range(0, len(order) - len(examples) + 1, len(examples)):
        assert sorted(order[start : start + len(examples)]) == list(range(len(examples)))


def test_batches_are_of_similar_length_and_leave_nothing_out():
    examples = [f"{'x' * (1 + number % 30)}■" for number in range(3000)]
    batches = ExampleBatches(encoded(*examples), "lines", BOUNDARY, positions=256, rng_seed=0)
    bucket = [batches.batch(step) for step in range(batches._batches_per_bucket)]
    positions = sum(batch.is_scored.sum() for batch in bucket)
    padded = sum(batch.inputs.size for batch in bucket)

    assert positions == sum(len(examples[number]) for number in batches._examples_of(0))
    assert batches.tokens_per_step == pytest.approx(positions / len(bucket), rel=0.01)
    assert positions / padded > 0.9
    assert max(batch.inputs.size for batch in bucket) < 2 * 256


def test_an_example_that_is_too_long_is_read_as_far_as_a_batch_goes():
    batches = ExampleBatches(
        encoded("x" * 1000 + "■", "ab■"), "lines", BOUNDARY, positions=64, rng_seed=0
    )
    read = [batches.batch(step) for step in range(60)]

    assert max(batch.inputs.shape[1] for batch in read) == 64
    assert {letters(batch.targets[0])[:2] for batch in read} == {"xx", "ab"}


def test_batches_depend_on_the_step_and_the_rng_seed_alone():
    examples = [f"{'x' * (number % 7)}{number}■" for number in range(500)]

    def batch(step, rng_seed):
        batches = ExampleBatches(
            encoded(*examples), "lines", BOUNDARY, positions=100, rng_seed=rng_seed
        )
        return batches.batch(step).targets

    assert (batch(9, 1) == batch(9, 1)).all()
    assert batch(9, 1).shape != batch(9, 2).shape or (batch(9, 1) != batch(9, 2)).any()


def test_processes_share_the_examples_of_a_batch():
    """A process without an example reads one, and scores nothing."""
    text = encoded(*[f"{number}{'x' * (number % 3)}■" for number in range(20)])

    def scored(batch):
        return sorted(
            letters(row[is_scored])
            for row, is_scored in zip(batch.targets, batch.is_scored, strict=True)
            if is_scored.any()
        )

    whole = ExampleBatches(text, "lines", BOUNDARY, positions=10, rng_seed=0)
    shares = [
        ExampleBatches(text, "lines", BOUNDARY, positions=10, rng_seed=0, rank=rank, world_size=3)
        for rank in range(3)
    ]
    batches = [[share.batch(step) for share in shares] for step in range(20)]

    for step in range(20):
        together = [example for batch in batches[step] for example in scored(batch)]
        assert sorted(together) == scored(whole.batch(step))
    assert any(not batch.is_scored.any() for step in batches for batch in step)
