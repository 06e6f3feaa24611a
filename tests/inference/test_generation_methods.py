"""The methods that generate text refuse arguments of another type, with their names."""

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.generate(5), "seed must be a str, got int"),
        (lambda model: model.generate(b"a"), "seed must be a str, got bytes"),
        (lambda model: model.generate("a", ending=5), "ending must be a str or None, got int"),
        (lambda model: model.generate("a", length="x"), "length must be an int or None, got str"),
        (lambda model: model.generate("a", temperature="hot"), "temperature must be a number, got"),
        (lambda model: model.generate("a", temperature=None), "temperature must be a number, got"),
        (lambda model: model.generate("a", stop="b"), "stop must be a tuple of str, got str"),
        (lambda model: model.generate("a", until=b"b"), "until must be a str or None, got bytes"),
        (lambda model: model.generate("a", rng_seed="x"), "rng_seed must be an int, got str"),
        (lambda model: model.generate("a", rng_seed=(1, "x")), "rng_seed must be an int, got str"),
        (lambda model: model.stream(5), "seed must be a str, got int"),
        (lambda model: model.pieces(5), "seed must be a str, got int"),
        (lambda model: model.top_tokens(5), "seed must be a str, got int"),
        (lambda model: model.generate_many("ab"), "seeds must be several texts, got one str"),
        (lambda model: model.generate_many(5), "seeds must be several texts, got int"),
        (lambda model: list(model.generate_many([5])), "an item of seeds must be a str, got int"),
        (
            lambda model: model.generate_many(candidate_filter=5),
            "candidate_filter must be a CandidateFilter, got int",
        ),
        (lambda model: model.generate_from_batches(5), "seed_batches must be an Iterable, got int"),
    ],
)
def test_an_argument_of_another_type_is_named(unigram_model, call, message):
    with pytest.raises(TypeError) as caught:
        call(unigram_model({"a": 1.0}))

    assert str(caught.value).startswith(message)


def test_a_list_of_stops_and_numbers_of_numpy_are_taken(unigram_model):
    model = unigram_model({"a": 0.5, "b": 0.5})
    options = {"length": 20, "temperature": np.float32(1)}
    text = model.generate(rng_seed=np.int64(3), **options)

    assert text == model.generate(rng_seed=3, **options)
    assert model.generate(rng_seed=3, stop=["b"], **options) == text.partition("b")[0]
