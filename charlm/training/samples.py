"""A short text of a model in training, which shows how far it has come."""

from collections.abc import Sequence

from charlm.corpus.encoded_text import EncodedText
from charlm.inference.model import Model

SAMPLE_LENGTH = 120  # characters


def sample_text(model: Model, validation: EncodedText, rng_seed: int) -> str:
    """Return running text, some lines, or what the model predicts for a held-out example."""
    task = model.config.task
    if task == "text":
        return model.generate(length=SAMPLE_LENGTH, rng_seed=rng_seed)
    if task == "lines":
        lines = ""
        while len(lines) < SAMPLE_LENGTH // 2:
            numbers = rng_seed, len(lines)
            lines += model.generate(length=SAMPLE_LENGTH, rng_seed=numbers) + "\n"
        return lines
    sources = _first_sources(model, validation)
    if task == "tags":
        [tags] = model.tags([sources])
        pairs = zip(sources, tags, strict=True)
        return " ".join(f"{token}/{tag.name}" for token, tag in pairs)
    source = sources[0]
    if task == "labels":
        [label] = model.labels([source])
        return f"{source}\t{label.name}"
    return f"{source}\t{model.generate(source, length=SAMPLE_LENGTH, rng_seed=rng_seed)}"


def _first_sources(model: Model, validation: EncodedText) -> Sequence[str]:
    """Return the source of the first held-out pair or label, or the tokens of a sentence."""
    start, stop = (int(place) for place in validation.boundaries[:2])
    ids = validation.ids[start + 1 : stop + 1].tolist()
    sources: list[str] = []
    pending: list[int] = []  # ids since the last boundary: of a token, then of its tag
    is_source = True
    for token in ids:
        if token != model.tokenizer.boundary_id:
            pending.append(token)
            continue
        if is_source:
            sources.append(model.tokenizer.decode(pending))
        pending, is_source = [], not is_source
    return sources
