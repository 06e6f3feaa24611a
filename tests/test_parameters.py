"""Parameters are counted as textbooks count them."""

from charlm.config import ModelConfig
from charlm.parameters import parameter_count, parameters, recurrent_count


def config_of(**settings):
    return ModelConfig(embedding_size=3, hidden_size=5, **settings)


def test_an_lstm_layer_has_4_times_hi_hh_and_h_parameters():
    first, second = 4 * (5 * 3 + 5 * 5 + 5), 4 * (5 * 5 + 5 * 5 + 5)
    embedding, output = (10 + 1) * 3, 10 * 5 + 10
    config = config_of(num_layers=2)

    assert recurrent_count(config) == first + second
    assert parameter_count(config, 10) == embedding + first + second + output
    assert [parameter.size for parameter in parameters(config, 10)][:2] == [33, 60]


def test_other_cells_have_fewer_gates():
    one_gate = 5 * 3 + 5 * 5 + 5

    assert recurrent_count(config_of(cell="gru")) == 3 * one_gate
    assert recurrent_count(config_of(cell="rnn")) == one_gate
    formulas = [parameter.formula for parameter in parameters(config_of(cell="gru"), 10)]
    assert formulas == ["(V + 1) × E", "3H × E", "3H × H", "3H", "V × H", "V"]


def test_models_of_lines_have_one_more_output():
    lines, text = config_of(task="lines"), config_of()

    assert parameter_count(lines, 10) - parameter_count(text, 10) == 5 + 1
    assert parameters(lines, 10)[-1].formula == "V + 1"


def test_tied_weights_replace_the_output_matrix_by_a_projection():
    tied = {
        parameter.name: parameter.shape for parameter in parameters(config_of(tie_weights=True), 10)
    }

    assert "output.weight" not in tied
    assert tied["output.projection"] == (3, 5)
    square = ModelConfig(embedding_size=5, hidden_size=5, tie_weights=True)
    assert [parameter.name for parameter in parameters(square, 10)][-2:] == [
        "recurrent.0.bias",
        "output.bias",
    ]


def test_two_directions_share_the_embedding():
    one, both = (parameters(config_of(direction=way), 10) for way in ("forward", "both"))

    assert both[: len(one)] == one
    assert [parameter.name for parameter in both[len(one) :]] == [
        f"backward.{parameter.name}" for parameter in one[1:]
    ]
