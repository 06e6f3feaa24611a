"""The settings of generation are in the signatures and the help of the methods that take them."""

import inspect
import pydoc
from dataclasses import fields

import pytest

from charlm import Model
from charlm.config import GenerationConfig

METHODS = ["generate", "stream", "pieces", "generate_many", "generate_from_batches"]


@pytest.mark.parametrize("name", METHODS)
def test_a_signature_has_every_setting_with_its_default(name):
    parameters = inspect.signature(getattr(Model, name)).parameters

    for field in fields(GenerationConfig):
        assert parameters[field.name].default == field.default
        assert parameters[field.name].annotation == field.type
    assert "rng_seed" in parameters
    assert "settings" not in parameters


@pytest.mark.parametrize("name", METHODS)
def test_help_describes_every_setting_with_its_default(name):
    shown = pydoc.render_doc(getattr(Model, name), renderer=pydoc.plaintext)

    for field in fields(GenerationConfig):
        assert f"        {field.name} ({field.default!r}): " in shown
    assert "**settings" not in shown
    assert "        top_k (0): Number of most probable tokens that are kept; 0 is off.\n" in shown


@pytest.mark.parametrize("name", METHODS)
def test_a_setting_that_does_not_exist_is_a_type_error_with_its_name(unigram_model, name):
    model = unigram_model({"a": 1.0})
    arguments = [["a"]] if name.startswith("generate_") else ["a"]
    with pytest.raises(TypeError, match="'temprature'"):
        getattr(model, name)(*arguments, temprature=1)


def test_generate_and_stream_take_no_option_of_pieces(unigram_model):
    with pytest.raises(TypeError, match="'is_scored'"):
        unigram_model({"a": 1.0}).generate("a", is_scored=True)
