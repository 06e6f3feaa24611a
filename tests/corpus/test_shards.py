"""The shards of a corpus are all of its text, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.config import CorpusConfig
from charlm.corpus import encoding, reading, shards
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.corpus.shards import ByteRange, cut_into_shards


@pytest.fixture
def range_of(tmp_path):
    def build(text, start=0):
        path = tmp_path / "text.txt"
        path.write_bytes(text.encode())
        return ByteRange(Document("text.txt", path), start, len(text.encode()))

    return build


def texts_of(cut):
    """Return the documents in shards."""
    texts, open_text = [], ""
    for shard in cut:
        for text, is_end in shard.texts():
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


def test_a_long_text_is_cut_after_line_ends(range_of, small):
    cut = cut_into_shards([range_of("one\ntwo\nthree\nfour\nfive\nsix\n")], None)

    assert ["".join(text for text, _ in shard.texts()) for shard in cut] == [
        "one\ntwo\nthree\n",
        "four\n",
        "five\nsix\n",
    ]


def test_a_text_of_one_line_is_cut_between_characters(range_of, small):
    text = "山脚下有一家客栈" * 5
    cut = cut_into_shards([range_of(text)], None)

    assert len(cut) == 12
    assert texts_of(cut) == [text]


def test_documents_are_what_stands_between_separators(range_of, small):
    text = "%%one%%two and a half%%%%three, which is long%%"

    assert texts_of(cut_into_shards([range_of(text)], "%%")) == [
        "one",
        "two and a half",
        "three, which is long",
    ]


def test_short_documents_share_a_shard(range_of, small):
    cut = cut_into_shards([range_of("a|b|c|d|e|f|g|h|i|j|k|l|m")], "|")

    assert [len(shard.spans) for shard in cut] == [10, 3]


@settings(deadline=None)
@given(
    documents=st.lists(st.text("ab\n客", max_size=20), max_size=8),
    separator=st.sampled_from(["|", "||", "\n--\n", "客栈"]),
)
def test_wherever_chunks_end_the_documents_are_the_same(tmp_path_factory, documents, separator):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    text = separator.join(documents)
    path.write_bytes(text.encode())
    whole = ByteRange(Document("text.txt", path), 0, len(text.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 10)
        patch.setattr(reading, "CHUNK_BYTES", 3)
        texts = texts_of(cut_into_shards([whole], separator))

    assert texts == [document for document in text.split(separator) if document.strip()]


def test_short_files_share_a_shard_and_stay_apart(tmp_path, small):
    ranges = []
    for number in range(9):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"no {number}")
        ranges.append(ByteRange(Document(path.name, path), 0, 4))
    cut = cut_into_shards(ranges, None)

    assert [len(shard.spans) for shard in cut] == [2, 2, 2, 2, 1]
    assert texts_of(cut) == [f"no {number}" for number in range(9)]


def test_a_shard_is_encoded_when_it_is_first_read(tmp_path, monkeypatch):
    """Before that, only the sample is encoded, and all figures are estimates."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    monkeypatch.setattr(encoding, "SAMPLE_BYTES", 5000)
    path = tmp_path / "long.txt"
    path.write_text("".join(f"line {number:06}\n" for number in range(10_000)))
    corpus = encode_corpus([Document("long.txt", path)], CorpusConfig(tokenizer="byte"))
    text = corpus.train
    before = len(text._id_ranges)
    text.read(*text.segment_start(text.shard_group(1), 1, 2), 3000)

    assert before == 5
    assert len(text._id_ranges) in (7, 8, 9)
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
    assert corpus.config.predicts_end and corpus.validation.predictions == corpus.validation.tokens


def test_a_running_text_is_read_from_its_end_in_a_circle(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    monkeypatch.setattr(encoding, "SAMPLE_BYTES", 300)
    path = tmp_path / "text.txt"
    path.write_text("".join(f"line {number:03}\n" for number in range(200)))
    train = encode_corpus(
        [Document("text.txt", path)], CorpusConfig(tokenizer="byte", validation_fraction=0.5)
    ).train
    mirror = train.mirrored()
    around = 2 * (9 * 100 + 1)  # twice the characters and the boundary
    forward = train.read(0, 0, around)[::-1].tolist()
    last = len(train._shards) - 1
    starts = [mirror.segment_start(mirror.shard_group(0), number, 2) for number in range(2)]

    assert mirror.read(last, 0, around).tolist() == forward
    assert [list(mirror.shard_group(number).shards) for number in range(3)] == [
        [6, 3, 0],
        [7, 4, 1],
        [8, 5, 2],
    ]
    assert [shard for shard, _ in starts] == [6, 3]
    shard, position = starts[1]
    before = sum(len(mirror._ids_of(number)) for number in range(last, shard, -1))
    before += position
    assert mirror.read(shard, position, 50).tolist() == forward[before : before + 50]
    assert mirror._id_ranges is train._id_ranges  # encoded once


def test_segments_of_the_mirror_begin_at_equal_shares_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    documents = []
    for number, length in enumerate((60, 90, 50, 80, 95)):
        path = tmp_path / f"{number}.txt"
        path.write_text("x" * length)
        documents.append(Document(path.name, path))
    mirror = encode_corpus(
        documents, CorpusConfig(tokenizer="byte"), documents[:1]
    ).train.mirrored()

    # Half of 375 bytes is 187; 95 + 80 come before the 50 of which it is in.
    assert mirror.segment_start(mirror.shard_group(0), 1, 2) == (2, (187 - 95 - 80) * 51 // 50)
