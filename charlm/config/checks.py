"""Checks of settings. A message names a setting as its option does: `hidden-size`."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import fields
from numbers import Integral, Real
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from charlm.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Bounds for numbers in a file, which are checked before anything is computed (a file is data).
LARGEST_SIZE = 1 << 20
LONGEST_TIME = 1e9  # seconds; some thirty years, with a resolution of 1e-7 in float64
MOST_SHOWN = 60  # characters of a value in a message
TYPE_NAMES = {int: "an int", Integral: "an int", float: "a number", type(None): "None"}


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


def require_type(name: str, value: object, expected: Any) -> None:
    """Raise TypeError unless the argument `name` has a type: a class, X | Y or tuple[X, ...].

    A list may stand for a tuple, and any real number for a float.
    """
    if not _is_of_type(value, expected):
        raise TypeError(f"{name} must be {_type_name(expected)}, got {type(value).__name__}")


def require_field_types(config: "DataclassInstance") -> None:
    """Raise TypeError unless each field of a dataclass has the type that it declares."""
    for field in fields(config):
        require_type(field.name, getattr(config, field.name), field.type)


def require_texts(name: str, texts: Iterable[str]) -> Iterator[str]:
    """Return an iterator over the texts of the argument `name`.

    Raises:
        TypeError: If the argument is one text or nothing to iterate over, at once; if an item is
            no text, when its turn comes.
    """
    if isinstance(texts, str):
        raise TypeError(f"{name} must be several texts, got one str")
    if not isinstance(texts, Iterable):
        raise TypeError(f"{name} must be several texts, got {type(texts).__name__}")
    return (_text_of(name, text) for text in texts)


def _text_of(name: str, text: str) -> str:
    require_type(f"an item of {name}", text, str)
    return text


def _is_of_type(value: object, expected: Any) -> bool:
    if isinstance(expected, UnionType):
        return any(_is_of_type(value, member) for member in get_args(expected))
    if get_origin(expected) is tuple:
        item = get_args(expected)[0]
        return isinstance(value, tuple | list) and all(
            _is_of_type(member, item) for member in value
        )
    if expected in (int, Integral, float) and isinstance(value, bool):
        return False
    return isinstance(value, Real if expected is float else expected)


def _type_name(expected: Any) -> str:
    if isinstance(expected, UnionType):
        return " or ".join(map(_type_name, get_args(expected)))
    if get_origin(expected) is tuple:
        return f"a tuple of {get_args(expected)[0].__name__}"
    return TYPE_NAMES.get(
        expected, f"{'an' if expected.__name__[0] in 'AEIO' else 'a'} {expected.__name__}"
    )


def _shown(value: object) -> str:
    """Return a value for a message, cut to MOST_SHOWN characters; one from a file may be long."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
