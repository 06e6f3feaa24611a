"""Settings are checked where they stand."""

import math

import pytest

from charlm.config import (
    CorpusConfig,
    ModelConfig,
    TrainingConfig,
)
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "setting", "value", "message"),
    [
        (ModelConfig, "hidden_size", 0, "hidden-size must be a whole number from 1 to"),
        (ModelConfig, "num_layers", 65, "num-layers must be a whole number from 1 to 64"),
        (ModelConfig, "embedding_size", 2.0, "embedding-size must be a whole number"),
        (TrainingConfig, "dropout", 1.0, "dropout must be at least 0 and below 1, got 1"),
        (TrainingConfig, "learning_rate", 0.0, "learning-rate must be above 0, got 0"),
        (
            TrainingConfig,
            "learning_rate",
            math.nan,
            "learning-rate must be finite and above 0, got nan",
        ),
        (
            TrainingConfig,
            "weight_decay",
            math.inf,
            "weight-decay must be finite and at least 0, got inf",
        ),
        (TrainingConfig, "optimizer", "adagrad", "optimizer must be one of adamw, adam"),
        (TrainingConfig, "max_steps", 0, "max-steps must be a whole number from 1"),
        (ModelConfig, "cell", "transformer", "cell must be one of lstm, gru, rnn"),
        (ModelConfig, "residual", True, "residual connections are between layers; there is one"),
        (TrainingConfig, "bptt_length", 0, "bptt-length must be a whole number from 1"),
        (ModelConfig, "nonlinearity", "relu", "nonlinearity is for --cell rnn, not for lstm"),
        (TrainingConfig, "momentum", 1.0, "momentum must be at least 0 and below 1"),
        (CorpusConfig, "task", "poems", "task must be one of text, lines, pairs"),
        (CorpusConfig, "vocab_size", 500, "vocab-size has no meaning for the char tokenizer"),
        (CorpusConfig, "document_separator", "", "document-separator must not be empty"),
        (CorpusConfig, "document_separator", "\udcff", "document-separator must be UTF-8"),
        (
            CorpusConfig,
            "max_validation_characters",
            0,
            "max-validation-characters must be a whole number of at least 1",
        ),
        (TrainingConfig, "learning_rate", 1e39, "learning-rate must be at most 1e[+]38"),
        (TrainingConfig, "weight_decay", 1e39, "weight-decay must be at most 1e[+]38"),
        (TrainingConfig, "max_gradient_norm", 1e39, "max-gradient-norm must be at most 1e[+]38"),
        (TrainingConfig, "max_time", 1e10, "max-time must be at most 1e[+]09"),
        (TrainingConfig, "max_epochs", 1e308, "max-epochs must be at most 1.09951e[+]12"),
        (ModelConfig, "document_separator", "", "document-separator must not be empty"),
        (ModelConfig, "document_separator", 1, "document-separator must be a text"),
        (ModelConfig, "tie_weights", 1, "tie-weights must be one of False, True, got 1"),
        (ModelConfig, "cell", 99 * "x", f"cell must be one of lstm, gru, rnn, got '{59 * 'x'}…"),
        (
            CorpusConfig,
            "validation_fraction",
            1.0,
            "validation-fraction must be above 0 and below 1",
        ),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bounds(config, setting, value, message):
    with pytest.raises(ConfigError, match=message):
        config(**{setting: value})


def test_large_vocabularies_have_a_larger_embedding_that_is_tied():
    for kind, size, is_tied in (("char", 64, False), ("byte", 64, False), ("word", 256, True)):
        config = ModelConfig.for_tokenizer(kind)
        assert (config.embedding_size, config.tie_weights) == (size, is_tied)
    given = ModelConfig.for_tokenizer("bpe", embedding_size=7, tie_weights=False, num_layers=2)

    assert given == ModelConfig(embedding_size=7, num_layers=2)


def test_each_optimizer_has_a_learning_rate_of_its_own_unless_one_is_given():
    assert TrainingConfig(optimizer="sgd").peak_learning_rate == 2.0
    assert TrainingConfig(optimizer="sgd", learning_rate=0.5).peak_learning_rate == 0.5


def test_words_are_read_in_short_windows_unless_others_are_given():
    def window(kind, **given):
        return TrainingConfig.for_model(ModelConfig(), kind, **given).bptt_length

    assert window("word") == 32
    assert window("char") is None  # for the plan to choose
    assert window("word", bptt_length=5) == window("char", bptt_length=5) == 5


def test_only_an_lstm_has_forget_gates():
    gru = ModelConfig(cell="gru")

    assert TrainingConfig.for_model(ModelConfig(), "char", forget_bias=2.0).forget_bias == 2.0
    assert TrainingConfig.for_model(gru, "char").forget_bias == TrainingConfig.forget_bias
    with pytest.raises(ConfigError, match="forget-bias is for --cell lstm, not for gru"):
        TrainingConfig.for_model(gru, "char", forget_bias=2.0)
