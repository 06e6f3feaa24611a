"""Every matrix and vector of a network, counted as in textbooks."""

import math
from dataclasses import dataclass, replace

from charlm.config import Cell, ModelConfig

SHARED = "embedding.weight"  # by the networks of both directions
BACKWARD = "backward."  # before the names of the second one's own
GATES: dict[Cell, int] = {"lstm": 4, "gru": 3, "rnn": 1}  # blocks of rows in a cell's matrices


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

    The embedding has one row more than the vocabulary: the boundary, which is read at the start
    of a text. Models of lines and pairs predict it, too, after the last token of an item. The rows
    of a cell's matrices are its gates, in PyTorch's order: of the LSTM input, forget, cell and
    output, of the GRU reset, update and new, of the simple RNN its one sum.

    Of two directions the backward network comes second. The embedding is theirs in common.
    """
    for_direction = _one_way(config, vocab_size)
    if config.direction != "both":
        return for_direction
    own = [parameter for parameter in for_direction if parameter.name != SHARED]
    return for_direction + [replace(parameter, name=BACKWARD + parameter.name) for parameter in own]


def _one_way(config: ModelConfig, vocab_size: int) -> list[Parameter]:
    """Return the parameters of the network that reads in one direction."""
    embedding, hidden = config.embedding_size, config.hidden_size
    outputs, rows = config.outputs(vocab_size), "(V + 1)" if config.predicts_boundary else "V"
    gates = GATES[config.cell]
    gated = f"{gates}H" if gates > 1 else "H"
    found = [Parameter(SHARED, (vocab_size + 1, embedding), "(V + 1) × E")]
    for layer in range(config.num_layers):
        inputs, letter = (embedding, "E") if layer == 0 else (hidden, "H")
        found += [
            Parameter(
                f"recurrent.{layer}.weight_ih", (gates * hidden, inputs), f"{gated} × {letter}"
            ),
            Parameter(f"recurrent.{layer}.weight_hh", (gates * hidden, hidden), f"{gated} × H"),
            Parameter(f"recurrent.{layer}.bias", (gates * hidden,), gated),
        ]
    if not config.tie_weights:
        found.append(Parameter("output.weight", (outputs, hidden), f"{rows} × H"))
    elif embedding != hidden:
        found.append(Parameter("output.projection", (embedding, hidden), "E × H"))
    found.append(Parameter("output.bias", (outputs,), rows.strip("()")))
    return found


def parameter_count(config: ModelConfig, vocab_size: int) -> int:
    """Return the number of trained values of the network."""
    return sum(parameter.size for parameter in parameters(config, vocab_size))


def recurrent_count(config: ModelConfig) -> int:
    """Return the number of trained values of the recurrent layers that read in one direction."""
    layers = (each for each in _one_way(config, 0) if each.name.startswith("recurrent."))
    return sum(parameter.size for parameter in layers)
