"""The one file between the halves: written atomically, read without trust; arrays, not modules.

A checkpoint is a plain safetensors file, so every tool that knows the format opens it:

* Weights are float32. With V tokens, embedding size E, hidden size H and layers l = 0, 1, …:
  `embedding.weight` (V + 1, E), whose last row is read at the start of a text;
  `recurrent.{l}.weight_ih` (4H, E or H), `recurrent.{l}.weight_hh` (4H, H) and
  `recurrent.{l}.bias` (4H,), with the gates in PyTorch's order: input, forget, cell, output;
  `output.weight` (V, H) and `output.bias` (V,). Models of lines and pairs have V + 1 outputs,
  the last for the end of an item. With tied weights the embedding is the output matrix, and
  `output.projection` (E, H) stands before it if E is not H. Of a model of both directions these
  are the forward network's; the backward one has the same embedding, and all else under the same
  names after `backward.`.
* `tokenizer.model`, uint8, is a SentencePiece model where the tokenizer has one.
* `dynamic_rate.` before each of these names, shape (rows,), float32: learning rates for dynamic
  evaluation, of all parameters or of none.
* `fingerprint.{n}`, uint8, n = 0, 1, …, are Bloom filters of the training texts (`fingerprint.py`
  says how they are made), which `fingerprints` in the metadata describes.
* `line_scores`, shape (quantiles,), float32, ascending: how lines of held-out text score under the
  model, in bits per character, each read for itself; or it is not there.
* The facts (`tensorfile.py` says how a file holds them) are `config`, `tokenizer`, `provenance` and
  `fingerprints`, and those of every file.

Reading promises: nothing of the file is executed; nothing is allocated by a number that it
claims, because every shape is compared with the config first; a damaged file is one
CheckpointError. What is not promised: that a stranger's weights are any good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm import tokenizers
from charlm.config import ModelConfig, SingleDirection
from charlm.errors import ConfigError
from charlm.files import tensor_file
from charlm.files.tensor_file import FileKind, Metadata, TensorFile
from charlm.fingerprint import MOST_FINGERPRINTS, Fingerprint
from charlm.parameters import BACKWARD, SHARED, parameters
from charlm.tokenizers import Tokenizer

KIND = FileKind(
    key="charlm",
    name="a charlm model",
    format=1,
    cure="train one with `charlm train CORPUS`, or name it with --model or $CHARLM_MODEL",
    repair="copy it anew, or train again",
)
RATE = "dynamic_rate."  # before the name of the parameter that it is for
TOKENIZER_MODEL = "tokenizer.model"
FINGERPRINT = "fingerprint."  # before its number
LINE_SCORES = "line_scores"
MOST_LINE_SCORES = 1001  # so that tenths of a percent are told
# Trained ones are below 100. Up to here no product of any size that a config allows overflows.
LARGEST_WEIGHT = 1_000_000

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model as data.

    Attributes:
        config: Size of the network.
        tokenizer: Text ⇄ ids.
        arrays: Every parameter by name, float32, shapes as `config.parameters` lists them.
        provenance: Where it comes from: corpus, training settings, steps, score. JSON.
        dynamic_rates: Learning rates for dynamic evaluation, by row of every parameter, float32,
            shape (rows,); or nothing.
        fingerprints: Of each text that it has learnt from, one after another; files that were
            written before there were any have none.
        line_scores: Quantiles of the scores of held-out lines, in bits per character, ascending,
            evenly spaced from the smallest to the largest, float32, shape (quantiles,); or none.
    """

    config: ModelConfig
    tokenizer: Tokenizer
    arrays: Arrays
    provenance: Mapping[str, Any] = field(default_factory=dict)
    dynamic_rates: Arrays = field(default_factory=dict)
    fingerprints: Sequence[Fingerprint] = ()
    line_scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights alone: two models are the same if it is."""
        return tensor_file.digest({}, self.arrays)

    def for_direction(self, direction: SingleDirection) -> "Checkpoint":
        """Return the network that reads in one of the model's directions, as a model of its own.

        Raises:
            KeyError: If there is none.
        """
        if direction not in self.config.directions:
            raise KeyError(direction)
        if self.config.direction == direction:
            return self
        config = replace(self.config, direction=direction)
        names = [each.name for each in parameters(config, self.tokenizer.vocab_size)]
        arrays, rates = (
            {name: held[self._name(name, direction)] for name in names} if held else {}
            for held in (self.arrays, self.dynamic_rates)
        )
        return replace(self, config=config, arrays=arrays, dynamic_rates=rates)

    def _name(self, name: str, direction: SingleDirection) -> str:
        """Return what a parameter of one direction's network is called among those of all."""
        is_second = self.config.direction == "both" and direction == "backward"
        return BACKWARD + name if is_second and name != SHARED else name

    def with_dynamic_rates(self, rates: Mapping[SingleDirection, Arrays]) -> "Checkpoint":
        """Return the checkpoint with learning rates for each direction; the first's embedding."""
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
        """Return the facts and the arrays of the file."""
        metadata = {
            "config": self.config.to_json(),
            "tokenizer": self.tokenizer.to_json(),
            "provenance": dict(self.provenance),
            "fingerprints": [each.to_json() for each in self.fingerprints],
        }
        arrays: dict[str, NDArray[Any]] = {
            **self.arrays,
            **{RATE + name: array for name, array in self.dynamic_rates.items()},
            **{f"{FINGERPRINT}{n}": each.bits for n, each in enumerate(self.fingerprints)},
        }
        if self.tokenizer.binary:
            arrays[TOKENIZER_MODEL] = np.frombuffer(self.tokenizer.binary, np.uint8)
        if len(self.line_scores):
            arrays[LINE_SCORES] = self.line_scores
        return metadata, arrays

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a file that `save` wrote.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign, or of a newer format.
        """
        with tensor_file.opened(path, KIND) as file:
            checkpoint, arrays = cls.from_parts(file)
            file.check_digest(arrays)
            checkpoint.check_values()
            return checkpoint

    @classmethod
    def from_parts(cls, file: TensorFile) -> tuple["Checkpoint", Mapping[str, NDArray[Any]]]:
        """Return what `to_parts` made, and every array of the file.

        Raises:
            ConfigError: If the facts are no model's, or the arrays not those that they imply.
        """
        config = ModelConfig.from_json(file.metadata.get("config"))
        binary = file.bytes(TOKENIZER_MODEL).tobytes()
        tokenizer = tokenizers.from_json(file.metadata.get("tokenizer"), binary)
        fingerprints = _fingerprints(file)
        provenance = file.metadata.get("provenance")
        if not isinstance(provenance, dict):
            raise ConfigError("its provenance is no JSON object")
        _check_shapes(file, config, tokenizer.vocab_size)
        everything = file.arrays()
        arrays = {name: each for name, each in everything.items() if not _is_of_bytes(name)}
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
        )
        return checkpoint, everything

    def check_values(self) -> None:
        """Raise ConfigError unless all numbers are such as training makes."""
        if not np.isfinite(self.line_scores).all() or (np.diff(self.line_scores) < 0).any():
            raise ConfigError(f"its {LINE_SCORES} are not in order")
        for name, array in self.arrays.items():
            if not -LARGEST_WEIGHT <= array.min() <= array.max() <= LARGEST_WEIGHT:  # or NaN
                raise ConfigError(
                    f"{name} holds weights that are not finite, or above {LARGEST_WEIGHT:,}"
                )
        for array in self.dynamic_rates.values():
            if not np.isfinite(array).all() or (array <= 0).any():
                raise ConfigError("it holds learning rates that are not above 0")


def _check_shapes(file: TensorFile, config: ModelConfig, vocab_size: int) -> None:
    """Compare what the header claims with what the config implies, before any tensor is read."""
    wanted = {parameter.name: parameter.shape for parameter in parameters(config, vocab_size)}
    names = {name for name in file.names if not _is_of_bytes(name)}
    if any(name.startswith(RATE) for name in names):
        wanted |= {RATE + name: shape[:1] for name, shape in wanted.items()}
    if LINE_SCORES in names:
        found = file.kind(LINE_SCORES)[1]
        wanted[LINE_SCORES] = (min(found[0], MOST_LINE_SCORES) if found else 1,)
    if names != set(wanted):
        odd = sorted(names ^ set(wanted))[0]
        problem = "lacks" if odd in wanted else "has an unknown"
        raise ConfigError(f"it {problem} tensor {odd[:60]!r}")
    for name, shape in wanted.items():
        if file.kind(name) != ("F32", shape):
            dtype, found = file.kind(name)
            raise ConfigError(f"{name} is {dtype} of shape {found}, not F32 of shape {shape}")


def _fingerprints(file: TensorFile) -> tuple[Fingerprint, ...]:
    """Return the fingerprints in the file."""
    metadata = file.metadata.get("fingerprints", [])
    names = [name for name in file.names if name.startswith(FINGERPRINT)]
    wanted = [f"{FINGERPRINT}{number}" for number in range(len(names))]
    if not isinstance(metadata, list) or len(metadata) != len(names) or set(names) != set(wanted):
        raise ConfigError("its fingerprints are not those that it describes")
    if len(names) > MOST_FINGERPRINTS:
        raise ConfigError(f"it holds {len(names):,} fingerprints, of at most {MOST_FINGERPRINTS}")
    return tuple(
        Fingerprint.from_json(fact, file.bytes(name))
        for fact, name in zip(metadata, wanted, strict=True)
    )


def _is_of_bytes(name: str) -> bool:
    """Return whether a tensor holds no numbers of the network, but bytes of something else."""
    return name == TOKENIZER_MODEL or name.startswith(FINGERPRINT)
