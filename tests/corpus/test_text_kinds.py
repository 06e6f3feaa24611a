"""What surprises the owner of a text is named, with a cure."""

import unicodedata

import pytest

from charlm.corpus.text_kinds import TextKind, differences, has_decomposed_accents
from charlm.tokenizers import ByteTokenizer, CharacterTokenizer


def kind_of(*chunks):
    kind = TextKind()
    for chunk in chunks:
        kind.add(chunk)
    return kind


@pytest.mark.parametrize(
    ("text", "counts"),
    [("a\nb\n", (2, 0, 0)), ("a\r\nb\n", (1, 1, 0)), ("a\rb\r", (0, 0, 2)), ("a", (0, 0, 0))],
)
def test_line_ends_are_counted_by_their_kind(text, counts):
    kind = kind_of(text)

    assert (kind.lf, kind.crlf, kind.cr) == counts
    assert kind.has_cr_alone == (counts == (0, 0, 2))


@pytest.mark.parametrize("text", ["Käse", "hello", "客", "שּׁ", "ཀྵ", "a\u0301\u0302\u0303"[:1]])
def test_a_composed_text_is_not_noted(text):
    assert not has_decomposed_accents(text)
    assert list(kind_of(text).notes("text")) == []


@pytest.mark.parametrize("text", ["Käse", "한국어", "Việt"])
def test_a_decomposed_text_is_noted_once(text):
    decomposed = unicodedata.normalize("NFD", text)

    assert has_decomposed_accents(decomposed)
    assert [note.partition(",")[0] for note in kind_of(decomposed, decomposed).notes("lines")] == [
        "has decomposed accents (NFD)"
    ]


@pytest.mark.parametrize(
    ("vocabulary", "text", "difference"),
    [
        ("abc\n", "a\r\nb", "has CRLF line ends"),
        ("aeä\n", "a\u0308", "has decomposed accents (NFD)"),
        ("ae\u0308\n", "ä", "has composed accents (NFC)"),
    ],
)
def test_a_text_that_differs_from_the_vocabulary_is_named(vocabulary, text, difference):
    tokenizer = CharacterTokenizer("".join(sorted(vocabulary)))

    assert [note[: len(difference)] for note in differences(text, tokenizer, "text")] == [
        difference
    ]
    assert list(differences("a", tokenizer, "text")) == []
    assert list(differences(text, ByteTokenizer(), "text")) == []


def test_cr_before_a_line_end_belongs_to_it_in_lines():
    assert list(differences("a\r\nb", CharacterTokenizer("ab"), "lines")) == []
    assert list(kind_of("a\r\nb").notes("lines")) == []
