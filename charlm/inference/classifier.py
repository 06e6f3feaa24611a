"""Labels and tags in NumPy: the networks of `training/classifier.py`, for texts side by side."""

from collections.abc import Iterator, Sequence

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.inference.encoder import Encoder
from charlm.inference.runtime import Floats, log_softmax
from charlm.parameters import CHARACTER_ENCODERS, ENCODERS
from charlm.tokenizers import Ids

MOST_POSITIONS = 1 << 14  # that are read side by side, padding included


class Classifier:
    """A trained network of labels or tags. Its weights stay fixed."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        config, arrays = checkpoint.config, checkpoint.arrays
        self._embedding = arrays["embedding.weight"]
        self._characters: Encoder | None = None
        if config.task == "tags":
            self._characters = Encoder(config, arrays, CHARACTER_ENCODERS, num_layers=1)
        self._encoder = Encoder(config, arrays, ENCODERS, config.num_layers)
        self._output, self._output_bias = arrays["output.weight"].T, arrays["output.bias"]

    def labels(self, texts: Sequence[Ids]) -> Floats:
        """Return ln p of each label of texts, shape (texts, K)."""
        result = np.zeros((len(texts), len(self._output_bias)), np.float32)
        for numbers in _side_by_side([len(text) for text in texts]):
            _, last = _read(self._encoder, self._embedded([texts[number] for number in numbers]))
            result[numbers] = self._predict(last)
        return result

    def tags(self, sentences: Sequence[Sequence[Ids]]) -> list[Floats]:
        """Return ln p of each tag for each token of sentences, each of shape (tokens, K)."""
        if self._characters is None:
            raise ValueError("the model is not one of tags")
        result: list[Floats] = [np.zeros((0, len(self._output_bias)), np.float32)] * len(sentences)
        tokens = [token for sentence in sentences for token in sentence]
        vectors = np.zeros((len(tokens), self._characters.size), np.float32)
        for numbers in _side_by_side([len(token) for token in tokens]):
            part = self._embedded([tokens[number] for number in numbers])
            vectors[numbers] = _read(self._characters, part)[1]
        stops = np.cumsum([len(sentence) for sentence in sentences])
        parts = np.split(vectors, stops[:-1]) if len(sentences) else []
        for numbers in _side_by_side([len(sentence) for sentence in sentences]):
            states, _ = _read(self._encoder, [parts[number] for number in numbers])
            for number, rows in zip(numbers, states, strict=True):
                result[number] = self._predict(rows[: len(parts[number])])
        return result

    def _embedded(self, texts: Sequence[Ids]) -> list[Floats]:
        """Return the embeddings of each text, each of shape (length, E).

        A text without ids is read as a boundary.
        """
        boundary = np.array([len(self._embedding) - 1])
        return [self._embedding[text if len(text) else boundary] for text in texts]

    def _predict(self, features: Floats) -> Floats:
        return log_softmax(features @ self._output + self._output_bias)


def _read(encoder: Encoder, sequences: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Return the states and the last states of sequences, each of shape (length, I)."""
    lengths = np.array([max(1, len(sequence)) for sequence in sequences])
    size = sequences[0].shape[1]
    features = np.zeros((len(sequences), int(lengths.max()), size), np.float32)
    for row, sequence in zip(features, sequences, strict=True):
        row[: len(sequence)] = sequence
    return encoder.read(features, lengths)


def _side_by_side(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of sequences of similar length, as many as are read at once."""
    order = np.argsort(lengths, kind="stable")[::-1].tolist()
    while order:
        most = max(1, MOST_POSITIONS // max(1, lengths[order[0]]))
        yield order[:most]
        order = order[most:]
