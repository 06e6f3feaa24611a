"""Word vectors that others have trained, as a start for the embedding.

The files of word2vec (Mikolov et al. 2013, https://arxiv.org/abs/1301.3781) and GloVe (Pennington
et al. 2014): a word and its numbers a line; word2vec begins with a line of their counts.
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
    """Vectors for some tokens.

    Attributes:
        name: Of the file.
        ids: Tokens that have a vector, shape (found,).
        vectors: Shape (found, E), float32.
        found: Words of the vocabulary that have a vector; each is the text of one token or two,
            with and without a space before it.
        words: Those that could have had one.
        repeated: Number of words that stood in the file more than once; the first counts.
    """

    name: str
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    found: int
    words: int
    repeated: int


def read_embeddings(path: Path, tokenizer: Tokenizer) -> Embeddings:
    """Return the vectors in `path` for the tokens of a tokenizer.

    A token's word is looked for as it is, without the space before it; where the file lacks it,
    in lower case.

    Raises:
        CorpusError: If the file cannot be read, or a line is broken; the message has its number.
    """
    wanted: dict[str, list[int]] = {}
    for token, piece in enumerate(tokenizer.pieces):
        if isinstance(piece, str):
            wanted.setdefault(piece.removeprefix(" "), []).append(token)
    lower = {word.lower() for word in wanted}
    found: dict[str, NDArray[np.float32]] = {}
    repeated = 0
    for word, vector in _vectors(path):
        if word in found:
            repeated += 1
        elif word in wanted or word in lower:
            found[word] = vector
    rows = {
        token: found[word] if word in found else found[word.lower()]
        for word, tokens in wanted.items()
        if word in found or word.lower() in found
        for token in tokens
    }
    if not rows:
        kind = "words" if tokenizer.kind == "word" else "tokens"
        raise CorpusError(
            f"{path} has a vector for none of the vocabulary's {len(wanted):,} {kind}",
            hint=None if tokenizer.kind == "word" else "word vectors suit --tokenizer word",
        )
    return Embeddings(
        name=path.name,
        ids=np.array(list(rows), dtype=np.int64),
        vectors=np.array(list(rows.values())),
        found=sum(word in found or word.lower() in found for word in wanted),
        words=len(wanted),
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
