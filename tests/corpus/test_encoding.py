"""The text is split by characters, and its ids are all there."""

from itertools import count

import pytest

from charlm.config import CorpusConfig
from charlm.corpus import reading
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.errors import CorpusError


@pytest.fixture
def documents(tmp_path):
    numbers = count()

    def build(*texts):
        built = []
        for text in texts:
            path = tmp_path / f"{next(numbers)}.txt"
            path.write_bytes(text.encode())
            built.append(Document(path.name, path))
        return built

    return build


def text_of(corpus, ids):
    """Return the text of ids, a boundary as `■`."""
    return "".join(
        "■" if token == corpus.tokenizer.boundary_id else corpus.tokenizer.decode([token])
        for token in ids
    )


def decoded(corpus):
    train = corpus.train.read(0, 0, corpus.train.tokens)
    return text_of(corpus, train), text_of(corpus, corpus.validation.ids[1:])


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_the_last_tenth_is_held_out(documents, kind, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_BYTES", 7)
    text = "".join(chr(0x4E00 + number) for number in range(100))
    corpus = encode_corpus(documents(text), CorpusConfig(tokenizer=kind))

    assert corpus.tokenizer.decode(corpus.train.read(0, 0, corpus.train.tokens - 1)) == text[:90]
    assert corpus.tokenizer.decode(corpus.validation.ids[1:-1]) == text[90:]
    assert (corpus.train.characters, corpus.validation.characters) == (90, 10)


def test_documents_follow_one_another(documents):
    corpus = encode_corpus(documents("a" * 30, "b" * 30), CorpusConfig())

    assert decoded(corpus) == ("a" * 30 + "■" + "b" * 24 + "■", "b" * 6 + "■")
    assert [facts.characters for facts in corpus.documents] == [30, 30]


def test_what_is_held_out_has_a_limit(documents):
    config = CorpusConfig(validation_fraction=0.5, max_validation_characters=7)
    corpus = encode_corpus(documents("x" * 100), config)

    assert corpus.validation.characters == 7
    assert CorpusConfig().max_validation_characters == 500_000


def test_another_text_may_be_held_out(documents):
    corpus = encode_corpus(
        documents("x" * 100), CorpusConfig(), validation=documents("quite another text")
    )

    assert decoded(corpus) == ("x" * 100 + "■", "quite another text■")


def test_the_vocabulary_is_that_of_the_training_part(documents):
    corpus = encode_corpus(documents("ab" * 45 + "z" * 10), CorpusConfig())

    assert corpus.tokenizer.characters == "ab"
    assert corpus.validation.ids[1:-1].tolist() == [ord("z")] * 10


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_ids_take_the_type_that_the_tokenizer_asks_for(documents, kind):
    corpus = encode_corpus(documents("some text, long enough"), CorpusConfig(tokenizer=kind))

    assert (
        corpus.train.read(0, 0, 1).dtype == corpus.validation.ids.dtype == corpus.tokenizer.id_dtype
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0.txt has 0 characters, but learning needs at least 20"),
        ("x", "0.txt has 1 character, but"),
        ("x" * 19, "0.txt has 19 characters, but"),
    ],
)
def test_too_little_text_is_an_error_with_the_numbers(documents, text, message):
    with pytest.raises(CorpusError, match=message):
        encode_corpus(documents(text), CorpusConfig())


def test_a_split_that_leaves_nothing_to_learn_is_an_error(documents):
    with pytest.raises(CorpusError, match="leaves 2 of 20 characters"):
        encode_corpus(documents("x" * 20), CorpusConfig(validation_fraction=0.9))


def test_an_empty_validation_text_is_an_error(documents):
    with pytest.raises(CorpusError, match="validation text is empty"):
        encode_corpus(documents("x" * 100), CorpusConfig(), validation=documents(""))
