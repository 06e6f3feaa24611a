"""The likeliest answers to a source, by beam search, instead of random ones."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from charlm.config import CandidateFilter
from charlm.errors import ConfigError
from charlm.inference.candidates import GeneratedText
from charlm.inference.runtime import log_softmax, select_rows
from charlm.inference.seed_texts import read_example
from charlm.inference.sequences import GeneratorSettings

FEWEST_HYPOTHESES = 8  # by default; a narrow beam may lose the second likeliest answer
LONGEST_ANSWER = 1000  # tokens, unless the length is smaller


class Answer(NamedTuple):
    """An answer, and −ln of its probability, its end included."""

    text: str
    tokens: int
    nats: float


def likeliest_answers(settings: GeneratorSettings, source: str, count: int) -> list[Answer]:
    """Return the `count` likeliest different answers, the likeliest first; fewer if there are none.

    Each step keeps the most probable hypotheses (Lowerre 1976). As −ln p only grows, the search
    ends when no hypothesis can come to a better answer than those that are complete.
    """
    network, tokenizer = settings.network, settings.tokenizer
    source = read_example(source, network.config, "seed text")
    boundary_id = tokenizer.boundary_id
    state = network.zero_state(1)
    for token in (boundary_id, *tokenizer.encode(source).tolist(), boundary_id):
        logits, state = network.predict(np.array([token]), state)
    beam = settings.config.beam
    width = max(beam if beam > 1 else FEWEST_HYPOTHESES, 2 * count if count > 1 else 1)
    hypotheses: list[list[int]] = [[]]
    nats = np.zeros(1)
    answers: dict[str, Answer] = {}
    for _ in range(min(settings.config.length or LONGEST_ANSWER, LONGEST_ANSWER)):
        total = nats[:, None] - log_softmax(logits)
        for tokens, cost in zip(hypotheses, total[:, boundary_id].tolist(), strict=True):
            text = tokenizer.decode(tokens)
            if text not in answers or cost < answers[text].nats:
                answers[text] = Answer(text, len(tokens) + 1, cost)
        total[:, sorted(settings.end_tokens)] = np.inf
        flat = total.ravel()
        best = np.argsort(flat, kind="stable")[:width]
        best = best[np.isfinite(flat[best])]
        complete = sorted(answer.nats for answer in answers.values())
        if not len(best) or (len(complete) >= count and complete[count - 1] <= flat[best[0]]):
            break
        rows, next_tokens = np.divmod(best, total.shape[1])
        hypotheses = [
            [*hypotheses[row], token]
            for row, token in zip(rows.tolist(), next_tokens.tolist(), strict=True)
        ]
        nats = flat[best]
        logits, state = network.predict(next_tokens, select_rows(state, rows))
    return sorted(answers.values(), key=lambda answer: answer.nats)[:count]


def generate_answers(
    settings: GeneratorSettings,
    source_batches: Iterable[Iterable[str]],
    candidate_filter: CandidateFilter,
) -> Iterator[GeneratedText]:
    """Yield the likeliest different answers to each source; a blank source has a blank one.

    Raises:
        ConfigError: If a setting has no meaning for them.
    """
    config, count = settings.config, candidate_filter.count
    is_filtered = candidate_filter.match is not None or candidate_filter.novel
    is_filtered = is_filtered or candidate_filter.best_of > 1
    if is_filtered or config.has_constraints or not config.has_only_length:
        raise ConfigError(
            "the likeliest answers are not filtered, constrained or stopped",
            hint="draw answers at random with --temperature 0.8, or leave out --count and --beam",
        )
    sources = (source for batch in source_batches for source in batch)
    for index, source in enumerate(sources):
        answers = [Answer("", 0, 0.0)]
        if source.strip():
            answers = likeliest_answers(settings, source, count)
        for place, answer in enumerate(answers):
            yield GeneratedText(
                number=index * count + place,
                seed=source,
                text=answer.text,
                tokens=answer.tokens,
                nats=answer.nats,
                finish_reason="end",
            )
