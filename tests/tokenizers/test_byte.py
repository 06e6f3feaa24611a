"""A token is a byte of UTF-8."""

from charlm.tokenizers import ByteTokenizer


def test_ids_are_the_bytes_of_utf8():
    tokenizer = ByteTokenizer()

    assert tokenizer.encode("né").tolist() == [110, 195, 169]
    assert tokenizer.vocab_size == 256
    assert tokenizer.vocabulary == "256 bytes"


def test_nothing_is_out_of_vocabulary():
    assert ByteTokenizer().out_of_vocabulary("é客") == ""
