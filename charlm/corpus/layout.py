"""How ids are laid out in time: streams to learn from, segments to score.

Both are arithmetic on positions; no id is copied before it is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.tokenizers import Ids

SEGMENT_LENGTH = 2048  # tokens that one segment scores, at least
MOST_SEGMENTS = 256  # more would cost memory and gain no speed
# Tokens that a segment reads before it scores. From 256 on, the score of 2,048-token segments
# differs from that of one stream by less than 1e-6 nats a token in trained models.
BURN_IN = 256
# Logits that are held at once, in numbers: a large vocabulary must not cost gigabytes.
MOST_LOGITS = 1 << 23


@dataclass(frozen=True)
class Streams:
    """A text folded into parallel streams for truncated back-propagation through time.

    "to be or not" with batch_size 3 and bptt_length 2 (`·` is a space):

        stream 0   t o │ · b │ e · │ …    Each stream starts at its own place and reads on in
        stream 1   e · │ o r │ · n │ …    circles, so its recurrent state carries from window to
        stream 2   · n │ o t │ t o │ …    window for ever, every window has the same shape, and
                                          no token is left out. Time is one whole number.

    Attributes:
        ids: Token ids, shape (tokens,).
        batch_size: Number of streams B.
        bptt_length: Tokens T in a window.
    """

    ids: Ids
    batch_size: int
    bptt_length: int

    @property
    def steps_per_epoch(self) -> float:
        """Number of windows in which all streams together read as many tokens as there are."""
        return len(self.ids) / (self.batch_size * self.bptt_length)

    def window(self, step: int) -> NDArray[np.int64]:
        """Return window `step` and the token before it, shape (B, T + 1), int64."""
        starts = np.arange(self.batch_size) * len(self.ids) // self.batch_size
        offsets = np.arange(-1, self.bptt_length) + step * self.bptt_length
        window: NDArray[np.int64] = self.ids[(starts[:, None] + offsets) % len(self.ids)].astype(
            np.int64
        )
        return window


@dataclass(frozen=True)
class Segments:
    """A text cut into equal segments that are scored side by side, each token once.

    Every segment but the first reads BURN_IN tokens before its own, so that its score is that
    of one uninterrupted stream. All begin in the zero state, with the start of text as input.

        tokens      0 1 2 3 4 5 6 7 8 9
        segment 0   0 1 2 3 4               scored: 0–4
        segment 1         3 4 5 6 7 8 9     scored: 5–9, burn-in: 3–4

    Attributes:
        ids: Token ids, shape (tokens,).
        start_id: What is read before the first token of each segment; the vocabulary's size.
        count: Number of segments S; None takes one for every SEGMENT_LENGTH tokens, up to
            MOST_SEGMENTS.
        burn_in: Tokens read before those that are scored.
    """

    ids: Ids
    start_id: int
    count: int | None = None
    burn_in: int = BURN_IN

    @property
    def batch_size(self) -> int:
        """Number of segments that are read side by side."""
        return self.count or min(max(1, len(self.ids) // SEGMENT_LENGTH), MOST_SEGMENTS)

    def window_length(self, most: int) -> int:
        """Return how many tokens, up to `most`, a window may have for its logits to be few."""
        vocab_size = self.start_id
        return max(1, min(most, MOST_LOGITS // (self.batch_size * vocab_size)))

    def windows(
        self, length: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
        """Yield (inputs, targets, counts) of consecutive windows, each of shape (S, ≤ length).

        `counts` tells which targets are to be scored; over all windows each token is, once.
        """
        total = len(self.ids)
        bounds = np.arange(self.batch_size + 1)[:, None] * total // self.batch_size  # (S + 1, 1)
        first, last = bounds[:-1], bounds[1:]
        begin = np.maximum(first - self.burn_in, 0)
        for time in range(0, int((last - begin).max()), length):
            stop = min(time + length, int((last - begin).max()))
            position = begin + np.arange(time - 1, stop)  # one before the window, then the window
            tokens = self.ids[np.clip(position, 0, total - 1)].astype(np.int64)
            if time == 0:
                tokens[:, 0] = self.start_id
            counts = (first <= position[:, 1:]) & (position[:, 1:] < last)
            yield tokens[:, :-1], tokens[:, 1:], counts
