"""`charlm train --from`: a model to go on from settles what it is; no option may say otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.errors import ConfigError

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint

# What else describes a network before its first step.
WITHOUT_MEANING = ("vocab_size", "embeddings", "initialisation", "forget_bias")


def load_start(context: typer.Context, path: Path) -> "Checkpoint":
    """Return the model to start from.

    Raises:
        CheckpointError: If there is none at `path`.
        ConfigError: If an option says something else than the model, or has no meaning beside it.
    """
    from charlm.checkpoint import Checkpoint

    start = Checkpoint.load(path)
    form = start.config.form
    settled = {
        **start.config.to_json(),
        "tokenizer": start.tokenizer.kind,
        "lines": form == "lines",
        "pairs": form == "pairs",
    }
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        flag = f"--{'no-' * (value is False)}{name.replace('_', '-')}"
        if name in WITHOUT_MEANING:
            raise ConfigError(f"{flag} has no meaning with --from: the model is trained already")
        if name in settled and settled[name] != value:
            raise ConfigError(
                f"{flag} is not what the model of --from has: {settled[name]}",
                hint=f"leave out {flag}, or train a new model without --from",
            )
    return start
