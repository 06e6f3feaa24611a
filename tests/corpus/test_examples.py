"""Lines and pairs are read as examples; a line that is not a pair is named by its number."""

import pytest

from charlm.config import CorpusConfig
from charlm.corpus import examples, reading
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.examples import scored_text, split_lines
from charlm.corpus.reading import Document
from charlm.errors import CorpusError


@pytest.fixture
def examples_of(tmp_path):
    """Encode a text as lines or pairs; return the corpus, and the texts before boundaries."""

    def build(text, *, task="lines", fraction=0.1, kind="char", validation=None):
        documents = []
        for name, content in (("examples.txt", text), ("validation.txt", validation)):
            if content is not None:
                (tmp_path / name).write_bytes(content.encode())
                documents.append(Document(name, tmp_path / name))
        config = CorpusConfig(tokenizer=kind, task=task, validation_fraction=fraction)
        corpus = encode_corpus(documents[:1], config, documents[1:])

        def shown(encoded):
            boundary = corpus.tokenizer.boundary_id
            pieces, ids = [], []
            for token in encoded.ids[1:].tolist():
                if token == boundary:
                    pieces.append(corpus.tokenizer.decode(ids))
                    ids = []
                else:
                    ids.append(token)
            return pieces

        return corpus, shown(corpus.train), shown(corpus.validation)

    return build


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe", "unigram"])
def test_every_tenth_line_is_held_out(examples_of, kind):
    lines = [f"line {number}" for number in range(40)]
    corpus, train, validation = examples_of("\n".join(lines) + "\n", kind=kind)

    assert validation == lines[9::10]
    assert train == [line for line in lines if line not in validation]
    assert corpus.examples == 40
    # The end of a line is a character.
    assert corpus.validation.characters == sum(len(line) + 1 for line in validation)


def test_line_ends_of_any_system_and_no_final_one(examples_of):
    _, train, held_out = examples_of("one\r\ntwo\n\n\r\nthree\rfour\nthe last", fraction=0.25)

    assert train == ["one", "two", "three\rfour"]
    assert held_out == ["the last"]


@pytest.mark.parametrize("sizes", [[1] * 99, [3, 4, 100], [1000]])
def test_lines_may_lie_across_chunks(sizes):
    text = "one\r\ntwo\n\nthree é\nfour"
    chunks, start = [], 0
    for size in sizes:
        chunks.append(text[start : start + size])
        start += size

    assert [line for lines in split_lines(chunks) for line in lines] == [
        "one",
        "two",
        "",
        "three é",
        "four",
    ]


def test_another_file_may_be_held_out(examples_of):
    _, train, validation = examples_of("a first line\n" * 3, validation="some\nmore\n")

    assert train == ["a first line"] * 3
    assert validation == ["some", "more"]


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
def test_a_pair_has_two_sides_and_the_target_is_scored(examples_of, kind):
    text = "".join(f"item {number}\tanswer {number} is it\n" for number in range(20))
    corpus, train, validation = examples_of(text, task="pairs", kind=kind)

    assert validation == ["item 9", "answer 9 is it", "item 19", "answer 19 is it"]
    assert len(train) == 2 * 18
    assert corpus.examples == 20
    assert corpus.validation.characters == len("answer 9 is it\nanswer 19 is it\n")
    if kind == "byte":
        assert corpus.validation.predictions == len("answer 9 is it\nanswer 19 is it\n")


def test_a_tab_in_a_line_is_a_character_of_it(examples_of):
    _, train, _ = examples_of("a\tb\tc\n" * 10)

    assert train[0] == "a\tb\tc"


@pytest.mark.parametrize(
    ("line", "problem"), [("no pair at all", "has no tab"), ("a\tb\tc", "has 2 tabs")]
)
def test_a_line_that_is_not_a_pair_is_named_by_its_number(examples_of, line, problem):
    with pytest.raises(CorpusError, match=rf"examples.txt, line 12, {problem}") as caught:
        examples_of("source\ttarget\n" * 10 + "\n" + line + "\n", task="pairs")

    assert "--columns" in caught.value.hint


def test_too_few_lines_to_hold_one_out_are_an_error(examples_of):
    with pytest.raises(CorpusError, match="has 3 lines; a validation fraction"):
        examples_of("a few long lines\n" * 3)


def test_a_file_of_empty_lines_is_an_error(examples_of):
    with pytest.raises(CorpusError, match=r"examples.txt has no lines to learn from"):
        examples_of("\n" * 30)


@pytest.mark.parametrize("chunk_bytes", [3, 7, 1 << 22])
def test_a_line_that_is_too_long_is_an_error(examples_of, monkeypatch, chunk_bytes):
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(examples, "LONGEST_LINE", 20)
    _, train, held_out = examples_of(f"{'x' * 20}\n" * 3 + "y\n", fraction=0.25)
    assert (train, held_out) == (["x" * 20] * 3, ["y"])
    with pytest.raises(CorpusError, match=r"examples\.txt has a line of more than 20 characters"):
        examples_of(f"a line\n{'x' * 21 + chunk_bytes % 100 * 'x'}")


@pytest.mark.parametrize(
    ("task", "scored"), [("text", "cat\tpet"), ("lines", "cat\tpet\n"), ("pairs", "pet\n")]
)
def test_a_task_settles_which_text_is_scored(task, scored):
    assert scored_text("cat\tpet", task) == scored
