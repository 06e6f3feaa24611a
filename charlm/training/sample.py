"""The sample text that is printed after a validation."""

from charlm.corpus.encoded_text import EncodedText
from charlm.inference.model import Model

SAMPLE_LENGTH = 120  # characters


def sample_text(model: Model, validation: EncodedText, rng_seed: int) -> str:
    """Return a short text of a model: running text, some lines, or the target of a source."""
    if model.config.task == "text":
        return model.generate(length=SAMPLE_LENGTH, rng_seed=rng_seed)
    if model.config.task == "pairs":
        before, after = validation.boundaries[:2]
        source = model.tokenizer.decode(validation.ids[before + 1 : after])
        return f"{source}\t{model.generate(source, length=SAMPLE_LENGTH, rng_seed=rng_seed)}"
    lines = ""
    while len(lines) < SAMPLE_LENGTH // 2:
        lines += model.generate(length=SAMPLE_LENGTH, rng_seed=(rng_seed, len(lines))) + "\n"
    return lines
