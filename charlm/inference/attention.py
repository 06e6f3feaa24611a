"""What a network attends to: the weight of each token of a source at each step of a target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from charlm.errors import ConfigError
from charlm.inference.encoder_decoder import EncoderDecoder
from charlm.inference.runtime import Floats
from charlm.inference.seed_texts import read_example
from charlm.tokenizers import Tokenizer
from charlm.tokenizers.symbols import FEATURE_MARK

if TYPE_CHECKING:
    from charlm.inference.model import Model

END = "■"  # the end of a target


@dataclass(frozen=True, eq=False)
class AttentionMatrix:
    """The attention of a pair.

    Attributes:
        source: The tokens of the source, S of them.
        target: The tokens of the target, T of them; the last is its end, "■".
        weights: The attention to each source token in the step that predicts each target token,
            shape (T, S); the sum of a row is 1.
    """

    source: Sequence[str]
    target: Sequence[str]
    weights: Floats = field(repr=False)


def attention_of(model: "Model", source: str, target: str | None) -> AttentionMatrix:
    """Return the attention in a pair; without a target, in the model's answer.

    Raises:
        ConfigError: If the model has no attention, or the source is blank.
    """
    network = model.runtime()
    if not isinstance(network, EncoderDecoder) or model.config.encoder != "attention":
        raise ConfigError(
            "this model has no attention",
            hint="train one with --pairs, and without --no-attention",
        )
    if not source.strip():
        raise ConfigError("attention needs a source, which is blank")
    if target is None:
        target = model.generate(source)
    tokenizer = model.tokenizer
    source = read_example(source, model.config, "source")
    source_ids = tokenizer.encode(source).tolist()
    target_ids = tokenizer.encode(f"\t{target}").tolist()[1:]  # a symbol stands behind a tab
    return AttentionMatrix(
        source=[_name(tokenizer, token) for token in source_ids],
        target=[*(_name(tokenizer, token) for token in target_ids), END],
        weights=network.attention(source_ids, target_ids),
    )


def _name(tokenizer: Tokenizer, token: int) -> str:
    """Return the text of a token without what separates it, or its byte as <0x41>."""
    piece = tokenizer.pieces[token]
    if isinstance(piece, int):
        return f"<0x{piece:02X}>"
    return piece.removeprefix(tokenizer.separator or FEATURE_MARK) or piece
