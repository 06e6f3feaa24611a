"""The batches that a network is trained on: streams of a running text, or lines and pairs."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from charlm.config import Task
from charlm.corpus.encoded_text import EncodedText
from charlm.corpus.examples import BOUNDARIES
from charlm.corpus.shards import RunningText
from charlm.corpus.windows import Batch, Windows
from charlm.tokenizers import Ids

# Tokens of a segment, which a stream reads in one piece. 800 steps of 128 on tiny shakespeare
# come to 1.452 nats per character with 256, 1.460 with 2,048, 1.497 with 8,192, 1.486 in one piece.
STREAM_SEGMENT = 256

BATCHES_PER_BUCKET = 50
# Strides of a walk over all examples, as shares of their number. Fractions approximate these
# numbers badly, so even a few steps are spread evenly over the examples.
STRIDES = (0.6180340, 0.4142136, 0.3027756, 0.7320508, 0.2360680)


class Streams:
    """A text in parallel streams for truncated back-propagation through time.

    The text is cut into segments, which are read in random order, each from a zero state. "to be,
    or not to be: that" in two streams, batches of 3 tokens and segments of 6 (`·` is a space, `■`
    the boundary, BOS/EOS, after the text):

        stream 0   ║ e , · │ o r · ║ n o t │ · t o │ …    Each batch reads these tokens, and
        stream 1   ║ : · t ║ h a t │ ■ t o ║ e , · │ …    predicts the ones that follow. The state
                                                         starts from zero at ║, and carries over │.

    Streams begin segments in turn, not all at once. A boundary stands between documents. Where a
    text may begin, a segment reads a boundary instead of the token before it, so that the network
    learns how texts begin.

    A network that reads a text from start to end fits the last part best: without segments, the
    score varied by 0.03 nats with the position where a run ended. A network that never starts from
    a zero state may diverge there, and every generated text and scored line starts there.

    An epoch reads each segment once, except for the beginning of each stream's first segment. The
    next epoch has another order and other cuts, so all ids are read equally often on average. The
    shard groups of a long text are read one after another. The boundary after a document is
    predicted only if `predicts_end`.

    A batch follows from its number alone, so the progress of training is one whole number.
    """

    carries_state = True

    def __init__(
        self,
        text: RunningText,
        boundary_id: int,
        *,
        batch_size: int,
        bptt_length: int,
        rng_seed: int,
        streams: range | None = None,
        begins_after: Ids | None = None,
        predicts_end: bool = False,
    ) -> None:
        """Cut a text into segments.

        Args:
            text: The ids.
            boundary_id: BOS/EOS.
            batch_size: Number of streams of all processes.
            bptt_length: Tokens per stream and batch.
            rng_seed: Seed of the order of the segments.
            streams: Those that this process reads; by default all.
            begins_after: Ids after which a text may begin, in reading order, shape (N,). With none,
                a text begins at a boundary alone; None lets it begin anywhere.
            predicts_end: Whether boundaries are predicted.
        """
        self._begins_after, self._predicts_end = begins_after, predicts_end
        self._streams = range(batch_size) if streams is None else streams
        self._text, self._boundary_id = text, boundary_id
        self._bptt_length, self._batch_size, self._rng_seed = bptt_length, batch_size, rng_seed
        self.tokens_per_step = float(batch_size * bptt_length)
        self._batches_per_segment = max(1, min(STREAM_SEGMENT, text.tokens) // bptt_length)
        self._groups = [text.shard_group(number) for number in range(text.group_count)]
        size = self._batches_per_segment * bptt_length
        segments_per_byte = text.tokens / size / sum(group.bytes for group in self._groups)
        # Segments in each shard group.
        self._counts = [max(1, int(segments_per_byte * group.bytes)) for group in self._groups]
        # From one segment to the next; somewhat more than a segment's length, because the text is
        # not a whole number of segments.
        self._spacing = max(1, text.tokens // sum(self._counts))
        # Each stream needs its segment, and each segment the order of its group, again and again.
        self._segment = lru_cache(maxsize=batch_size)(self._find_segment)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, shape (B, T)."""
        pairs = [self._row(stream, step) for stream in self._streams]
        rows = np.array([ids for ids, _ in pairs])
        targets = rows[:, 1:]
        is_scored = (targets != self._boundary_id) | self._predicts_end
        is_start = np.array([is_start for _, is_start in pairs])
        return Batch(rows[:, :-1].copy(), targets, is_scored, is_start)

    def _row(self, stream: int, step: int) -> tuple[NDArray[np.int64], bool]:
        """Return the ids of one stream's batch and the id before them, shape (T + 1,).

        And whether they start from the zero state.
        """
        time = step + stream * self._batches_per_segment // self._batch_size
        turn, batch_in_segment = divmod(time, self._batches_per_segment)
        shard, start = self._segment(turn * self._batch_size + stream)
        is_start = batch_in_segment == 0 or step == 0
        position = start + batch_in_segment * self._bptt_length
        if is_start and self._begins_after is None:
            ids = self._text.read(shard, position, self._bptt_length).astype(np.int64)
            return np.insert(ids, 0, self._boundary_id), is_start
        # The first id of a shard has none before it there; a segment from it begins one id later.
        position = max(position, 1)
        ids = self._text.read(shard, position - 1, self._bptt_length + 1).astype(np.int64)
        mark = self._begins_after
        if (
            is_start
            and mark is not None
            and len(mark)
            and np.array_equal(ids[1 : 1 + len(mark)], mark)
        ):
            ids[0] = self._boundary_id
        return ids, is_start

    def _find_segment(self, number: int) -> tuple[int, int]:
        """Return where a segment begins: its shard and the position in it.

        Segments are counted over all epochs.
        """
        epoch, number = divmod(number, sum(self._counts))
        group = 0
        while number >= self._counts[group]:
            number -= self._counts[group]
            group += 1
        offset = int(np.random.default_rng([self._rng_seed, epoch]).integers(self._spacing))
        shard, start = self._text.segment_start(
            self._groups[group], int(self._order(epoch, group)[number]), self._counts[group]
        )
        return shard, start + offset

    def _draw_order(self, epoch: int, group: int) -> NDArray[np.int64]:
        """Return the order in which a group's segments are read, shape (segments,)."""
        generator = np.random.default_rng([self._rng_seed, epoch, group])
        return generator.permutation(self._counts[group])


