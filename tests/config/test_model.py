"""Settings of the network, and how they are read from a file."""

import pytest

from charlm.config import ModelConfig
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("hidden_size", 0, "hidden-size must be a whole number from 1 to"),
        ("num_layers", 65, "num-layers must be a whole number from 1 to 64"),
        ("embedding_size", 2.0, "embedding-size must be a whole number"),
        ("cell", "transformer", "cell must be one of lstm, gru, rnn"),
        ("residual", True, "residual connections are between layers; there is one"),
        ("nonlinearity", "relu", "nonlinearity is for --cell rnn, not for lstm"),
        ("direction", "sideways", "direction must be one of forward, backward, both"),
        ("document_separator", "", "document-separator must not be empty"),
        ("document_separator", 1, "document-separator must be a text"),
        ("tie_weights", 1, "tie-weights must be one of False, True, got 1"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bounds(setting, value, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**{setting: value})


def test_pairs_are_read_forward():
    with pytest.raises(ConfigError, match="pairs are read forward, not backward") as caught:
        ModelConfig(task="pairs", direction="backward")

    assert caught.value.hint == "to predict sources from targets, swap the columns"


def test_large_vocabularies_have_a_larger_embedding_that_is_tied():
    for kind, size, is_tied in (("char", 64, False), ("byte", 64, False), ("word", 256, True)):
        config = ModelConfig.for_tokenizer(kind)
        assert (config.embedding_size, config.tie_weights) == (size, is_tied)
    config = ModelConfig.for_tokenizer("bpe", embedding_size=7, tie_weights=False, num_layers=2)

    assert config == ModelConfig(embedding_size=7, num_layers=2)


def test_models_of_lines_and_pairs_predict_the_boundary():
    assert [ModelConfig(task=task).outputs(10) for task in ("text", "lines", "pairs")] == [
        10, 11, 11,
    ]  # fmt: skip


def test_a_model_of_both_directions_has_two_networks():
    assert ModelConfig(direction="both").directions == ("forward", "backward")
    assert ModelConfig(direction="backward").directions == ("backward",)


def test_a_config_comes_back_from_its_json():
    config = ModelConfig(cell="gru", num_layers=2, residual=True, task="lines", direction="both")

    assert ModelConfig.from_json(config.to_json()) == config


def test_a_setting_that_is_missing_in_a_file_has_its_default():
    assert ModelConfig.from_json({"hidden_size": 7}) == ModelConfig(hidden_size=7)
    for value in (None, {}, {"hidden_size": 7, "heads": 8}, {"hidden_size": 7, "task": "poems"}):
        with pytest.raises(ConfigError):
            ModelConfig.from_json(value)


def test_form_is_the_task_in_files_of_charlm_0_1_0():
    assert ModelConfig.from_json({"hidden_size": 7, "form": "lines"}).task == "lines"
    with pytest.raises(ConfigError):
        ModelConfig.from_json({"hidden_size": 7, "form": "lines", "task": "lines"})


@pytest.mark.parametrize("task", ["labels", "tags"])
@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_labels_and_tags_have_an_output_of_their_own(task, kind):
    assert not ModelConfig.for_tokenizer(kind, task=task, num_classes=2).tie_weights


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "labels", "tie_weights": True}, "have an output of their own"),
        ({"task": "tags", "residual": True, "num_layers": 2}, "residual connections are not for"),
        ({"task": "tags", "hidden_size": 6}, "a multiple of 4"),
        ({"task": "pairs", "encoder": "attention", "hidden_size": 7}, "a multiple of 2"),
        ({"task": "lines", "encoder": "attention"}, "an encoder is for pairs"),
        ({"task": "labels", "direction": "both"}, "are read both ways"),
    ],
)
def test_what_an_encoder_cannot_have_is_an_error(settings, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"task": "labels"}, "LSTM that reads both ways, 1 layer of 8 units"),
        (
            {"task": "pairs", "encoder": "attention", "num_layers": 2},
            "encoder and decoder of LSTM, 2 layers of 8 units with attention",
        ),
        (
            {"task": "pairs", "encoder": "context", "cell": "gru"},
            "encoder and decoder of GRU, 1 layer of 8 units with a context vector",
        ),
    ],
)
def test_networks_with_an_encoder_have_names(settings, name):
    assert ModelConfig(hidden_size=8, **settings).network == name
