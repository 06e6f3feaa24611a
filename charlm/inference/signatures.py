"""The signatures of methods that take the settings of generation by name."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from charlm.config import GenerationConfig

P = ParamSpec("P")
R = TypeVar("R")


def shows_settings(method: Callable[P, R]) -> Callable[P, R]:
    """Show each field of `GenerationConfig` in the signature and the docstring of a method.

    The method takes the fields as `**settings`, and its docstring has a line on these. `help`,
    `inspect.signature` and completion show the fields in their place, with types and defaults.
    """
    signature = inspect.signature(method)
    settings = inspect.signature(GenerationConfig).parameters.values()
    own = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    method.__dict__["__signature__"] = signature.replace(parameters=[*own, *settings])
    if method.__doc__ is not None:  # python -OO drops it
        method.__doc__ = re.sub(
            r"^( +)\*\*settings: .*\n",
            lambda match: "".join(f"{match[1]}{line}\n" for line in _described_settings()),
            method.__doc__,
            flags=re.MULTILINE,
        )
    return method


def _described_settings() -> Iterator[str]:
    """Yield the lines on each field in the docstring of `GenerationConfig`, with its default."""
    defaults = inspect.signature(GenerationConfig).parameters
    described = (inspect.getdoc(GenerationConfig) or "").partition("Attributes:\n")[2]
    for line in inspect.cleandoc(described).splitlines():
        yield re.sub(r"^(\w+):", lambda name: f"{name[1]} ({defaults[name[1]].default!r}):", line)
