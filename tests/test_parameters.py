"""Parameters are counted as textbooks count them."""

from charlm.config import ModelConfig
from charlm.parameters import parameter_count, parameters


def test_parameters_are_counted_as_in_textbooks():
    # An LSTM layer of H units on I inputs has 4 (H I + H H + H) parameters.
    config = ModelConfig(embedding_size=3, hidden_size=5, num_layers=2)
    first, second = 4 * (5 * 3 + 5 * 5 + 5), 4 * (5 * 5 + 5 * 5 + 5)
    embedding, output = (10 + 1) * 3, 10 * 5 + 10

    assert parameter_count(config, 10) == embedding + first + second + output
    assert [parameter.size for parameter in parameters(config, 10)][:2] == [33, 60]


def test_models_of_lines_predict_their_end_with_one_more_output():
    config = ModelConfig(embedding_size=3, hidden_size=5, task="lines")

    assert (
        parameter_count(config, 10)
        - parameter_count(ModelConfig(embedding_size=3, hidden_size=5), 10)
        == 5 + 1
    )
