"""A token is a character that recurs in the training text, or a byte."""

import pytest

from charlm.tokenizers import CharacterTokenizer


def test_characters_have_ids_after_the_bytes_in_code_point_order():
    tokenizer = CharacterTokenizer.train(["béa", "abé"])

    assert tokenizer.characters == "abé"
    assert tokenizer.encode("éba").tolist() == [258, 257, 256]
    assert tokenizer.vocabulary == "3 characters and 256 bytes"


def test_a_character_that_occurs_once_becomes_bytes():
    tokenizer = CharacterTokenizer.train(["abc", "cab", "d"])

    assert tokenizer.characters == "abc"
    assert tokenizer.encode("d").tolist() == [ord("d")]


def test_a_character_out_of_vocabulary_becomes_the_bytes_of_utf8():
    tokenizer = CharacterTokenizer("a")

    assert tokenizer.encode("aé€𠀀a").tolist() == [256, *"é€𠀀".encode(), 256]


@pytest.mark.parametrize("characters", ["ba", "aa"])
def test_characters_must_be_sorted_and_different(characters):
    with pytest.raises(ValueError, match="must be sorted and different"):
        CharacterTokenizer(characters)
