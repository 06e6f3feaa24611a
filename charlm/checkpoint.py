"""The model file: a plain safetensors file, written whole and read without trust.

It holds these tensors, with V tokens, embedding size E, hidden size H and layers l = 0, 1, …:

    embedding.weight          (V + 1, E)       the last row is the boundary before a text
    recurrent.{l}.weight_ih   (4H, E or H)     of an LSTM; `cells.py` has the gates of each cell
    recurrent.{l}.weight_hh   (4H, H)
    recurrent.{l}.bias        (4H,)
    output.weight             (V, H)           V + 1 rows in models of lines and pairs, which
    output.bias               (V,)             predict the end of an example, too
    output.projection         (E, H)           tied weights have no output.weight: the embedding is
                                               the output matrix, after a projection if E is not H
    backward.…                                 the backward network of a model of both directions;
                                               both share the embedding
    encoder.{l}.…             as recurrent     layers that read a source or text from its start
    encoder_reverse.{l}.…     as recurrent     … and from its end
    characters.0.…            as recurrent     of tags: layers that read the characters of a token,
    characters_reverse.0.…                     both ways
    bridge.weight, .bias      (S H, H), (S H,) of pairs: the first state of the decoder, S vectors
    attention.…                                of pairs with attention; `parameters.py` has them all
    dynamic_rate.{name}       (rows,)          learning rates for dynamic evaluation, for all of the
                                               parameters above or none
    line_scores               (quantiles,)     bits per character of held-out lines, ascending;
                                               optional
    tokenizer.model           (bytes,)         a SentencePiece model, if the tokenizer has one
    fingerprint.{n}           (bytes,)         Bloom filters of the training texts, n = 0, 1, …
    ngram.{direction}.…                        counts of n-grams; `ngram/table.py` has the arrays

The first groups are float32, the tokenizer and the filters uint8, the counts whole numbers. The
metadata is a JSON object with the keys
`config` (ModelConfig), `tokenizer`, `provenance` and `fingerprints` (what describes each filter),
and those of every file (`files/tensor_file.py`).

Every shape is compared with the config before anything is allocated. A damaged file is one
CheckpointError. Whether a stranger's weights are any good is not checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm import ngram, tokenizers
from charlm.config import TERMINATORS, ModelConfig, SingleDirection
from charlm.errors import ConfigError
from charlm.files import tensor_file
from charlm.files.tensor_file import FileKind, Metadata, TensorFile
from charlm.fingerprint import MOST_FINGERPRINTS, Fingerprint
from charlm.ngram import NGramTable
from charlm.parameters import BACKWARD, SHARED, parameters
from charlm.tokenizers import Tokenizer

KIND = FileKind(
    key="charlm",
    name="a charlm model",
    format=1,
    cure="train one with `charlm train CORPUS`, or name it with --model or $CHARLM_MODEL",
    repair="copy it again, or train again",
)
RATE = "dynamic_rate."  # prefix of a parameter's name
TOKENIZER_MODEL = "tokenizer.model"
FINGERPRINT = "fingerprint."  # prefix of its number
NGRAM = "ngram."  # prefix of a direction
LINE_SCORES = "line_scores"
MOST_LINE_SCORES = 1001  # percentiles to a tenth
LARGEST_LINE_SCORE = 1e30  # so that differences are finite
# Trained weights are below 100. With weights up to here, and activations of a ReLU as bounded in
# `inference/runtime.py`, no product overflows; so nothing downstream has to check for infinity.
LARGEST_WEIGHT = 1_000_000

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model as data: config, tokenizer, arrays."""

    config: ModelConfig
    tokenizer: Tokenizer
    arrays: Arrays  # every parameter by name, with the shapes that `parameters` lists
    # Its origin as a JSON object: corpus, training settings, steps, score.
    provenance: Mapping[str, Any] = field(default_factory=dict)
    # A learning rate for each row of every parameter, shape (rows,); empty if dynamic evaluation
    # has none.
    dynamic_rates: Arrays = field(default_factory=dict)
    # One for each training text; empty in files from before fingerprints.
    fingerprints: Sequence[Fingerprint] = ()
    # Scores of held-out lines, each alone, in bits per character: quantiles at equal distances from
    # the lowest to the highest, shape (quantiles,); may be empty.
    line_scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    # Counts that predict beside the network of each direction; empty if there are none.
    ngrams: Mapping[SingleDirection, NGramTable] = field(default_factory=dict)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights alone: equal if two models are the same."""
        return tensor_file.digest({}, self.arrays)

    def for_direction(self, direction: SingleDirection) -> "Checkpoint":
        """Return the network of one of the model's directions as a model by itself.

        In a model of both directions each is a network by itself, except for the embedding. A
        backward network is a forward one on the mirrored text.

        Raises:
            KeyError: If the model has no network of this direction.
        """
        if direction not in self.config.directions:
            raise KeyError(direction)
        if self.config.direction == direction:
            return self
        ngrams = {name: table for name, table in self.ngrams.items() if name == direction}
        config = replace(self.config, direction=direction)
        names = [parameter.name for parameter in parameters(config, self.tokenizer.vocab_size)]
        arrays, rates = (
            {name: source[self._name(name, direction)] for name in names} if source else {}
            for source in (self.arrays, self.dynamic_rates)
        )
        return replace(self, config=config, arrays=arrays, dynamic_rates=rates, ngrams=ngrams)

    def _name(self, name: str, direction: SingleDirection) -> str:
        """Return the name that a parameter of one direction's network has in this model."""
        is_second = self.config.direction == "both" and direction == "backward"
        return BACKWARD + name if is_second and name != SHARED else name

    def with_dynamic_rates(self, rates: Mapping[SingleDirection, Arrays]) -> "Checkpoint":
        """Return the checkpoint with rates by direction; the embedding takes the first one's."""
        named = {
            self._name(name, direction): array
            for direction in reversed(self.config.directions)
            for name, array in rates[direction].items()
        }
        return replace(self, dynamic_rates=named)

    def save(self, path: Path) -> None:
        """Write the file so that `path` holds the previous or the new one at every instant.

        Raises:
            CheckpointError: If the file cannot be written; the previous one is untouched.
        """
        tensor_file.save(path, KIND, *self.to_parts())

    def to_parts(self) -> tuple[Metadata, Mapping[str, NDArray[Any]]]:
        """Return the metadata and the tensors of the file."""
        metadata = {
            "config": self.config.to_json(),
            "tokenizer": self.tokenizer.to_json(),
            "provenance": dict(self.provenance),
            "fingerprints": [fingerprint.to_json() for fingerprint in self.fingerprints],
        }
        arrays: dict[str, NDArray[Any]] = {
            **self.arrays,
            **{RATE + name: array for name, array in self.dynamic_rates.items()},
            **{f"{FINGERPRINT}{n}": filter_.bits for n, filter_ in enumerate(self.fingerprints)},
        }
        if self.tokenizer.binary:
            arrays[TOKENIZER_MODEL] = np.frombuffer(self.tokenizer.binary, np.uint8)
        if len(self.line_scores):
            arrays[LINE_SCORES] = self.line_scores
        for direction, table in self.ngrams.items():
            for name, array in ngram.to_arrays(table).items():
                arrays[f"{NGRAM}{direction}.{name}"] = array
        return metadata, arrays

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a file that `save` wrote.

        Raises:
            CheckpointError: If the file is missing, damaged, of another kind or of another format.
        """
        with tensor_file.open_tensor_file(path, KIND) as file:
            checkpoint, arrays = cls.from_parts(file)
            file.check_digest(arrays)
            checkpoint.check_values()
            return checkpoint

    @classmethod
    def from_parts(cls, file: TensorFile) -> tuple["Checkpoint", Mapping[str, NDArray[Any]]]:
        """Return the checkpoint whose `to_parts` the file holds, and every tensor of the file.

        Raises:
            ConfigError: If the metadata is malformed, or the tensors do not match them.
        """
        config = ModelConfig.from_json(file.metadata.get("config"))
        binary = file.bytes(TOKENIZER_MODEL).tobytes()
        tokenizer = tokenizers.from_json(file.metadata.get("tokenizer"), binary)
        fingerprints = _fingerprints(file)
        provenance = file.metadata.get("provenance")
        if not isinstance(provenance, dict):
            raise ConfigError("its provenance is not a JSON object")
        _check_pieces(tokenizer, config)
        _check_classes(tokenizer, config)
        _check_shapes(file, config, tokenizer.vocab_size)
        tensors = file.arrays()
        arrays = {name: array for name, array in tensors.items() if not _is_beside_network(name)}
        line_scores = arrays.pop(LINE_SCORES, np.empty(0, np.float32))
        rates = {name: array for name, array in arrays.items() if name.startswith(RATE)}
        checkpoint = cls(
            config=config,
            tokenizer=tokenizer,
            arrays={name: array for name, array in arrays.items() if name not in rates},
            provenance=provenance,
            dynamic_rates={name.removeprefix(RATE): array for name, array in rates.items()},
            fingerprints=fingerprints,
            line_scores=line_scores,
            ngrams=_ngrams(tensors, config, tokenizer),
        )
        return checkpoint, tensors

    def check_values(self) -> None:
        """Raise ConfigError if a number is not finite or outside the range that training makes."""
        if not (np.abs(self.line_scores) <= LARGEST_LINE_SCORE).all():  # or NaN
            raise ConfigError(f"its {LINE_SCORES} are not finite, or too large")
        if (np.diff(self.line_scores) < 0).any():
            raise ConfigError(f"its {LINE_SCORES} are not in ascending order")
        for name, array in self.arrays.items():
            if not -LARGEST_WEIGHT <= array.min() <= array.max() <= LARGEST_WEIGHT:  # or NaN
                raise ConfigError(
                    f"{name} has weights that are not finite or exceed {LARGEST_WEIGHT:,}"
                )
        for array in self.dynamic_rates.values():
            if not np.isfinite(array).all() or (array <= 0).any():
                raise ConfigError("its learning rates for dynamic evaluation must be above 0")


def _check_pieces(tokenizer: Tokenizer, config: ModelConfig) -> None:
    """Raise ConfigError if a piece holds what ends an example, which no example can hold."""
    terminators = TERMINATORS[config.task]
    for piece in tokenizer.pieces:
        if isinstance(piece, str) and any(character in piece for character in terminators):
            raise ConfigError(f"its tokenizer has a piece with the end of one of its {config.task}")


def _check_classes(tokenizer: Tokenizer, config: ModelConfig) -> None:
    """Raise ConfigError unless a model of labels or tags has a symbol for each output."""
    classes = tokenizer.vocab_size - tokenizer.first_symbol
    if config.is_of_classes and (classes != config.num_classes or classes < 1):
        raise ConfigError(f"its tokenizer has {classes:,} classes, not {config.num_classes:,}")


def _check_shapes(file: TensorFile, config: ModelConfig, vocab_size: int) -> None:
    """Compare the header's claims with the shapes that the config implies, before reading."""
    shapes = {parameter.name: parameter.shape for parameter in parameters(config, vocab_size)}
    names = {name for name in file.names if not _is_beside_network(name)}
    if any(name.startswith(RATE) for name in names):
        shapes |= {RATE + name: shape[:1] for name, shape in shapes.items()}
    if LINE_SCORES in names:
        claimed = file.kind(LINE_SCORES)[1]
        shapes[LINE_SCORES] = (min(claimed[0], MOST_LINE_SCORES) if claimed else 1,)
    if names != set(shapes):
        odd = sorted(names ^ set(shapes))[0]
        problem = "lacks" if odd in shapes else "has an unknown"
        raise ConfigError(f"it {problem} tensor {odd[:60]!r}")
    for name, shape in shapes.items():
        dtype, claimed = file.kind(name)
        if (dtype, claimed) != ("F32", shape):
            raise ConfigError(f"{name} is {dtype} of shape {claimed}, not F32 of shape {shape}")


