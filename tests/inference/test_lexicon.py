"""Known answers before those of a model."""

import pytest

from charlm.config import ModelConfig
from charlm.errors import CorpusError
from charlm.inference.candidates import GeneratedText
from charlm.inference.lexicon import answer_with_lexicon, read_lexicon

LEXICON = {"a": ["A", "AA"], "c": ["C"]}


def generated(count):
    """Return a generator of `count` texts for each source: the source and a number."""

    def generate(sources):
        for index, source in enumerate(sources):
            for place in range(count):
                yield GeneratedText(
                    number=index * count + place, seed=source, text=f"{source}{place}",
                    tokens=1, nats=0.5, finish_reason="end",
                )  # fmt: skip

    return generate


@pytest.mark.parametrize(
    ("count", "answers"), [(1, ["A", "b0", "C", "A"]), (2, ["A", "AA", "b0", "b1", "C", "A", "AA"])]
)
def test_known_sources_are_answered_from_the_lexicon(count, answers):
    texts = list(answer_with_lexicon(LEXICON, [["a", "b"], ["c", "a"]], generated(count), count))

    assert [text.text for text in texts] == answers
    assert [text.number // count for text in texts] == sorted(t.number // count for t in texts)
    assert {text.finish_reason for text in texts if text.seed in LEXICON} == {"lexicon"}


def test_a_lexicon_holds_every_answer_once():
    config = ModelConfig(task="pairs", columns=(1, 2, 3))
    lexicon = read_lexicon([("F", 1, ["a\tx\tV\n", "a\ty\tV\r\n", "a\tx\tV\n", "\n"])], config)

    assert lexicon == {"a\tV": ["x", "y"]}


def test_a_line_that_is_no_pair_is_named():
    with pytest.raises(CorpusError, match="F, line 8, has no tab"):
        read_lexicon([("F", 7, ["a\tb\n", "c\n"])], ModelConfig(task="pairs"))
