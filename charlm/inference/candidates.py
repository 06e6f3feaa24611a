"""Several candidates for each text; the filter keeps one of them. The texts are in order."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from charlm.config import CandidateFilter, Task, UserPattern
from charlm.corpus.masks import masked
from charlm.errors import ConfigError
from charlm.fingerprint import Fingerprint
from charlm.inference.edits import is_near_training_text
from charlm.inference.generation import generate
from charlm.inference.sequences import Continuation, GeneratorSettings, RngSeed
from charlm.inference.stopping import FinishReason


@dataclass(frozen=True, kw_only=True)
class GeneratedText:
    """A complete text."""

    number: int  # its position among the texts of a run, from 0
    seed: str  # the seed text
    text: str | None  # without the seed text; None if no candidate was kept
    tokens: int  # number of tokens drawn; the last one may go beyond the text
    nats: float  # −ln p of these, summed, without temperature and constraints; 0 if not scored
    finish_reason: FinishReason
    character_nats: tuple[float, ...] = ()  # −ln p of each character of the text, if scored


@dataclass(eq=False)
class _Request:
    """A text to generate, and its candidates so far."""

    number: int
    seed: str
    planned: int  # candidates
    started: int = 0
    finished: int = 0
    kept: list[GeneratedText] = field(default_factory=list)


class TextGenerator:
    """Generates texts side by side, and iterates over them in their order.

    A text whose candidates are all rejected gets another candidate, until its attempts are used up.
    """

    def __init__(
        self,
        settings: GeneratorSettings,
        seed_batches: Iterable[Iterable[str]],
        candidate_filter: CandidateFilter,
        rng_seed: RngSeed,
        fingerprints: Sequence[Fingerprint] = (),
    ) -> None:
        """Prepare the texts.

        The next of `seed_batches` is requested when no text is in progress, so that a text never
        waits for a slow source. The random numbers of a candidate follow from `rng_seed`, the
        number of its text and its own number.

        Raises:
            ConfigError: If novel texts are requested without a fingerprint, or a distance from
                lines of a model of another task.
        """
        _check_filter(candidate_filter, fingerprints, settings.network.config.task)
        self._settings, self._filter, self._rng_seed = settings, candidate_filter, rng_seed
        self._fingerprints, self._task = fingerprints, settings.network.config.task
        self._match, self._unique_by, self._novel_by = (
            None if pattern is None else UserPattern(option, pattern)
            for option, pattern in (
                ("--match", candidate_filter.match),
                ("--unique-by", candidate_filter.unique_by),
                ("--novel-by", candidate_filter.novel_by),
            )
        )
        pieces = filter(lambda piece: isinstance(piece, str), settings.tokenizer.pieces)
        self._alphabet = sorted(set("".join(map(str, pieces))) - {"\n"})
        self._seed_batches = iter(seed_batches)
        self._seeds: Iterator[str] = iter(())  # of the current batch, one for each text
        self._requests = 0
        self._to_start: deque[_Request] = deque()  # once for each candidate
        self._in_progress: dict[Continuation, tuple[_Request, list[str]]] = {}
        self._shown: set[str] = set()  # if unique
        self._shown_fields: set[str] = set()  # if unique by a field

    def __iter__(self) -> Iterator[GeneratedText]:
        finished: dict[int, GeneratedText] = {}
        next_number = 0
        for continuation, characters in generate(self._settings, self._next_continuation):
            self._in_progress[continuation][1].append(characters)
            if continuation.finish_reason is None:
                continue
            text = self._finish(continuation, continuation.finish_reason)
            if text is not None:
                finished[text.number] = text
            while next_number in finished:
                yield finished.pop(next_number)
                next_number += 1

    def _next_continuation(self, is_idle: bool) -> Continuation | None:
        if not self._to_start:
            request = self._next_request(is_idle)
            if request is None:
                return None
            self._to_start.extend([request] * request.planned)
        request = self._to_start.popleft()
        rng_seed = (*self._rng_seed, request.number, request.started)
        continuation = Continuation(self._settings, request.seed, rng_seed)
        request.started += 1
        self._in_progress[continuation] = request, []
        return continuation

    def _next_request(self, is_idle: bool) -> _Request | None:
        seed = next(self._seeds, None)
        while seed is None and is_idle:
            batch = next(self._seed_batches, None)
            if batch is None:
                return None
            self._seeds = (seed for seed in batch for _ in range(self._filter.count))
            seed = next(self._seeds, None)
        if seed is None:
            return None
        self._requests += 1
        return _Request(self._requests - 1, seed, self._filter.best_of)

    def _finish(self, continuation: Continuation, reason: FinishReason) -> GeneratedText | None:
        """Return the text of a request if this was its last candidate."""
        request, pieces = self._in_progress.pop(continuation)
        candidate = GeneratedText(
            number=request.number,
            seed=request.seed,
            text="".join(pieces),
            tokens=continuation.tokens,
            nats=continuation.nats,
            finish_reason=reason,
            character_nats=tuple(continuation.shown_nats),
        )
        request.finished += 1
        if self._keeps(candidate):
            request.kept.append(candidate)
        if request.finished < request.planned:
            return None
        # Another text may have become equal to a candidate since it was kept.
        kept = [text for text in request.kept if not self._was_shown(text)]
        if not kept and request.planned < self._filter.attempts * self._filter.best_of:
            request.planned += 1
            self._to_start.append(request)
            return None
        if not kept:
            return replace(
                candidate,
                text=None,
                tokens=0,
                nats=0.0,
                finish_reason="attempts",
                character_nats=(),
            )
        best = min(kept, key=lambda text: text.nats / max(1, text.tokens))
        text = self._filtered_text(best)
        if self._filter.unique:
            self._shown.add(text)
        if self._unique_by is not None and (field := self._unique_by.field(text)) is not None:
            self._shown_fields.add(field)
        return best

    def _keeps(self, candidate: GeneratedText) -> bool:
        text = self._filtered_text(candidate)
        if self._match is not None and not self._match.is_in(text):
            return False
        if self._was_shown(candidate):
            return False
        if self._unique_by is not None and self._unique_by.field(text) is None:
            return False
        if self._novel_by is not None:
            field = self._novel_by.field(text)
            if field is None or field in self._filter.known_fields:
                return False
        distance = max(self._filter.min_distance, int(self._filter.novel))
        if not distance:
            return True
        example = candidate.text or ""
        if self._task == "lines":
            example = masked(candidate.seed + example, self._settings.network.config.mask)
        elif self._task == "pairs":
            example = f"{candidate.seed}\t{example}"
        return not is_near_training_text(example, self._fingerprints, self._alphabet, distance)

    def _filtered_text(self, candidate: GeneratedText) -> str:
        """Return a text with its seed text; of pairs, the target alone."""
        text = candidate.text or ""
        return text if self._task == "pairs" else candidate.seed + text

    def _was_shown(self, candidate: GeneratedText) -> bool:
        text = self._filtered_text(candidate)
        if self._unique_by is not None and self._unique_by.field(text) in self._shown_fields:
            return True
        return text in self._shown


def _check_filter(
    candidate_filter: CandidateFilter, fingerprints: Sequence[Fingerprint], task: Task
) -> None:
    """Raise ConfigError if a filter needs a fingerprint or lines, and the model has none."""
    for option, is_used in (
        ("--novel", candidate_filter.novel),
        ("--min-distance", candidate_filter.min_distance > 0),
    ):
        if is_used and not fingerprints:
            raise ConfigError(
                f"the model has no fingerprint of its training text, so {option} cannot work",
                hint="train the model again with this version of charlm",
            )
    if candidate_filter.min_distance and task != "lines":
        raise ConfigError(
            f"--min-distance needs a model of lines, and this one is of {task}",
            hint="train with --lines, or use --novel",
        )
