"""How a running text is laid out in time to learn from: segments of it, in parallel streams."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from charlm.corpus.layout import Window
from charlm.corpus.running import RunningText

# Tokens that a stream reads before it turns to another place. 800 steps of 128 on tiny shakespeare
# come to 1.452 nats per character with 256, 1.460 with 2,048, 1.497 with 8,192, 1.486 in one piece.
STREAM_SEGMENT = 256


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

    def window(self, step: int) -> Window:
        """Return window `step`, shape (B, T); where a segment starts, a boundary is read first."""
        rows = np.array([self._row(stream, step) for stream in self._own])
        targets = rows[:, 1:]
        return Window(rows[:, :-1].copy(), targets, targets != self._boundary_id)

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