class ExampleBatches:
    """Batches of examples, such as lines: those of similar length side by side, in random order.

    An epoch reads every example once. Its order is a walk in strides over all examples, so no
    array as long as their number is held in memory. BATCHES_PER_BUCKET batches are drawn together
    as a bucket, sorted by length, and cut so that each reads about as many positions, padding
    included.
    """

    carries_state = False

    def __init__(
        self,
        examples: EncodedText,
        task: Task,
        boundary_id: int,
        *,
        positions: int,
        rng_seed: int,
        rank: int = 0,
        world_size: int = 1,
        first_class: int | None = None,
    ) -> None:
        """Plan batches of about `positions` positions; a longer example is cut there.

        Each process reads every `world_size`-th example of a batch.
        """
        self._rank, self._world_size, self._first_class = rank, world_size, first_class
        self._examples, self._task, self._boundary_id = examples, task, boundary_id
        self._count = (len(examples.boundaries) - 1) // BOUNDARIES[task]
        self._positions = positions
        self._rng_seed = rng_seed
        full_bucket = BATCHES_PER_BUCKET * positions * self._count // examples.tokens
        self._bucket_size = max(1, min(full_bucket, self._count))
        tokens = examples.tokens * self._bucket_size // self._count
        self._batches_per_bucket = max(1, round(tokens / positions))
        self._bucket: tuple[int, list[Windows]] = -1, []
        self.tokens_per_step = tokens / self._batches_per_bucket

    def batch(self, step: int) -> Batch:
        """Return batch `step`, shape (B, T): T is the length of the longest example in it.

        Where a batch has no example for a process, it reads another process's, and scores nothing.
        """
        bucket, number = divmod(step, self._batches_per_bucket)
        if self._bucket[0] != bucket:
            self._bucket = bucket, self._batches_of(bucket)
        windows = self._bucket[1][number]
        rows = np.arange(self._rank, len(windows.begin), self._world_size)
        if len(rows):
            return windows.select(rows).as_batch(self._positions)
        batch = windows.select(np.arange(1)).as_batch(self._positions)
        return replace(batch, is_scored=np.zeros_like(batch.is_scored))

    def _batches_of(self, bucket: int) -> list[Windows]:
        """Return the batches of a bucket, in the order in which they are read."""
        windows = Windows.of_examples(
            self._task,
            self._examples.ids,
            self._examples.boundaries,
            self._boundary_id,
            self._examples_of(bucket),
            self._first_class,
        )
        lengths = np.minimum(windows.stop - windows.begin, self._positions)
        by_length = np.argsort(lengths, kind="stable")
        positions = lengths[by_length].cumsum()
        batch_numbers = positions * self._batches_per_bucket // (positions[-1] + 1)
        generator = np.random.default_rng([self._rng_seed, bucket])
        rows = [
            by_length[batch_numbers == number]
            for number in generator.permutation(self._batches_per_bucket)
        ]
        # A batch is empty where one example is as long as several batches; it reads that one.
        return [windows.select(numbers if len(numbers) else by_length[-1:]) for numbers in rows]

    def _examples_of(self, bucket: int) -> NDArray[np.int64]:
        """Return the indices of the examples in a bucket, shape (bucket size,)."""
        steps = bucket * self._bucket_size + np.arange(self._bucket_size)
        epochs, steps = np.divmod(steps, self._count)
        numbers = np.empty_like(steps)
        for epoch in np.unique(epochs):
            start, stride = self._walk(int(epoch))
            is_inside = epochs == epoch
            numbers[is_inside] = (start + steps[is_inside] * stride) % self._count
        return numbers

    def _walk(self, epoch: int) -> tuple[int, int]:
        """Return the start of an epoch's walk, and a stride that meets every example once."""
        start = int(np.random.default_rng([self._rng_seed, epoch, 1]).integers(self._count))
        stride = int(self._count * STRIDES[epoch % len(STRIDES)]) or 1
        while math.gcd(stride, self._count) > 1:
            stride += 1
        return start, stride
