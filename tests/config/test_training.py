"""Settings of training."""

import math

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("batch_size", 0, "batch-size must be a whole number from 1"),
        ("bptt_length", 0, "bptt-length must be a whole number from 1"),
        ("optimizer", "adagrad", "optimizer must be one of adamw, adam"),
        ("initialisation", "zeros", "initialisation must be one of orthogonal, identity, uniform"),
        ("dropout", 1.0, "dropout must be at least 0 and below 1, got 1"),
        ("momentum", 1.0, "momentum must be at least 0 and below 1"),
        ("learning_rate", 0.0, "learning-rate must be above 0, got 0"),
        ("learning_rate", math.nan, "learning-rate must be finite and above 0, got nan"),
        ("weight_decay", math.inf, "weight-decay must be finite and at least 0, got inf"),
        ("learning_rate", 1e39, "learning-rate must be at most 1e[+]38"),
        ("weight_decay", 1e39, "weight-decay must be at most 1e[+]38"),
        ("max_gradient_norm", 1e39, "max-gradient-norm must be at most 1e[+]38"),
        ("max_time", 1e10, "max-time must be at most 1e[+]09"),
        ("max_epochs", 1e308, "max-epochs must be at most 1.09951e[+]12"),
        ("max_steps", 0, "max-steps must be a whole number from 1"),
        ("threads", 0, "threads must be a whole number from 1"),
        ("rng_seed", -1, "rng-seed must be a whole number from 0"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bounds(setting, value, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**{setting: value})


def test_each_optimizer_has_its_own_defaults():
    assert TrainingConfig(optimizer="sgd").peak_learning_rate == 2.0
    assert TrainingConfig(optimizer="sgd", learning_rate=0.5).peak_learning_rate == 0.5
    assert TrainingConfig().matrix_decay == 0.1
    assert TrainingConfig(optimizer="adam").matrix_decay == 0.0
    assert TrainingConfig(optimizer="adam", weight_decay=0.2).matrix_decay == 0.2


def test_words_are_read_in_shorter_windows():
    def bptt_length(tokenizer, **settings):
        return TrainingConfig.for_model(ModelConfig(), tokenizer, **settings).bptt_length

    assert bptt_length("word") == 32
    assert bptt_length("char") is None  # the plan chooses
    assert bptt_length("word", bptt_length=5) == bptt_length("char", bptt_length=5) == 5
    assert TrainingConfig().window_length == 64


def test_only_an_lstm_has_forget_gates():
    gru = ModelConfig(cell="gru")

    assert TrainingConfig.for_model(ModelConfig(), "char", forget_bias=2.0).forget_bias == 2.0
    assert TrainingConfig.for_model(gru, "char").forget_bias == TrainingConfig.forget_bias
    with pytest.raises(ConfigError, match="forget-bias needs --cell lstm, got gru"):
        TrainingConfig.for_model(gru, "char", forget_bias=2.0)


def test_the_json_has_the_defaults_of_the_optimizer():
    settings = TrainingConfig(optimizer="rmsprop").to_json()

    assert (settings["learning_rate"], settings["weight_decay"]) == (5e-3, 0.0)
