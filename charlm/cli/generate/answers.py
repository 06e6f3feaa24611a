"""What `charlm generate` does for models of pairs alone: a lexicon, and attention as a picture."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charlm.cli.generate.printing import Printer
from charlm.cli.output import check_picture, write
from charlm.corpus.line_batches import read_line_batches
from charlm.display import show_line
from charlm.display.attention import attention_svg, attention_text
from charlm.errors import ConfigError, CorpusError
from charlm.files.atomic import write_atomically
from charlm.formatting import without_surrogates
from charlm.inference.lexicon import Lexicon, read_lexicon
from charlm.inference.model import Model

TRAINING_FILES = "train"  # the name of all files that the model was trained on


def load_lexicon(model: Model, names: Sequence[str]) -> Lexicon:
    """Return the pairs in files; "train" stands for the files that the model was trained on.

    Raises:
        ConfigError: If the model is not one of pairs.
        CorpusError: If a file cannot be read or has changed, or a line is not a pair.
    """
    if names and model.config.task != "pairs":
        raise ConfigError(f"--lexicon is for models of pairs; this one is of {model.config.task}")
    paths = [path for name in names for path in _paths(model, name)]
    return read_lexicon(_batches(paths), model.config)


def print_attention(
    model: Model,
    printer: Printer,
    seed: str,
    picture: Path | None,
    settings: Mapping[str, Any],
    *,
    is_shown: bool,
) -> None:
    """Print the answer to a source and its attention, and write the picture.

    Raises:
        ConfigError: If the model has no attention, or the name of the picture is not that of one.
        CheckpointError: If the picture cannot be written.
    """
    if picture is not None:
        if picture.suffix.lower() != ".svg":
            raise ConfigError(f"--attention-svg writes SVG, so {picture} has to end in .svg")
        check_picture(picture, "--attention-svg")
    answer = model.generate(seed, rng_seed=printer.rng_seed, **settings)
    matrix = model.attention(seed, answer)
    printer.show(f"{answer}\n")
    if is_shown:
        write(without_surrogates(f"\n{attention_text(matrix)}"))
    if picture is not None:
        write_atomically(picture, attention_svg(matrix).encode("utf-8", "replace"))
        show_line(f"saved {picture}")


def _paths(model: Model, name: str) -> list[str]:
    """Return the files that a name stands for.

    Raises:
        CorpusError: If a file of the training text is not there any more, or has changed.
    """
    if name != TRAINING_FILES:
        return [name]
    paths: list[str] = []
    for document in model.provenance.get("corpus", []):
        path = Path(str(document["name"]))
        if not path.is_file():
            raise CorpusError(
                f"the model was trained on {path}, which is not there",
                hint="run the command in the directory of the training, or name the file",
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != document["sha256"]:
            raise CorpusError(f"{path} has changed since the training", hint="name it to use it")
        paths.append(str(path))
    return paths


def _batches(paths: Sequence[str]) -> Iterator[tuple[str, int, Sequence[str]]]:
    for path in paths:
        for batch in read_line_batches(path):
            yield batch.name, batch.number, batch.lines
