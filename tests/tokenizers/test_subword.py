"""A token is a frequent piece of a word, or a byte."""

import pytest
from sample_texts import PROSE

from charlm import tokenizers


def test_frequent_pieces_are_tokens():
    text = "low lower lowest slow slower slowest\n" * 5
    tokenizer = tokenizers.train("bpe", [text], vocab_size=20)

    assert {" slow", "lowe", " slowe"} & set(tokenizer.pieces)
    assert len(tokenizer.encode(" slowest")) <= 3
    assert tokenizer.vocabulary == f"{tokenizer.vocab_size - 256} subwords and 256 bytes"


def test_runs_of_line_ends_and_tabs_are_tokens():
    tokenizer = tokenizers.train("bpe", [PROSE], vocab_size=60)

    assert {"\n\n", "\t\t"} <= set(tokenizer.pieces)
    assert len(tokenizer.encode("\n\n")) == 1


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_line_of_any_length_is_trained_on_to_its_end(kind):
    """By itself, SentencePiece skips lines of more than 4,192 bytes."""
    line = "ferry " * 5_000 + "tide " * 5_000
    tokenizer = tokenizers.train(kind, [line], vocab_size=30)

    assert {"ferry", "tide"} <= {str(piece).strip() for piece in tokenizer.pieces}
    assert len(tokenizer.encode(line)) <= 20_000  # two tokens a word, at most


def test_the_default_size_grows_with_the_text():
    """The square root of the length, or twice the characters that recur."""
    short = tokenizers.train("bpe", [PROSE], vocab_size=None)
    long = tokenizers.train("bpe", [PROSE + "many other words of one text. " * 300])

    assert short.vocab_size - 256 <= max(len(PROSE) ** 0.5, 2 * len(set(PROSE)))
    assert long.vocab_size > short.vocab_size


def test_sentencepiece_does_not_print(capfd):
    tokenizers.train("unigram", [PROSE], vocab_size=5000)

    assert capfd.readouterr() == ("", "")
