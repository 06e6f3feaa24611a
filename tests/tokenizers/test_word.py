"""A token is a frequent word with the space before it, or a byte."""

import pytest

from charlm.tokenizers import WordTokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("This is", ["This", " is"]),
        ("don't, said I.", ["don't", ",", " said", " I", "."]),
        ('say "no" (now)', ["say", ' "', "no", '"', " (", "now", ")"]),
        ("a  b\n\n  c\r\n", ["a", " ", " b", "\n\n", " ", " c", "\r", "\n"]),
        ("x_1 = 0x3f", ["x_1", " =", " 0x3f"]),
        ("客栈, 山", ["客", "栈", ",", " 山"]),
        ("हिन्दी में", ["हिन्दी", " में"]),
        ("naïve café", ["naïve", " café"]),
    ],
)
def test_words_are_split_as_a_reader_would(text, words):
    assert WordTokenizer.pattern.findall(text) == words


def test_the_most_frequent_words_that_recur_are_tokens():
    tokenizer = WordTokenizer.train(["b b", " b a", " c c c d"], 2)  # in chunks: "b", " b" …

    assert tokenizer.words == [" c", " b"]
    assert tokenizer.encode(" c d").tolist() == [256, *b" d"]
    assert tokenizer.vocabulary == "2 words and 256 bytes"


def test_words_must_be_different_and_not_empty():
    for words in ([""], ["a", "a"]):
        with pytest.raises(ValueError, match="must be different and not empty"):
            WordTokenizer(words)


WORDS = WordTokenizer(["Old", " Marrow", " Marrows", " Marry", "Marrow", " the", "\n", "\n\n"])


@pytest.mark.parametrize(
    ("text", "before", "typed", "next_words"),
    [
        ("Old Marr", "Old", " Marr", [" Marrow", " Marrows", " Marry"]),
        ("Old Marrow", "Old", " Marrow", [" Marrow", " Marrows"]),
        ("Old ", "Old", " ", [" Marrow", " Marrows", " Marry", " the"]),
        ("Old\n", "Old", "\n", ["\n", "\n\n"]),
        ("Old the", "Old the", "", []),  # no longer word begins with it
        ("Old xMarr", "Old xMarr", "", []),  # bytes, which go on as bytes
        ("", "", "", []),
    ],
)
def test_a_started_word_is_taken_back_if_longer_words_begin_with_it(
    text, before, typed, next_words
):
    unfinished = WORDS.encode_unfinished(text)

    assert unfinished.ids.tolist() == WORDS.encode(before).tolist()
    assert unfinished.typed == typed
    assert [WORDS.pieces[token] for token in unfinished.next_tokens] == next_words


def test_rare_words_of_other_scripts_are_spelled_in_characters():
    """A syllable of Tibetan is up to 21 bytes; words out of vocabulary are mostly new syllables."""
    text = "ཀ་ཀ་ཁག་ཁང་གཁ་ abc Übel"
    tokenizer = WordTokenizer.train([text], 20)

    assert tokenizer.words == ["ཀ་"]
    assert tokenizer.characters == "་ཁག"
    pieces = [tokenizer.pieces[token] for token in tokenizer.encode("ཀ་ཁག་ Ü")]
    assert pieces == ["ཀ་", "ཁ", "ག", "་", 32, *"Ü".encode()]
    assert tokenizer.vocabulary == "1 word, 3 characters and 256 bytes"


def test_characters_are_at_most_half_of_the_vocabulary():
    tokenizer = WordTokenizer.train(["αβ αγ βγ " + " ne" * 9 + " on" * 8 + " to" * 7], 4)

    assert tokenizer.words == [" ne", " on"]
    assert tokenizer.characters == "αβ"


def test_words_of_ascii_are_never_spelled_in_characters():
    tokenizer = WordTokenizer(["a", "é"], "ü")

    assert tokenizer.encode("aéüb").tolist() == [*b"a", 257, 258, *b"b"]
