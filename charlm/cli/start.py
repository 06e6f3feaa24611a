"""`charlm train --from`: a model to go on from settles what it is; no option may say otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlm.errors import CheckpointError, ConfigError

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

    try:
        start = Checkpoint.load(path)
    except CheckpointError as error:
        raise CheckpointError(
            error.message, hint="name a model with --from, or leave it out to train a new one"
        ) from None
    form = start.config.form
    settled = {
        **start.config.to_json(),
        "tokenizer": start.tokenizer.kind,
    }
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        flag = f"--{'no-' * (value is False)}{name.replace('_', '-')}"
        if name in WITHOUT_MEANING:
            raise ConfigError(f"{flag} has no meaning with --from: the model is trained already")
        if name in ("lines", "pairs") and form != name:
            raise ConfigError(f"the model of --from is one of {form}, not of {name}")
        if name in settled and settled[name] != value:
            raise ConfigError(
                f"{flag} {value} is not what the model of --from has: {settled[name]}",
                hint=f"leave out {flag}, or train a new model without --from",
            )
    return start
