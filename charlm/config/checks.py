"""Checks of settings. A message names a setting as its option does: `hidden-size`."""

import math

from charlm.errors import ConfigError

# Bounds for numbers in a file, which are checked before anything is computed (a file is data).
LARGEST_SIZE = 1 << 20
LONGEST_TIME = 1e9  # seconds; some thirty years, with a resolution of 1e-7 in float64
MOST_SHOWN = 60  # characters of a value in a message


def require_whole(name: str, value: object, smallest: int, largest: int | None = None) -> None:
    """Raise ConfigError unless `value` is a whole number in [smallest, largest]."""
    if type(value) is int and smallest <= value and (largest is None or value <= largest):
        return
    bounds = f"of at least {smallest}" if largest is None else f"from {smallest} to {largest}"
    raise ConfigError(f"{name} must be a whole number {bounds}, got {_shown(value)}")


def require_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ConfigError unless `value` is one of `choices`, of the same type (1 is not True)."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        names = ", ".join(map(str, choices))
        raise ConfigError(f"{name} must be one of {names}, got {_shown(value)}")


def require(
    name: str,
    value: float | None,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Raise ConfigError unless `value` is None or a finite number within the bounds."""
    if value is None:
        return
    rules = [
        ("above", above, above is None or value > above),
        ("at least", at_least, at_least is None or value >= at_least),
        ("below", below, below is None or value < below),
        ("at most", at_most, at_most is None or value <= at_most),
    ]
    if not math.isfinite(value) or not all(holds for _, _, holds in rules):
        rule = " and ".join(f"{word} {bound:g}" for word, bound, _ in rules if bound is not None)
        finite = "" if math.isfinite(value) else "finite and "
        raise ConfigError(f"{name} must be {finite}{rule}, got {value:g}")


def _shown(value: object) -> str:
    """Return a value for a message, cut to MOST_SHOWN characters; one from a file may be long."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
