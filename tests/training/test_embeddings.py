"""Word vectors of word2vec and GloVe are read as they are, and what is broken is named."""

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.errors import CorpusError
from charlm.tokenizers import ByteTokenizer, WordTokenizer
from charlm.training.embeddings import read_embeddings
from charlm.training.network import LanguageModel

TOKENIZER = WordTokenizer(["The", " the", " cat", ".", " unheard"])  # ids 256 to 260


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "vectors.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_tokens_find_their_words_without_the_space_and_in_lower_case(file, header):
    found = read_embeddings(
        file(header + "the 1 2 3\ncat 4 5 6\n. -1 0 1e-1\nother 7 8 9\n"), TOKENIZER
    )

    assert dict(zip(found.ids.tolist(), found.vectors.tolist(), strict=True)) == {
        256: [1, 2, 3],
        257: [1, 2, 3],
        258: [4, 5, 6],
        259: pytest.approx([-1, 0, 0.1]),
    }
    assert (found.found, found.words, found.repeated) == (4, 5, 0)


def test_a_word_as_it_is_written_goes_before_its_lower_case(file):
    found = read_embeddings(file("the 1\nThe 2\n"), TOKENIZER)

    assert found.vectors[found.ids == 256].tolist() == [[2]]
    assert found.vectors[found.ids == 257].tolist() == [[1]]


def test_of_a_word_that_is_repeated_the_first_counts(file):
    found = read_embeddings(file("cat 1 2\ncat 3 4\n"), TOKENIZER)

    assert found.vectors.tolist() == [[1, 2]]
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\ncat 1\n", "line 2, is not a word and 2 numbers"),
        ("the 1 2\ncat 1 x\n", "line 2, has something that is no number"),
        ("the 1 2\ncat 1 nan\n", "line 2, has a number that is not finite"),
        ("2 2\nthe 1 2\n\n", "line 3, is not a word and 2 numbers"),
        (b"the 1 2\n\xff\xff 1 2\n", "line 2, has a word that is not UTF-8"),
        ("dog 1 2\n", "has no vector for any of the vocabulary's 5 words"),
    ],
)
def test_what_is_broken_is_named_by_its_line(file, text, message):
    with pytest.raises(CorpusError, match=message):
        read_embeddings(file(text), TOKENIZER)


def test_a_missing_file_and_a_vocabulary_without_words_are_errors(file, tmp_path):
    with pytest.raises(CorpusError, match="cannot be read: No such file"):
        read_embeddings(tmp_path / "nowhere", TOKENIZER)
    with pytest.raises(CorpusError, match="no vector for any of the vocabulary's 0 tokens"):
        read_embeddings(file("the 1 2\n"), ByteTokenizer())


def test_rows_start_from_the_vectors_as_long_as_the_others(file):
    network = LanguageModel(ModelConfig(embedding_size=3, hidden_size=4), TOKENIZER.vocab_size)
    network.initialise(np.ones(TOKENIZER.boundary_id + 1, np.int64))
    before = network.to_arrays()["embedding.weight"]
    network.take_embeddings(np.array([258]), np.array([[40.0, 0.0, 30.0]], np.float32))
    after = network.to_arrays()["embedding.weight"]

    assert after[258] / np.linalg.norm(after[258]) == pytest.approx([0.8, 0, 0.6])
    assert np.linalg.norm(after[258]) == pytest.approx(np.linalg.norm(before, axis=1).mean())
    assert (np.delete(after, 258, axis=0) == np.delete(before, 258, axis=0)).all()
