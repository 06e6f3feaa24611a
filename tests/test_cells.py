"""The table of cells agrees with PyTorch's layers."""

from typing import get_args

import pytest
import torch

from charlm.cells import CELLS, Cell

LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}


def test_every_cell_is_in_the_table():
    assert tuple(CELLS) == get_args(Cell)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_has_the_rows_and_the_state_of_pytorchs_layer(name):
    layer, cell = LAYERS[name](3, 5), CELLS[name]
    _, state = layer(torch.zeros(1, 1, 3))

    assert layer.weight_hh_l0.shape == (len(cell.gates) * 5, 5)
    assert len(state if isinstance(state, tuple) else [state]) == len(cell.state)


def test_the_formula_of_the_rows_has_the_number_of_gates():
    assert {name: cell.rows for name, cell in CELLS.items()} == {
        "lstm": "4H", "gru": "3H", "rnn": "H",
    }  # fmt: skip
