"""The table of recurrent cells: the gates and the state of each, for training and inference.

A new cell is one entry here, its update in `inference/runtime.py`, and its torch layer in
`training/network.py`.
"""

from dataclasses import dataclass
from typing import Literal

Cell = Literal["lstm", "gru", "rnn"]
Activation = Literal["sigmoid", "tanh", "nonlinearity"]


@dataclass(frozen=True, kw_only=True)
class CellType:
    """One kind of cell, with hidden size H and input size I.

    A layer has gates · (H I + H H + H) parameters: weight_ih (gates · H, I), weight_hh
    (gates · H, H) and one bias (gates · H,).

    Attributes:
        gates: The blocks of H rows of each array, in PyTorch's order, and their activations.
            "nonlinearity" is the setting of that name.
        state: The vectors of H numbers that pass from step to step. The first is the output.
    """

    gates: dict[str, Activation]
    state: tuple[str, ...] = ("hidden",)

    @property
    def rows(self) -> str:
        """The formula of the number of rows: 4H, 3H or H."""
        return "H" if len(self.gates) == 1 else f"{len(self.gates)}H"


CELLS: dict[Cell, CellType] = {
    "lstm": CellType(
        gates={"input": "sigmoid", "forget": "sigmoid", "cell": "tanh", "output": "sigmoid"},
        state=("hidden", "cell"),
    ),
    "gru": CellType(gates={"reset": "sigmoid", "update": "sigmoid", "new": "tanh"}),
    "rnn": CellType(gates={"hidden": "nonlinearity"}),
}
