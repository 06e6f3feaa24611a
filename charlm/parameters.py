"""Every matrix and vector of a network, counted as in textbooks."""

import math
from dataclasses import dataclass, replace

from charlm.cells import CELLS
from charlm.config import ModelConfig

SHARED = "embedding.weight"  # by the networks of both directions
BACKWARD = "backward."  # prefix of the backward network's names in a model of both directions


@dataclass(frozen=True)
class Parameter:
    """One matrix or vector of the network: its name in the checkpoint, shape and formula."""

    name: str
    shape: tuple[int, ...]
    formula: str  # in V (vocabulary), E (embedding), H (hidden)

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
    cell = CELLS[config.cell]
    rows = len(cell.gates) * hidden
    listed = [Parameter(SHARED, (vocab_size + 1, embedding), "(V + 1) × E")]
    for layer in range(config.num_layers):
        inputs, letter = (embedding, "E") if layer == 0 else (hidden, "H")
        prefix = f"recurrent.{layer}."
        listed += [
            Parameter(prefix + "weight_ih", (rows, inputs), f"{cell.rows} × {letter}"),
            Parameter(prefix + "weight_hh", (rows, hidden), f"{cell.rows} × H"),
            Parameter(prefix + "bias", (rows,), cell.rows),
        ]
    if not config.tie_weights:
        listed.append(Parameter("output.weight", (outputs, hidden), f"{output_rows} × H"))
    elif embedding != hidden:
        listed.append(Parameter("output.projection", (embedding, hidden), "E × H"))
    listed.append(Parameter("output.bias", (outputs,), output_rows.strip("()")))
    return listed


def parameter_count(config: ModelConfig, vocab_size: int) -> int:
    """Return the number of trained values of the network."""
    return sum(parameter.size for parameter in parameters(config, vocab_size))


def recurrent_count(config: ModelConfig) -> int:
    """Return the number of trained values in the recurrent layers of one direction."""
    return sum(
        parameter.size
        for parameter in _single_direction(config, vocab_size=0)
        if parameter.name.startswith("recurrent.")
    )
