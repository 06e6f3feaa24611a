"""Pretrained word vectors as initial values of the embedding.

It reads text files of word2vec (Mikolov et al. 2013, https://arxiv.org/abs/1301.3781) and GloVe
(Pennington et al. 2014): one word and its numbers per line. The first line of word2vec has the
number of words and the size of the vectors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charlm.errors import CorpusError
from charlm.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Vectors of some tokens."""

    name: str
    ids: NDArray[np.int64]  # tokens with a vector, shape (N,)
    vectors: NDArray[np.float32]  # shape (N, E)
    # Words of the vocabulary with a vector. A word is the text of one or two tokens, with and
    # without a space before it.
    found: int
    words: int  # of the vocabulary
    repeated: int  # lines that repeat a word; the first one counts


def read_embeddings(path: Path, tokenizer: Tokenizer) -> Embeddings:
    """Return the vectors in `path` for the tokens of a tokenizer.

    A token takes the vector of its text without the space before it, or else of its text in lower
    case.

    Raises:
        CorpusError: If the file cannot be read, or a line is malformed.
    """
    tokens_of: dict[str, list[int]] = {}
    for token, piece in enumerate(tokenizer.pieces):
        if isinstance(piece, str):
            tokens_of.setdefault(piece.removeprefix(" "), []).append(token)
    lower_case = {word.lower() for word in tokens_of}
    vectors: dict[str, NDArray[np.float32]] = {}
    repeated = 0
    for word, vector in _vectors(path):
        if word in vectors:
            repeated += 1
        elif word in tokens_of or word in lower_case:
            vectors[word] = vector
    rows = {
        token: vectors[word] if word in vectors else vectors[word.lower()]
        for word, tokens in tokens_of.items()
        if word in vectors or word.lower() in vectors
        for token in tokens
    }
    if not rows:
        kind = "words" if tokenizer.kind == "word" else "tokens"
        raise CorpusError(
            f"{path} has no vector for any of the vocabulary's {len(tokens_of):,} {kind}",
            hint=None if tokenizer.kind == "word" else "word vectors suit --tokenizer word",
        )
    return Embeddings(
        name=path.name,
        ids=np.array(list(rows), dtype=np.int64),
        vectors=np.array(list(rows.values())),
        found=sum(word in vectors or word.lower() in vectors for word in tokens_of),
        words=len(tokens_of),
        repeated=repeated,
    )


def _vectors(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each word with its vector, all of one size."""
    size = None
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip().split(b" ")
                if number == 1 and len(fields) == 2 and all(map(bytes.isdigit, fields)):
                    continue  # word2vec's counts
                size = size or len(fields) - 1
                yield _parse(fields, size, f"{path}, line {number:,}")
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}") from None


def _parse(fields: list[bytes], size: int, place: str) -> tuple[str, NDArray[np.float32]]:
    """Return a line's word and vector; the word may have spaces in it."""
    if size < 1 or len(fields) <= size:
        raise CorpusError(f"{place}, is not a word and {max(size, 1)} numbers")
    try:
        vector = np.array(fields[-size:], dtype=np.float32)
        word = b" ".join(fields[:-size]).decode("utf-8")
    except UnicodeDecodeError:
        raise CorpusError(f"{place}, has a word that is not UTF-8") from None
    except ValueError:
        raise CorpusError(f"{place}, has something that is no number") from None
    if not np.isfinite(vector).all():
        raise CorpusError(f"{place}, has a number that is not finite")
    return word, vector
