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
* The metadata has one entry, `charlm`, a JSON object: `format` (1), `version` (that wrote it),
  `config`, `tokenizer`, `provenance`, `fingerprints`, and `sha256`, a hash of all of these and
  of every tensor's name, shape and bytes. (One entry, because safetensors writes several in any
  order.)
* There is no pickle and no code, and nothing in the file names another file.

Reading promises: nothing of the file is executed; nothing is allocated by a number that it
claims, because every shape is compared with the config first; a damaged file is one
CheckpointError. What is not promised: that a stranger's weights are any good.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from charlm import tokenizers
from charlm.atomic import write_atomically
from charlm.config import ModelConfig, OneWay
from charlm.errors import CheckpointError, ConfigError
from charlm.filetypes import HEAD_SIZE, is_text, recognise
from charlm.fingerprint import Fingerprint
from charlm.parameters import BACKWARD, SHARED, parameters
from charlm.tokenizers import Tokenizer

FORMAT = 1
KEY = "charlm"
RATE = "dynamic_rate."  # before the name of the parameter that it is for
TOKENIZER_MODEL = "tokenizer.model"
FINGERPRINT = "fingerprint."  # before its number
LINE_SCORES = "line_scores"
MOST_LINE_SCORES = 1001  # so that tenths of a percent are told

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
        return _digest({}, self.arrays)

    def one_way(self, direction: OneWay) -> "Checkpoint":
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

    def _name(self, name: str, direction: OneWay) -> str:
        """Return what a parameter of one direction's network is called among those of all."""
        is_second = self.config.direction == "both" and direction == "backward"
        return BACKWARD + name if is_second and name != SHARED else name

    def with_dynamic_rates(self, rates: Mapping[OneWay, Arrays]) -> "Checkpoint":
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
        facts = {
            "format": FORMAT,
            "version": importlib.metadata.version("charlm"),
            "config": self.config.to_json(),
            "tokenizer": self.tokenizer.to_json(),
            "provenance": dict(self.provenance),
            "fingerprints": [each.to_json() for each in self.fingerprints],
        }
        arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(array) for name, array in self.arrays.items()
        } | {RATE + name: array for name, array in self.dynamic_rates.items()}
        if self.tokenizer.binary:
            arrays[TOKENIZER_MODEL] = np.frombuffer(self.tokenizer.binary, np.uint8)
        for number, fingerprint in enumerate(self.fingerprints):
            arrays[f"{FINGERPRINT}{number}"] = fingerprint.bits
        if len(self.line_scores):
            arrays[LINE_SCORES] = self.line_scores
        facts["sha256"] = _digest(facts, arrays)
        write_atomically(path, to_safetensors(arrays, {KEY: _to_json(facts)}))

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a file that `save` wrote.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign, or of a newer format.
        """
        _refuse_what_is_no_checkpoint(path)
        try:
            with safe_open(path, framework="np") as file:
                return cls._read(path, file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is damaged: {str(error).splitlines()[0][:200]}",
                hint="copy it anew, or train again",
            ) from None

    @classmethod
    def _read(cls, path: Path, file: Any) -> "Checkpoint":
        text = (file.metadata() or {}).get(KEY)
        if text is None:
            raise CheckpointError(f"{path} is a safetensors file, but not one of charlm's")
        try:
            facts = _from_json(text)
            found = facts.get("format")
            if found != FORMAT:
                raise CheckpointError(
                    f"{path} has checkpoint format {str(found)[:20]}; this charlm reads {FORMAT}",
                    hint="upgrade charlm",
                )
            config = ModelConfig.from_json(facts.get("config"))
            binary = _bytes(path, file, TOKENIZER_MODEL).tobytes()
            tokenizer = tokenizers.from_json(facts.get("tokenizer"), binary)
            fingerprints = _fingerprints(path, file, facts.get("fingerprints", []))
        except ConfigError as error:
            raise CheckpointError(f"{path} is damaged: {error.message}") from None
        provenance = facts.get("provenance")
        if not isinstance(provenance, dict):
            raise CheckpointError(f"{path} is damaged: its provenance is no JSON object")
        _check_shapes(path, file, config, tokenizer.vocab_size)
        arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
        if _digest(facts, arrays) != facts.get("sha256"):
            raise CheckpointError(
                f"{path} is damaged: its contents do not match their SHA-256",
                hint="copy it anew, or train again",
            )
        arrays = {name: each for name, each in arrays.items() if not _is_of_bytes(name)}
        line_scores = arrays.pop(LINE_SCORES, np.empty(0, np.float32))
        if not np.isfinite(line_scores).all() or (np.diff(line_scores) < 0).any():
            raise CheckpointError(f"{path} is damaged: its {LINE_SCORES} are not in order")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise CheckpointError(f"{path} holds weights that are not finite numbers")
        rates = {name: array for name, array in arrays.items() if name.startswith(RATE)}
        if any((array <= 0).any() for array in rates.values()):
            raise CheckpointError(
                f"{path} is damaged: it holds learning rates that are not above 0"
            )
        return cls(
            config=config,
            tokenizer=tokenizer,
            arrays={name: array for name, array in arrays.items() if name not in rates},
            provenance=provenance,
            dynamic_rates={name.removeprefix(RATE): array for name, array in rates.items()},
            fingerprints=fingerprints,
            line_scores=line_scores,
        )


def _refuse_what_is_no_checkpoint(path: Path) -> None:
    hint = "train one with `charlm train CORPUS`, or name it with --model or $CHARLM_MODEL"
    try:
        if not path.exists():
            raise CheckpointError(f"there is no model at {path}", hint=hint)
        if not path.is_file():  # a directory, a pipe or a device, none of which ever ends well
            raise CheckpointError(f"{path} is not a regular file", hint=hint)
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    found = recognise(head)
    if is_text(head):  # the first bytes of a safetensors file are a number, with NULs in it
        found = found or ("text" if head else "empty")
    if found is not None and found != "a safetensors file":
        raise CheckpointError(f"{path} is {found}, not a charlm model", hint=hint)


def _check_shapes(path: Path, file: Any, config: ModelConfig, vocab_size: int) -> None:
    """Compare what the header claims with what the config implies, before any tensor is read."""
    wanted = {parameter.name: parameter.shape for parameter in parameters(config, vocab_size)}
    names = {name for name in file.keys() if not _is_of_bytes(name)}
    if any(name.startswith(RATE) for name in names):
        wanted |= {RATE + name: shape[:1] for name, shape in wanted.items()}
    if LINE_SCORES in names:
        found = file.get_slice(LINE_SCORES).get_shape()
        wanted[LINE_SCORES] = (min(found[0], MOST_LINE_SCORES) if found else 1,)
    if names != set(wanted):
        odd = sorted(names ^ set(wanted))[0]
        problem = "lacks" if odd in wanted else "has an unknown"
        raise CheckpointError(f"{path} is damaged: it {problem} tensor {odd[:60]!r}")
    for name, shape in wanted.items():
        tensor = file.get_slice(name)
        if tuple(tensor.get_shape()) != shape or tensor.get_dtype() != "F32":
            raise CheckpointError(
                f"{path} is damaged: {name} is {tensor.get_dtype()} of shape "
                f"{tuple(tensor.get_shape())}, not F32 of shape {shape}"
            )


def _fingerprints(path: Path, file: Any, facts: object) -> tuple[Fingerprint, ...]:
    """Return the fingerprints in the file."""
    names = [name for name in file.keys() if name.startswith(FINGERPRINT)]
    wanted = [f"{FINGERPRINT}{number}" for number in range(len(names))]
    if not isinstance(facts, list) or len(facts) != len(names) or set(names) != set(wanted):
        raise ConfigError("its fingerprints are not those that it describes")
    return tuple(
        Fingerprint.from_json(fact, _bytes(path, file, name))
        for fact, name in zip(facts, wanted, strict=True)
    )


def _is_of_bytes(name: str) -> bool:
    """Return whether a tensor holds no numbers of the network, but bytes of something else."""
    return name == TOKENIZER_MODEL or name.startswith(FINGERPRINT)


def _bytes(path: Path, file: Any, name: str) -> NDArray[np.uint8]:
    """Return a tensor of bytes; where there is none, nothing."""
    if name not in file.keys():
        return np.empty(0, np.uint8)
    tensor = file.get_slice(name)
    if tensor.get_dtype() != "U8" or len(tensor.get_shape()) != 1:
        raise CheckpointError(f"{path} is damaged: {name} is no sequence of bytes")
    found: NDArray[np.uint8] = file.get_tensor(name)
    return found


def _digest(facts: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of everything in the file but the hash itself."""
    hashed = {name: value for name, value in facts.items() if name != "sha256"}
    digest = hashlib.sha256(_to_json(hashed).encode())
    for name in sorted(arrays):
        digest.update(_to_json([name, list(arrays[name].shape)]).encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, sort_keys=True)


def _from_json(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ConfigError("its metadata is not JSON") from None
    if not isinstance(value, dict):
        raise ConfigError("its metadata is no JSON object")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
