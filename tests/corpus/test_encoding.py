"""A corpus has a training part and a validation part; together they are all of its text."""

from itertools import count

import pytest

from charlm.config import CorpusConfig
from charlm.corpus import reading
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.errors import CorpusError
from charlm.process_group import Process, ProcessGroup


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
    assert [info.characters for info in corpus.documents] == [30, 30]


@pytest.mark.parametrize(
    ("text", "task"), [("x" * 100, "text"), ("x\n" * 50, "lines"), ("x\ty\n" * 25, "pairs")]
)
@pytest.mark.parametrize(("limit", "share"), [(8, 0.08), (None, 0.5)])
def test_the_held_out_part_may_have_a_limit(documents, text, task, limit, share):
    config = CorpusConfig(task=task, validation_fraction=0.5, max_validation_characters=limit)
    corpus = encode_corpus(documents(text), config)
    examples = {"text": 100, "lines": 50, "pairs": 25}[task]

    assert corpus.validation.predictions == int(examples * share) * (1 if task == "text" else 2)
    assert CorpusConfig().max_validation_characters == 500_000


def test_an_explicit_fraction_has_no_limit(charlm, tmp_path):
    """If 500,000 of the 600,000 characters were held out, there would be a text to learn from."""
    (tmp_path / "text.txt").write_text("a line of 19 letters" * 30_000)
    result = charlm("train", "text.txt", "--validation-fraction", 0.999995)

    assert result.returncode == 2
    assert result.stderr.decode().startswith(
        "error: a validation fraction of 0.999995 leaves 3 of 600000 characters to learn from\n"
    )


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
        ("", "0.txt has 0 characters, but training needs at least 20"),
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


def test_the_mirror_is_both_parts_from_their_ends(documents):
    corpus = encode_corpus(documents("abcdefghij" * 9), CorpusConfig())
    mirror = corpus.mirrored()
    length = corpus.train.tokens

    assert (
        mirror.train.read(0, 0, length).tolist() == corpus.train.read(0, 0, length)[::-1].tolist()
    )
    assert mirror.validation.ids.tolist() == corpus.validation.ids[::-1].tolist()


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_each_process_has_the_same_corpus(documents, kind):
    text = documents("the cat sat on the mat, and the dog sat on the log.\n" * 20)
    config = CorpusConfig(tokenizer=kind, vocab_size=None if kind == "char" else 20)
    messages = []

    class First(ProcessGroup):
        def broadcast(self, data):
            messages.append(data)
            return data

    class Second(ProcessGroup):
        def __init__(self):
            super().__init__(Process(rank=1, world_size=2, local_rank=1, local_world_size=2))

        def broadcast(self, data):
            assert data == b""
            return messages.pop(0)

    first = encode_corpus(text, config, group=First())
    second = encode_corpus(text, config, group=Second())

    assert first.digests == second.digests
    assert first.tokenizer.pieces == second.tokenizer.pieces
    assert first.train.read(0, 0, 500).tolist() == second.train.read(0, 0, 500).tolist()
    assert first.fingerprint is not None
    assert second.fingerprint is None


def test_a_corpus_of_separators_is_an_error(documents):
    with pytest.raises(CorpusError, match="the training text has nothing but document separators"):
        encode_corpus(documents("%" * 100), CorpusConfig(document_separator="%"))


@pytest.mark.parametrize(
    ("texts", "examples", "separators"),
    [
        (["one poem, and no other"], 1, 0),
        (["one poem, and no other%"], 1, 1),
        (["%one poem, and no other"], 1, 1),
        (["%%one poem%%%and another%"], 2, 6),
        (["a poem%another poem", "and no separator"], 3, 1),
        (["a poem in a file", "%", "and another poem"], 2, 1),
        (["\ufeff%one poem, and no other"], 1, 1),
    ],
)
def test_documents_and_separators_are_counted(documents, texts, examples, separators):
    corpus = encode_corpus(
        documents(*texts), CorpusConfig(document_separator="%"), documents("other")
    )

    assert (corpus.examples, corpus.separators) == (examples, separators)


def test_a_separator_at_the_end_of_the_only_document_is_found(charlm, tmp_path):
    (tmp_path / "text.txt").write_text("one poem, and no other\n%\n")
    small = ("--hidden-size", 4, "--batch-size", 2, "--bptt-length", 8, "--max-steps", 1)
    notes = [
        charlm(
            "train", "text.txt", *small, "--document-separator", separator, "-o", name
        ).stderr.decode()
        for name, separator in (("met", "\n%\n"), ("not met", "\n&\n"))
    ]

    assert ["is not in the text" in note for note in notes] == [False, True]


def test_an_empty_validation_text_is_an_error(documents):
    with pytest.raises(CorpusError, match="validation text is empty"):
        encode_corpus(documents("x" * 100), CorpusConfig(), validation=documents(""))


@pytest.mark.parametrize(
    ("held_out", "numbers"), [("end", [18, 19]), ("spread", [9, 19]), (None, [9, 19])]
)
def test_the_last_lines_or_lines_spread_over_the_text_are_held_out(corpus_of, held_out, numbers):
    lines = [f"line {number:02}" for number in range(20)]
    corpus = corpus_of("\n".join(lines), task="lines", tokenizer="byte", validation_from=held_out)
    text = corpus.tokenizer.decode(corpus.validation.ids[corpus.validation.ids < 256])

    assert text == "".join(lines[number] for number in numbers)
    assert corpus.held_out == (held_out or "spread")
