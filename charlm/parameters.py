"""Every matrix and vector of a network, counted as in textbooks."""

import math
from dataclasses import dataclass, replace

from charlm.cells import CELLS
from charlm.config import ModelConfig

SHARED = "embedding.weight"  # by the networks of both directions
BACKWARD = "backward."  # prefix of the backward network's names in a model of both directions
ENCODERS = ("encoder", "encoder_reverse")  # prefixes of the layers that read a source both ways
CHARACTER_ENCODERS = ("characters", "characters_reverse")  # which read the characters of a token
# Prefixes of recurrent layers, before their numbers.
RECURRENT_STACKS = ("recurrent", *ENCODERS, *CHARACTER_ENCODERS)

# Of attention: the score of a position beyond the end of a source, and the largest factor of the
# embeddings that are copied. Forms of Turkish lemmas (1,000 to learn from, 70 s): 84 % of 2,000 are
# right with it, 81 % without, 84 % with a pointer that mixes probabilities.
MASKED, LARGEST_COPY = -1e9, 10.0


@dataclass(frozen=True)
class Parameter:
    """One matrix or vector of the network: its name in the checkpoint, shape and formula."""

    name: str
    shape: tuple[int, ...]
    formula: str  # in V (vocabulary), E (embedding), H (hidden), K (classes)

    @property
    def size(self) -> int:
        """Number of trained values."""
        return math.prod(self.shape)


def parameters(config: ModelConfig, vocab_size: int) -> list[Parameter]:
    """Return every parameter of the network, in the order of the computation.

    The embedding has one row more than the vocabulary: the boundary, which is read before the
    first token of a text. Models of lines and pairs also predict it after the last token of an
    example. The gates of each cell are in `cells.py`.

    In a model of both directions the backward network comes second. Both share the embedding.
    """
    forward = _single_direction(config, vocab_size)
    if config.direction != "both":
        return forward
    backward = [
        replace(parameter, name=BACKWARD + parameter.name)
        for parameter in forward
        if parameter.name != SHARED
    ]
    return forward + backward


def _single_direction(config: ModelConfig, vocab_size: int) -> list[Parameter]:
    """Return the parameters of the network of one direction."""
    embedding, hidden = config.embedding_size, config.hidden_size
    outputs = config.outputs(vocab_size)
    output_rows = "(V + 1)" if config.predicts_boundary else "V"
    listed = [Parameter(SHARED, (vocab_size + 1, embedding), "(V + 1) × E")]
    if config.has_encoder:
        listed += _encoder(config)
    if config.is_of_classes:
        listed.append(Parameter("output.weight", (outputs, hidden), "K × H"))
        return [*listed, Parameter("output.bias", (outputs,), "K")]
    listed += _bridge(config) if config.has_encoder else []
    for layer in range(config.num_layers):
        inputs, letter = (embedding, "E") if layer == 0 else (hidden, "H")
        listed += _recurrent_layer(f"recurrent.{layer}.", config, (inputs, letter), (hidden, "H"))
    if config.encoder == "attention":
        listed += [
            Parameter("attention.query", (hidden, hidden), "H × H"),
            Parameter("attention.combination", (hidden, 2 * hidden), "H × 2H"),
            Parameter("attention.bias", (hidden,), "H"),
        ]
    if config.copies:
        listed += [
            Parameter("attention.copy_weight", (hidden,), "H"),
            Parameter("attention.copy_bias", (1,), "1"),
        ]
    if not config.tie_weights:
        listed.append(Parameter("output.weight", (outputs, hidden), f"{output_rows} × H"))
    elif embedding != hidden:
        listed.append(Parameter("output.projection", (embedding, hidden), "E × H"))
    listed.append(Parameter("output.bias", (outputs,), output_rows.strip("()")))
    return listed


def _encoder(config: ModelConfig) -> list[Parameter]:
    """Return the parameters of layers that read both ways, with H / 2 units a direction.

    Of tags there is a layer before them that reads the characters of each token, with H / 4 units a
    direction.
    """
    embedding, size, characters = config.embedding_size, config.encoder_size, config.character_size
    listed: list[Parameter] = []
    first_input = embedding, "E"
    if config.task == "tags":
        for name in CHARACTER_ENCODERS:
            sizes = first_input, (characters, "(H / 4)")
            listed += _recurrent_layer(f"{name}.0.", config, *sizes)
        first_input = 2 * characters, "(H / 2)"
    for layer in range(config.num_layers):
        for name in ENCODERS:
            inputs = (2 * size, "H") if layer else first_input
            listed += _recurrent_layer(f"{name}.{layer}.", config, inputs, (size, "(H / 2)"))
    return listed


def _bridge(config: ModelConfig) -> list[Parameter]:
    """Return the parameters that make the first state of a decoder of the encoder's last."""
    vectors = state_count(config)
    rows, formula = vectors * config.hidden_size, f"{vectors}H" if vectors > 1 else "H"
    return [
        Parameter("bridge.weight", (rows, config.hidden_size), f"{formula} × H"),
        Parameter("bridge.bias", (rows,), formula),
    ]


def _recurrent_layer(
    prefix: str, config: ModelConfig, inputs: tuple[int, str], hidden: tuple[int, str]
) -> list[Parameter]:
    """Return the parameters of a layer, given its input and hidden sizes and their letters."""
    gates = len(CELLS[config.cell].gates)
    rows = gates * hidden[0]
    formula = hidden[1] if gates == 1 else f"{gates}{hidden[1]}"
    return [
        Parameter(prefix + "weight_ih", (rows, inputs[0]), f"{formula} × {inputs[1]}"),
        Parameter(prefix + "weight_hh", (rows, hidden[0]), f"{formula} × {hidden[1]}"),
        Parameter(prefix + "bias", (rows,), formula),
    ]


def state_count(config: ModelConfig) -> int:
    """Return the number of state vectors of all layers."""
    return config.num_layers * len(CELLS[config.cell].state)


def parameter_count(config: ModelConfig, vocab_size: int) -> int:
    """Return the number of trained values of the network."""
    return sum(parameter.size for parameter in parameters(config, vocab_size))


def recurrent_count(config: ModelConfig) -> int:
    """Return the number of trained values in the recurrent layers of one direction."""
    return sum(
        parameter.size
        for parameter in _single_direction(config, vocab_size=0)
        if parameter.name.partition(".")[0] in RECURRENT_STACKS
    )
