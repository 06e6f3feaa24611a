"""Rows of text, side by side: what the network says next, drawn and given to each."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from charlm.inference.runtime import Floats, State, log_softmax
from charlm.inference.sampling import draw_next_tokens
from charlm.inference.sequences import Row, Voice

MOST_SIDE_BY_SIDE = 64

AnyRow = TypeVar("AnyRow", bound=Row)


def speak(voice: Voice, next_row: Callable[[bool], AnyRow | None]) -> Iterator[tuple[AnyRow, str]]:
    """Make texts side by side, and yield what is to be shown of each as soon as it is there.

    The last of a text comes when its row has a reason. A row's text does not depend on the rows
    beside it but for the rounding of their common products.

    Args:
        voice: Who speaks.
        next_row: Called for each free place; it is told whether nothing else is being made, and
            returns a new row, or None if there is none now.
    """
    network = voice.network
    rows: list[AnyRow] = []
    state = network.zero_state(0)
    while True:
        begun: list[AnyRow] = []
        while len(rows) + len(begun) < MOST_SIDE_BY_SIDE:
            row = next_row(not rows and not begun)
            if row is None:
                break
            if row.reason is None:
                begun.append(row)
            else:
                yield row, ""
        if begun:
            rows += begun
            state = _joined(state, network.zero_state(len(begun)))
        if not rows:
            return
        logits, state = network.predict(np.array([row.unread.popleft() for row in rows]), state)
        speaking = [place for place, row in enumerate(rows) if not row.unread]
        if len(speaking) < len(rows):
            logits = logits[speaking]
        yield from _say(voice, [rows[place] for place in speaking], logits)
        left = [place for place, row in enumerate(rows) if row.reason is None]
        if len(left) < len(rows):
            rows = [rows[place] for place in left]
            state = [tuple(vector[left] for vector in layer) for layer in state]


def _say(voice: Voice, rows: list[AnyRow], logits: Floats) -> Iterator[tuple[AnyRow, str]]:
    """Draw a token for each row, shape of logits (rows, outputs), and yield what it shows."""
    if not rows:
        return
    unchanged = logits.copy() if voice.is_scored else logits
    if any(row.is_restricted for row in rows):
        for row, its_logits in zip(rows, logits, strict=True):
            row.restrict(its_logits)
        can_go_on = np.isfinite(logits.max(axis=-1))
        for row in (row for row, can in zip(rows, can_go_on, strict=True) if not can):
            yield row, row.give_up()
        rows = [row for row, can in zip(rows, can_go_on, strict=True) if can]
        if not rows:
            return
        logits, unchanged = logits[can_go_on], unchanged[can_go_on]
    tokens = draw_next_tokens(logits, voice.sampling, np.array([row.uniform() for row in rows]))
    nats = [0.0] * len(rows)
    if voice.is_scored:
        nats = (-log_softmax(unchanged)[np.arange(len(rows)), tokens]).tolist()
    for row, token, its_nats in zip(rows, tokens.tolist(), nats, strict=True):
        shown = row.take(token, its_nats)
        if shown or row.reason is not None:
            yield row, shown


def _joined(state: State, more: State) -> State:
    """Return the state of some rows and more rows after them."""
    return [
        tuple(np.concatenate(pair) for pair in zip(*layers, strict=True))
        for layers in zip(state, more, strict=True)
    ]


def whole(voice: Voice, rows: Sequence[Row]) -> list[str]:
    """Return the texts of some rows, in their order."""
    waiting = deque(rows)
    texts: dict[Row, list[str]] = {row: [] for row in rows}
    for row, shown in speak(voice, lambda _: waiting.popleft() if waiting else None):
        texts[row].append(shown)
    return ["".join(texts[row]) for row in rows]