def _fingerprints(file: TensorFile) -> tuple[Fingerprint, ...]:
    """Return the fingerprints in the file, by number."""
    descriptions = file.metadata.get("fingerprints", [])
    present = {name for name in file.names if name.startswith(FINGERPRINT)}
    names = [f"{FINGERPRINT}{number}" for number in range(len(present))]
    if (
        not isinstance(descriptions, list)
        or len(descriptions) != len(names)
        or present != set(names)
    ):
        raise ConfigError("its fingerprints do not match their description")
    if len(names) > MOST_FINGERPRINTS:
        raise ConfigError(f"it holds {len(names):,} fingerprints, more than {MOST_FINGERPRINTS}")
    return tuple(
        Fingerprint.from_json(description, file.bytes(name))
        for description, name in zip(descriptions, names, strict=True)
    )


def _ngrams(
    tensors: Mapping[str, NDArray[Any]], config: ModelConfig, tokenizer: Tokenizer
) -> dict[SingleDirection, NGramTable]:
    """Return the counts of each direction; all directions have some, or none has."""
    outputs, boundary_id = config.outputs(tokenizer.vocab_size), tokenizer.boundary_id
    of_direction: dict[SingleDirection, dict[str, NDArray[Any]]] = {
        direction: {} for direction in config.directions
    }
    for name, array in tensors.items():
        if name.startswith(NGRAM):
            direction, _, part = name.removeprefix(NGRAM).partition(".")
            for known in config.directions:
                if direction == known:
                    of_direction[known][part] = array
                    break
            else:
                raise ConfigError(f"it has n-grams of a direction {direction[:20]!r}")
    if not any(of_direction.values()):
        return {}
    return {
        direction: ngram.from_arrays(arrays, outputs=outputs, boundary_id=boundary_id)
        for direction, arrays in of_direction.items()
    }


def _is_beside_network(name: str) -> bool:
    """Return whether a tensor is no array of float32 of the network or its scores."""
    return name == TOKENIZER_MODEL or name.startswith((FINGERPRINT, NGRAM))
