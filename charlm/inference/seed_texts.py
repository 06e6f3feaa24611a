"""Seed texts and endings as a network reads them, and what they must not contain."""

from charlm.config import TERMINATORS, ModelConfig, Task
from charlm.corpus.columns import as_source, as_typed
from charlm.corpus.masks import masked
from charlm.errors import ConfigError
from charlm.formatting import visible
from charlm.tokenizers.symbols import FEATURE_MARK


def read_example(text: str, config: ModelConfig, name: str) -> str:
    """Return the beginning or end of an example as the network reads it: with masks.

    Raises:
        ConfigError: If `text` contains a terminator, or the mask takes too long.
    """
    text = as_source(text, config.columns)
    if config.has_features:
        _check_features(text, name)
    check_example(text, config.task, name)
    return masked(text, config.mask)


def _check_features(source: str, name: str) -> None:
    """Raise ConfigError unless features stand behind the only tab of a source."""
    if source.strip() and (FEATURE_MARK not in source or "\t" in source):
        raise ConfigError(
            f"the {name} {visible(as_typed(source)[:40])!r} is not a source, a tab and features",
            hint="give these columns alone: cut -f1,3 FILE | charlm generate --seed-file -",
        )


def check_example(text: str, task: Task, name: str) -> None:
    """Raise ConfigError if `text`, called `name` in the message, contains a terminator."""
    terminators = set(text) & set(TERMINATORS[task])
    if terminators:
        terminator = "a line end" if "\n" in terminators else "a tab"
        raise ConfigError(
            f"the {name} {visible(text[:40])!r} contains {terminator}, "
            f"which no example of a model of {task} can contain",
            hint="give the sources only: cut -f1 FILE | charlm generate --seed-file -"
            if terminators == {"\t"}
            else None,
        )
