"""Texts that are a few edits away: insertions, deletions and substitutions of a character."""

from collections.abc import Collection, Iterator, Sequence

from charlm.fingerprint import Fingerprint


def texts_one_edit_away(text: str, alphabet: Collection[str]) -> Iterator[str]:
    """Yield all texts that one edit makes of `text`; some of them come twice."""
    for place in range(len(text) + 1):
        before, after = text[:place], text[place:]
        for character in alphabet:
            yield before + character + after
        if after:
            yield before + after[1:]
            for character in alphabet:
                yield before + character + after[1:]


def is_near_training_text(
    text: str, fingerprints: Sequence[Fingerprint], alphabet: Collection[str], distance: int
) -> bool:
    """Return whether fewer than `distance` edits, 1 or 2, make a line of a training text of `text`.

    The lines consist of characters of the alphabet.
    """
    texts = [text]
    if distance > 1:
        texts += texts_one_edit_away(text, alphabet)
    return any(fingerprint.hold_any(texts) for fingerprint in fingerprints)
