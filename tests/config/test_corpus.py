"""Settings of the corpus."""

import pytest

from charlm.config import CorpusConfig
from charlm.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("task", "poems", "task must be one of text, lines, pairs"),
        ("tokenizer", "syllable", "tokenizer must be one of char, byte, word, bpe, unigram"),
        ("vocab_size", 500, "vocab-size has no meaning for the char tokenizer"),
        ("document_separator", "", "document-separator must not be empty"),
        ("document_separator", "\udcff", "document-separator must be UTF-8"),
        ("max_validation_characters", 0, "max-validation-characters must be a whole number of at"),
        ("validation_fraction", 1.0, "validation-fraction must be above 0 and below 1"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bounds(setting, value, message):
    with pytest.raises(ConfigError, match=message):
        CorpusConfig(**{setting: value})


def test_a_size_is_for_large_vocabularies():
    assert CorpusConfig(tokenizer="word", vocab_size=500).vocab_size == 500
    with pytest.raises(ConfigError, match="vocab-size must be a whole number from 1"):
        CorpusConfig(tokenizer="bpe", vocab_size=0)


def test_only_running_text_has_documents():
    assert CorpusConfig(document_separator="***").document_separator == "***"
    with pytest.raises(ConfigError, match="document-separator is for running text, not for lines"):
        CorpusConfig(document_separator="***", task="lines")
