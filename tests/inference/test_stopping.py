"""Where a text stops, and how much of it is shown; the same however it is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import GenerationConfig
from charlm.inference.stopping import StoppingCriteria

CASES = [
    ({"length": 5}, "abcdefg", "abcde", "length"),
    ({"length": 0}, "abc", "", "length"),
    ({"length": None}, "abc", "abc", "end"),
    ({"words": 2}, "one two three", "one two", "words"),
    ({"words": 2}, "  one\n\ntwo\tthree", "  one\n\ntwo", "words"),
    ({"words": 3}, "one two three", "one two three", "end"),
    ({"lines": 2}, "a\n\nb\n", "a\n\n", "lines"),
    ({"sentences": 1}, "Is it 3.5? No. Yes.", "Is it 3.5?", "sentences"),
    ({"sentences": 2}, 'He said: "No!" And? So', 'He said: "No!" And?', "sentences"),
    ({"sentences": 1}, "Wait... what", "Wait...", "sentences"),
    ({"sentences": 2}, "A.\n\nB. C.", "A.\n\nB.", "sentences"),
    ({"sentences": 2}, "什么？！\n他走了。走", "什么？！\n他走了。", "sentences"),
    ({"until": ""}, "abc", "a", "until"),
    ({"sentences": 2}, "他走了。「去哪？」她说。", "他走了。「去哪？」", "sentences"),
    ({"stop": ("END",)}, "the ENENDing", "the EN", "stop"),
    ({"stop": ("END",), "keep_stop": True}, "the ENENDing", "the ENEND", "stop"),
    ({"stop": ("aab",)}, "aaab", "a", "stop"),
    ({"stop": ("xyz", "b")}, "axyb", "axy", "stop"),
    ({"stop": ("END",)}, "the EN", "the EN", "end"),
    ({"until": r"[0-9]{3}"}, "a 12 345 6", "a 12 345", "until"),
    ({"until": r"^b"}, "abab", "abab", "end"),
    ({"length": 4, "words": 2, "stop": ("c",)}, "abcd ef gh", "ab", "stop"),
    ({"length": 4, "words": 2, "stop": ("ce",)}, "abcd ef gh", "abcd", "length"),
]


def shown(limits, pieces):
    stopper = StoppingCriteria(GenerationConfig(**limits))
    text = "".join([*map(stopper.push, pieces), stopper.finish()])
    return text, stopper.finish_reason


@pytest.mark.parametrize(("limits", "text", "wanted", "reason"), CASES)
def test_a_text_stops_where_it_should(limits, text, wanted, reason):
    assert shown(limits, text) == (wanted, reason)


@given(case=st.sampled_from(CASES), data=st.data())
def test_it_does_not_matter_how_the_text_is_cut(case, data):
    limits, text, wanted, reason = case
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert shown(limits, pieces) == (wanted, reason)


def test_nothing_of_a_stop_text_is_shown_before_it_is_clear_that_it_is_none():
    stopper = StoppingCriteria(GenerationConfig(stop=("<end>",)))

    assert [stopper.push(each) for each in "a<en<e>"] == ["a", "", "", "", "<en", "", "<e>"]


def test_a_stop_text_that_is_shown_is_shown_at_once():
    stopper = StoppingCriteria(GenerationConfig(stop=("ab",), keep_stop=True))

    assert [stopper.push(each) for each in "aab"] == ["a", "a", "b"]


def test_memory_is_bounded():
    stopper = StoppingCriteria(GenerationConfig(length=None, until="x", stop=("yy",)))
    for _ in range(50):
        assert stopper.push("a" * 1000) == "a" * 1000

    assert sum(len(each) for each in vars(stopper).values() if isinstance(each, str)) <= 1000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("मैं जाता हूँ। वह आता है।", "मैं जाता हूँ।"),
        ("وہ آیا۔ میں گیا۔", "وہ آیا۔"),
        ("أين أنت؟ هنا.", "أين أنت؟"),
        ("እሱ መጣ። እሷ ሄደች።", "እሱ መጣ።"),
        ("Նա եկավ։ Ես գնացի։", "Նա եկավ։"),
        ("သူလာသည်။ ငါသွားသည်။", "သူလာသည်။"),
        ("他走了。她来了。", "他走了。"),
        ("He came… She went.", "He came…"),
        ("«Non !» Il part. Oui.", "«Non !»"),
    ],
)
def test_a_sentence_ends_at_the_marks_of_its_script(text, sentence):
    criteria = StoppingCriteria(GenerationConfig(sentences=1, length=None))

    assert criteria.push(text) == sentence
    assert criteria.finish_reason == "sentences"
