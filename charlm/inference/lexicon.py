"""Answers from a lexicon: known pairs come first, and the model answers what is not there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from charlm.config import ModelConfig
from charlm.corpus.columns import LineLayout, as_typed
from charlm.inference.candidates import GeneratedText
from charlm.inference.scoring import COLUMNS_HINT

Lexicon = Mapping[str, Sequence[str]]  # the targets of each source


def read_lexicon(
    batches: Iterable[tuple[str, int, Sequence[str]]], config: ModelConfig
) -> dict[str, list[str]]:
    """Return the pairs of a model's kind in files.

    Args:
        batches: The name of a file, the number of the first line, and lines.
        config: Of the model, which names the columns.

    Raises:
        CorpusError: If a line is not a pair.
    """
    layout = LineLayout.of(config)
    lexicon: dict[str, list[str]] = {}
    for name, first, batch in batches:
        lines = [line.rstrip("\r\n") for line in batch]
        layout.check(lines, name, first=first, hint=COLUMNS_HINT)
        for examples in layout.examples([lines]):
            for example in examples:
                source, _, target = example.partition("\t")
                targets = lexicon.setdefault(as_typed(source), [])
                if target not in targets:
                    targets.append(target)
    return lexicon


def answer_with_lexicon(
    lexicon: Lexicon,
    seed_batches: Iterable[Iterable[str]],
    generate: Callable[[Sequence[str]], Iterable[GeneratedText]],
    count: int,
) -> Iterator[GeneratedText]:
    """Yield up to `count` answers to each source: those of the lexicon, else generated ones.

    Args:
        lexicon: Known answers.
        seed_batches: Sources.
        generate: Returns `count` texts, or fewer, for each of some sources, in their order.
        count: Answers to a source.
    """
    answered = 0  # sources before the batch
    for batch in seed_batches:
        sources = list(batch)
        unknown = [source for source in sources if source not in lexicon]
        generated = {
            index: list(texts)
            for index, texts in groupby(generate(unknown), key=lambda text: text.number // count)
        }
        index = 0
        for source in sources:
            texts = generated.get(index, [])
            if source in lexicon:
                texts = [_known(source, target) for target in lexicon[source][:count]]
            else:
                index += 1
            for place, text in enumerate(texts):
                yield replace(text, number=answered * count + place)
            answered += 1


def _known(source: str, target: str) -> GeneratedText:
    return GeneratedText(
        number=0, seed=source, text=target, tokens=0, nats=0.0, finish_reason="lexicon"
    )
