"""How a running text is laid out in time to learn from: segments of it, in parallel streams."""

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

# Tokens that a stream reads before it turns to another place. 800 steps of 128 on tiny shakespeare
# come to 1.452 nats per character with 256, 1.460 with 2,048, 1.497 with 8,192, 1.486 in one piece.
STREAM_SEGMENT = 256

BATCHES_PER_POOL = 50
# Strides of a walk over all items, as shares of their number. Any few steps with one of these
# irrational shares, hard to approximate by fractions, are spread evenly.
STRIDES = (0.6180340, 0.4142136, 0.3027756, 0.7320508, 0.2360680)


class Streams:
    """A text in parallel streams for truncated back-propagation through time.

    The text is cut into segments, which are read in an order of chance, each from nothing. "to be,
    or not to be: that" in two streams, windows of 3 and segments of 6 (`·` is a space, `■` a
    boundary, which a segment reads first in place of what precedes it):

        stream 0   ■ t o │ · b e │ ■ t · │ t o · │ …    The recurrent state carries from window
        stream 1   ■ t h │ ■ · o │ r · n │ ■ e : │ …    to window inside a segment. Streams begin
                                                       segments in turn, not all at once.

    Read from one end to the other, a text leaves the network with whatever stood last; a mixture
    does not. And a network that never starts from nothing can run away when it must: every
    generated text and every scored line begins there. An epoch reads each segment once (but for
    what streams leave out as they begin in the middle of their first); the next has another order,
    and other places to cut, so that in the mean every id is read equally often. Of a long text,
    pool after pool is read.

    The boundary after a document is read, but what precedes it does not predict it. Time is one
    whole number.
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
        own: range | None = None,
    ) -> None:
        """Take a text; of all streams only its `own` are read, by default all."""
        self._own = range(batch_size) if own is None else own
        self._text, self._boundary_id = text, boundary_id
        self._bptt_length, self._batch_size, self._rng_seed = bptt_length, batch_size, rng_seed
        self.tokens_per_step = float(batch_size * bptt_length)
        self._windows = max(1, min(STREAM_SEGMENT, text.tokens) // bptt_length)  # in a segment
        self._pools = [text.pool(number) for number in range(text.pools)]
        size = self._windows * bptt_length
        share = text.tokens / size / sum(pool.bytes for pool in self._pools)
        # Segments in each pool.
        self._counts = [max(1, int(share * pool.bytes)) for pool in self._pools]
        # From one segment to the next; a text is no whole number of segments, so some ids more.
        self._spacing = max(1, text.tokens // sum(self._counts))
        # Streams come back to their segments, and segments to the order of their pool.
        self._segment = lru_cache(maxsize=batch_size)(self._find_segment)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def batch(self, step: int) -> Batch:
        """Return window `step`, shape (B, T); where a segment starts, a boundary is read first."""
        rows = np.array([self._row(stream, step) for stream in self._own])
        targets = rows[:, 1:]
        return Batch(rows[:, :-1].copy(), targets, targets != self._boundary_id)

    def _row(self, stream: int, step: int) -> NDArray[np.int64]:
        """Return the ids of a stream's window and the one before them, shape (T + 1,)."""
        time = step + stream * self._windows // self._batch_size
        turn, place = divmod(time, self._windows)
        part, start = self._segment(turn * self._batch_size + stream)
        is_start = place == 0 or step == 0
        before = 0 if is_start else 1
        ids = self._text.read(
            part, start + place * self._bptt_length - before, self._bptt_length + before
        ).astype(np.int64)
        return np.insert(ids, 0, self._boundary_id) if is_start else ids

    def _find_segment(self, number: int) -> tuple[int, int]:
        """Return the part and the place in it where a segment begins, counted over all epochs."""
        epoch, number = divmod(number, sum(self._counts))
        pool = 0
        while number >= self._counts[pool]:
            number -= self._counts[pool]
            pool += 1
        offset = int(np.random.default_rng([self._rng_seed, epoch]).integers(self._spacing))
        chosen = int(self._order(epoch, pool)[number])
        part, start = self._text.start(self._pools[pool], chosen, self._counts[pool])
        return part, start + offset

    def _draw_order(self, epoch: int, pool: int) -> NDArray[np.int64]:
        """Return the order in which the segments of a pool are read, shape (segments,)."""
        return np.random.default_rng([self._rng_seed, epoch, pool]).permutation(self._counts[pool])


