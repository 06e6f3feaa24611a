"""Seed texts → whole texts in their order: the ones that were asked for, tried until they are."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from charlm.config import CandidateFilter
from charlm.inference.generation import speak
from charlm.inference.sequences import Continuation, RngSeed, Voice
from charlm.inference.stopping import Reason


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text that was made.

    Attributes:
        number: Which one of a run, from 0 on.
        seed: What it continues.
        text: The continuation, without the seed; None if no try made one that was to be kept.
        tokens: Number of those drawn; the last may go beyond what the text shows.
        nats: −ln p of these, summed, as the model itself has it; 0 if not scored.
        reason: Why it stopped.
        character_nats: −ln p of each character shown, if scored.
    """

    number: int
    seed: str
    text: str | None
    tokens: int
    nats: float
    reason: Reason
    character_nats: tuple[float, ...] = ()


@dataclass(eq=False)
class _Item:
    """A text that is wanted, while it is being made."""

    number: int
    seed: str
    planned: int  # tries
    begun: int = 0
    over: int = 0
    found: list[Text] = field(default_factory=list)


class Texts:
    """Makes texts side by side, and yields them in their order.

    What did not fit is made again, until there is one or the tries are used up.
    """

    def __init__(
        self,
        voice: Voice,
        seeds: Iterable[Iterable[str]],
        selection: CandidateFilter,
        rng_seed: RngSeed,
        *,
        is_known: Callable[[str, str], bool] = lambda _seed, _text: False,
    ) -> None:
        """Take what is wanted.

        Args:
            voice: Who speaks.
            seeds: Seed texts, in lots; the next lot is asked for when nothing else is to be done.
            selection: Which texts are kept, and how many of each seed text.
            rng_seed: Where the random numbers come from: each text has its own, which follow from
                this, its number and that of the try.
            is_known: Whether a seed text and its continuation stand in the training text.
        """
        self._voice, self._selection, self._rng_seed = voice, selection, rng_seed
        self._is_known = is_known if selection.novel else lambda _seed, _text: False
        self._match = re.compile(selection.match or "")
        self._lots = iter(seeds)
        self._wanted: Iterator[str] = iter(())  # of this lot, a seed text for each item
        self._items = 0
        self._to_try: deque[_Item] = deque()
        self._making: dict[Continuation, tuple[_Item, list[str]]] = {}
        self._kept: set[str] = set()

    def __iter__(self) -> Iterator[Text]:
        over: dict[int, Text] = {}
        shown = 0
        for row, piece in speak(self._voice, self._next_row):
            self._making[row][1].append(piece)
            if row.reason is None:
                continue
            text = self._finished(row)
            if text is not None:
                over[text.number] = text
            while shown in over:
                yield over.pop(shown)
                shown += 1

    def _next_row(self, is_idle: bool) -> Continuation | None:
        if not self._to_try:
            item = self._next_item(is_idle)
            if item is None:
                return None
            self._to_try.extend([item] * item.planned)
        item = self._to_try.popleft()
        row = Continuation(self._voice, item.seed, (*self._rng_seed, item.number, item.begun))
        item.begun += 1
        self._making[row] = item, []
        return row

    def _next_item(self, is_idle: bool) -> _Item | None:
        seed = next(self._wanted, None)
        while seed is None and is_idle:
            batch = next(self._lots, None)
            if batch is None:
                return None
            self._wanted = (seed for seed in batch for _ in range(self._selection.count))
            seed = next(self._wanted, None)
        if seed is None:
            return None
        self._items += 1
        return _Item(self._items - 1, seed, self._selection.best_of)

    def _finished(self, row: Continuation) -> Text | None:
        """Return the text of an item, if with this row all of its tries are over."""
        item, pieces = self._making.pop(row)
        text = _text_of(item, row, "".join(pieces))
        item.over += 1
        if self._fits(text):
            item.found.append(text)
        if item.over < item.planned:
            return None
        # What was kept meanwhile is no longer unique.
        fitting = [each for each in item.found if not self._was_kept(each)]
        if not fitting and item.planned < self._selection.tries * self._selection.best_of:
            item.planned += 1
            self._to_try.append(item)
            return None
        if not fitting:
            return Text(
                number=item.number, seed=item.seed, text=None, tokens=0, nats=0.0, reason="tries"
            )
        best = min(fitting, key=lambda each: each.nats / max(1, each.tokens))
        if self._selection.unique:
            self._kept.add(self._as_shown(best))
        return best

    def _fits(self, text: Text) -> bool:
        return (
            self._match.search(self._as_shown(text)) is not None
            and not self._was_kept(text)
            and not self._is_known(text.seed, text.text or "")
        )

    def _as_shown(self, text: Text) -> str:
        """Return a text with its seed text; of pairs, the answer alone."""
        said = text.text or ""
        return said if self._voice.network.config.task == "pairs" else text.seed + said

    def _was_kept(self, text: Text) -> bool:
        return self._as_shown(text) in self._kept


def _text_of(item: _Item, row: Continuation, text: str) -> Text:
    if row.reason is None:
        raise RuntimeError("the text is not over")
    return Text(
        number=item.number,
        seed=item.seed,
        text=text,
        tokens=row.tokens,
        nats=row.nats,
        reason=row.reason,
        character_nats=tuple(row.shown_nats),
    )
