"""Fill a page with its style, its script and its data.

A page's Content-Security-Policy names the hashes of its style and script, so that nothing else
runs, whatever the data hold.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib import resources
from typing import Any

from charlm.formatting import harmless, without_surrogates

_MARKER = re.compile(r"\{\{(\w+)\}\}")


def fill(
    name: str,
    parts: Mapping[str, str],
    *,
    title: str,
    data: Any,
    scripts: Sequence[str] = (),
    sources: str = "",
) -> str:
    """Return a page.

    Args:
        name: Of the files of this package that hold its body, its style and its script.
        parts: HTML by the markers of the body, such as {{legend}}.
        title: A text.
        data: JSON for the script.
        scripts: Names of scripts that stand before that of the page.
        sources: Further directives of its Content-Security-Policy, each with a semicolon.
    """
    style = _read("page.css") + _read(f"{name}.css")
    script = "\n".join(_read(f"{script}.js") for script in ("page", *scripts, name))
    heading = escape(printable(title))
    body = {"title": heading, "details": _read("details.html"), **parts}
    shell = {
        "title": heading,
        "sources": sources,
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "body": _MARKER.sub(lambda marker: body[marker[1]], _read(f"{name}.html")),
        "data": json.dumps(data).replace("<", "\\u003c"),  # so that no text can end the script
    }
    return _MARKER.sub(lambda marker: shell[marker[1]], _read("page.html"))


def printable(text: str) -> str:
    """Return `text` without control characters and surrogates, with the same length."""
    return without_surrogates(harmless(text))


def facts(values: Mapping[str, str]) -> str:
    """Return the content of a list of values by name."""
    return "".join(
        f"<div><dt>{escape(printable(name))}</dt><dd>{escape(printable(value))}</dd></div>"
        for name, value in values.items()
    )


def _read(name: str) -> str:
    return resources.files("charlm.pages").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"
