"""Ids are written to a file and come back as they were, with their counts."""

import numpy as np
import pytest

from charlm.config import CorpusConfig
from charlm.corpus import encoded_text
from charlm.corpus.encoded_text import ArrayFile, IdFile, count_predictions
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.errors import CorpusError
from charlm.tokenizers import CharacterTokenizer


def test_an_array_grows_in_its_file():
    array = ArrayFile(np.dtype(np.uint16))
    assert array.array.tolist() == []
    array.append(np.array([1, 2]))
    first = array.array
    array.append(np.array([], np.int64))
    array.append(np.array([65_535]))

    assert len(array) == 3
    assert array.array.tolist() == [1, 2, 65_535]
    assert array.array.dtype == np.uint16
    assert first.tolist() == [1, 2]


def test_a_full_disk_is_an_error(monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(encoded_text, "open_temporary", Full)
    with pytest.raises(CorpusError, match=r"ids cannot be written to .*: No space left") as caught:
        ArrayFile(np.dtype(np.uint16)).append(np.array([1]))
    assert "$TMPDIR" in caught.value.hint


def test_ids_are_written_with_their_boundaries_and_counts():
    tokenizer = CharacterTokenizer("abc")
    a, b, c = tokenizer.encode("abc").tolist()
    end = tokenizer.boundary_id
    file = IdFile(tokenizer)
    file.append_boundary()
    file.append_documents([("ab", True), ("c", False)], tokenizer)
    file.append_documents([("a", True)], tokenizer)
    text = file.as_encoded_text("text")

    assert text.ids.tolist() == [end, a, b, end, c, a, end]
    assert text.ids.dtype == tokenizer.id_dtype
    assert text.boundaries.tolist() == [0, 3, 6]
    assert (text.tokens, text.characters, text.predictions) == (6, 4, 4)
    assert [text.token_counts[token] for token in (a, b, c, end)] == [2, 1, 1, 3]
    assert len(text.token_counts) == end + 1


@pytest.mark.parametrize(
    ("task", "predictions"),
    [("text", 13 - 5), ("lines", 13 - 1), ("pairs", len("pet■") + len("moo■") - 1)],
)
def test_a_task_settles_which_ids_are_scored(task, predictions):
    ids = "■cat■pet■x■mo■"
    boundaries = np.array([index for index, letter in enumerate(ids) if letter == "■"])

    assert count_predictions(task, len(ids) - 1, boundaries) == predictions


def test_a_mirror_is_made_in_pieces(tmp_path, monkeypatch):
    path = tmp_path / "lines.txt"
    path.write_text("ab\nc\n\ndef\ng\n" * 5)
    config = CorpusConfig(tokenizer="byte", task="lines")
    text = encode_corpus([Document("lines.txt", path)], config).train
    monkeypatch.setattr(encoded_text, "MIRROR_CHUNK", 3)
    mirror = text.mirrored()

    assert mirror.ids.tolist() == text.ids.tolist()[::-1]
    assert mirror.boundaries.tolist() == np.flatnonzero(mirror.ids == 256).tolist()
