"""Errors that a user can fix have a message and a hint."""

import pytest

from charlm.errors import CharlmError, CheckpointError, ConfigError, CorpusError, TrainingError


@pytest.mark.parametrize("kind", [CheckpointError, ConfigError, CorpusError, TrainingError])
def test_an_error_has_a_message_and_a_hint(kind):
    error = kind("there is no model at m", hint="train one")

    assert isinstance(error, CharlmError)
    assert (str(error), error.message, error.hint) == (*["there is no model at m"] * 2, "train one")
    assert error.rank is None
    assert kind("odd").hint is None
