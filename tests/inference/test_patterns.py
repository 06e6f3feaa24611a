"""A user's regular expression ends in time, and sentences end in any script."""

import pytest

from charlm.config import GenerationConfig
from charlm.errors import ConfigError
from charlm.inference import patterns
from charlm.inference.patterns import UserPattern
from charlm.inference.stopping import StoppingCriteria


def test_a_pattern_is_found_wherever_it_stands():
    assert UserPattern("--match", "[0-9]").is_in("a 7 b")
    assert not UserPattern("--match", "^[0-9]").is_in("a 7 b")


def test_a_search_that_backtracks_for_ever_is_an_error(monkeypatch):
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.1)
    with pytest.raises(ConfigError, match=r"a search for --until takes more than 0\.1 second"):
        UserPattern("--until", "(a|aa)+$").is_in("a" * 90 + "!")


@pytest.mark.parametrize("pattern", ["((a|e|t)+)+Q", "(a+)+$"])
def test_most_repetitions_inside_others_end_in_time(pattern):
    assert not UserPattern("--until", pattern).is_in("aetaetaet" * 100 + "a" * 50 + "!")


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
