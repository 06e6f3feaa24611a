"""A corpus is cut into parts that together are all of it, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.config import CorpusConfig
from charlm.corpus import encoding, reading, shards
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.corpus.shards import ByteRange, cut_into_shards


@pytest.fixture
def extent_of(tmp_path):
    def build(text, start=0):
        path = tmp_path / "text.txt"
        path.write_bytes(text.encode())
        return ByteRange(Document("text.txt", path), start, len(text.encode()))

    return build


def texts_of(cut):
    """Return the documents in some parts."""
    texts, open_text = [], ""
    for part in cut:
        for text, is_end in part.texts():
            open_text += text
            if is_end:
                texts.append(open_text)
                open_text = ""
    assert not open_text
    return texts


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 10)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 5)


def test_a_long_text_is_cut_after_line_ends(extent_of, small):
    cut = cut_into_shards([extent_of("one\ntwo\nthree\nfour\nfive\nsix\n")], None)

    assert ["".join(text for text, _ in part.texts()) for part in cut] == [
        "one\ntwo\nthree\n",
        "four\n",
        "five\nsix\n",
    ]


def test_a_text_of_one_line_is_cut_between_characters(extent_of, small):
    text = "山脚下有一家客栈" * 5
    cut = cut_into_shards([extent_of(text)], None)

    assert len(cut) == 12
    assert texts_of(cut) == [text]


def test_documents_are_what_stands_between_separators(extent_of, small):
    text = "%%one%%two and a half%%%%three, which is long%%"

    assert texts_of(cut_into_shards([extent_of(text)], "%%")) == [
        "one",
        "two and a half",
        "three, which is long",
    ]


def test_short_documents_share_a_part(extent_of, small):
    cut = cut_into_shards([extent_of("a|b|c|d|e|f|g|h|i|j|k|l|m")], "|")

    assert [len(part.spans) for part in cut] == [10, 3]


@settings(deadline=None)
@given(
    documents=st.lists(st.text("ab\n客", max_size=20), max_size=8),
    separator=st.sampled_from(["|", "||", "\n--\n", "客栈"]),
)
def test_wherever_chunks_end_the_documents_are_the_same(tmp_path_factory, documents, separator):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    text = separator.join(documents)
    path.write_bytes(text.encode())
    extent = ByteRange(Document("text.txt", path), 0, len(text.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 10)
        patch.setattr(reading, "CHUNK_BYTES", 3)
        found = texts_of(cut_into_shards([extent], separator))

    assert found == [document for document in text.split(separator) if document]


def test_short_files_share_a_part_and_stay_apart(tmp_path, small):
    extents = []
    for number in range(9):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"no {number}")
        extents.append(ByteRange(Document(path.name, path), 0, 4))
    cut = cut_into_shards(extents, None)

    assert [len(part.spans) for part in cut] == [2, 2, 2, 2, 1]
    assert texts_of(cut) == [f"no {number}" for number in range(9)]


def test_only_what_is_read_is_encoded(tmp_path, monkeypatch):
    """Of a long text, the sample and what streams have reached; all the figures are estimates."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    monkeypatch.setattr(encoding, "SAMPLE_BYTES", 5000)
    path = tmp_path / "long.txt"
    path.write_text("".join(f"line {number:06}\n" for number in range(10_000)))
    corpus = encode_corpus([Document("long.txt", path)], CorpusConfig(tokenizer="byte"))
    text = corpus.train
    before = len(text._places)
    text.read(*text.start(text.pool(1), 1, 2), 3000)

    assert before == 5
    assert len(text._places) in (7, 8, 9)
    assert text.tokens == pytest.approx(108_000, rel=0.02)
    assert text.characters == pytest.approx(108_000, rel=0.02)
    assert corpus.validation.characters == 12_000


def test_a_separator_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "poems.txt"
    path.write_text("a short poem|another one, too|" * 10)
    corpus = encode_corpus(
        [Document("poems.txt", path)],
        CorpusConfig(tokenizer="byte", document_separator="|", validation_fraction=0.5),
    )

    assert ord("|") not in corpus.validation.ids
    assert corpus.train.token_counts[ord("|")] == 0
    assert corpus.train.token_counts[-1] == 10
    assert len(corpus.validation.boundaries) == 1 + 10