class ExampleBatches:
    """Lines or pairs to learn from: those of like length side by side, in an order of chance.

    An epoch reads every item once. Its order is a walk in strides over all items, so that nothing
    as long as their number is held in memory; BATCHES_PER_POOL batches are drawn together, sorted
    by length, and cut so that each reads about as many positions, padding included.
    """

    carries_state = False

    def __init__(
        self,
        items: EncodedText,
        task: Task,
        boundary_id: int,
        *,
        positions: int,
        rng_seed: int,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        """Take the items, how many positions a batch may have, and its longest item.

        Of several processes each is dealt every so-manieth item of a batch.
        """
        self._rank, self._size = rank, size
        self._items, self._form, self._boundary_id = items, task, boundary_id
        self._count = (len(items.boundaries) - 1) // BOUNDARIES[task]
        self._longest = positions
        self._rng_seed = rng_seed
        wanted = BATCHES_PER_POOL * self._longest * self._count // items.tokens
        self._pool_size = max(1, min(wanted, self._count))
        tokens = items.tokens * self._pool_size // self._count
        self._batches_per_pool = max(1, round(tokens / self._longest))
        self._pool: tuple[int, list[Windows]] = -1, []
        self.tokens_per_step = tokens / self._batches_per_pool

    def batch(self, step: int) -> Batch:
        """Return batch `step`, shape (B, T): T is the length of the longest item in it.

        A process that is dealt no item reads one of another's, and nothing counts.
        """
        pool, place = divmod(step, self._batches_per_pool)
        if self._pool[0] != pool:
            self._pool = pool, self._batches_of(pool)
        batch = self._pool[1][place]
        own = np.arange(self._rank, len(batch.begin), self._size)
        window = batch.select(own if len(own) else np.arange(1)).as_batch(self._longest)
        return window if len(own) else replace(window, is_scored=np.zeros_like(window.is_scored))

    def _batches_of(self, pool: int) -> list[Windows]:
        """Return the batches of a pool, in the order in which they are read."""
        items = Windows.of_items(
            self._form,
            self._items.ids,
            self._items.boundaries,
            self._boundary_id,
            self._items_of(pool),
        )
        lengths = np.minimum(items.stop - items.begin, self._longest)
        by_length = np.argsort(lengths, kind="stable")
        positions = lengths[by_length].cumsum()
        share = positions * self._batches_per_pool // (positions[-1] + 1)  # which batch each is in
        order = np.random.default_rng([self._rng_seed, pool]).permutation(self._batches_per_pool)
        # A batch is empty where one item is as long as several batches.
        chosen = [by_length[share == number] for number in order]
        return [items.select(each if len(each) else by_length[-1:]) for each in chosen]

    def _items_of(self, pool: int) -> NDArray[np.int64]:
        """Return the numbers of the items in a pool, shape (pool size,)."""
        places = pool * self._pool_size + np.arange(self._pool_size)
        epochs, places = np.divmod(places, self._count)
        numbers = np.empty_like(places)
        for epoch in np.unique(epochs):
            start, stride = self._walk(int(epoch))
            inside = epochs == epoch
            numbers[inside] = (start + places[inside] * stride) % self._count
        return numbers

    def _walk(self, epoch: int) -> tuple[int, int]:
        """Return where an epoch starts, and a stride that meets every item once."""
        start = int(np.random.default_rng([self._rng_seed, epoch, 1]).integers(self._count))
        stride = int(self._count * STRIDES[epoch % len(STRIDES)]) or 1
        while math.gcd(stride, self._count) > 1:
            stride += 1
        return start, stride
