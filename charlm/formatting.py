"""Format numbers and texts for people, and for terminals."""

import json
import re

BARS = "▁▂▃▄▅▆▇█"
# What a terminal acts on: control characters except line feed and tab, and direction overrides.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_HASH = re.compile("[0-9a-f]{64}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """Return `text` on one line: ↵ for line ends, → for tabs, U+FFFD for the unprintable."""
    line = text.replace("\r\n", "\n").replace("\n", "↵").replace("\t", "→")
    return "".join(character if character.isprintable() else "\ufffd" for character in line)


def harmless(text: str) -> str:
    """Return `text` with a symbol in place of each character that a terminal would act on.

    Line feeds and tabs stay. The number of characters stays the same.
    """
    return _CONTROLS.sub(_symbol, text)


def without_surrogates(text: str) -> str:
    """Return `text` with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def escaped(text: str) -> str:
    """Return `text` as a JSON string, in ASCII if it is not printable."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def to_json(value: object) -> str:
    """Return JSON on one line, with escapes for what a terminal would act on."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def token_name(token: str | int | None) -> str:
    """Return the name of a token: its text, <0x41> for a byte, <end> for None, the boundary."""
    if token is None:
        return "<end>"
    return f"<0x{token:02X}>" if isinstance(token, int) else token


def in_field(text: str) -> str:
    """Return `text` for a field of a table, with Python's escapes.

    White space, control characters and the backslash are escaped. So is a quotation mark at the
    beginning, which many programs would take for the start of a quoted field.
    """
    quote = r"\x22" if text.startswith('"') else ""
    return quote + "".join(map(_escape, text[bool(quote) :]))


def _escape(character: str) -> str:
    if character == " ":
        return r"\x20"
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode()


def folded(line: str, width: int, *, indent: int, gap: str = " ") -> str:
    """Return `line` with line ends between words, for a terminal of `width` columns.

    Later lines begin with `indent` spaces. A hash that is longer than a line is cut off with an
    ellipsis. Another word that is longer stays whole, for the terminal to break.

    Args:
        line: The line. Its first `indent` characters belong to its first word.
        width: Most characters of a line.
        indent: Spaces before all lines but the first.
        gap: What separates words; of the columns of a table, two spaces.
    """
    room = width - indent
    lines: list[str] = []
    for word in filter(None, map(str.strip, line[indent:].split(gap))) if room > 0 else ():
        if len(word) > room and _HASH.fullmatch(word):
            word = f"{word[: room - 1]}…"
        if lines and len(lines[-1]) + len(gap) + len(word) <= room:
            lines[-1] += gap + word
        else:
            lines.append(word)
    if len(line) <= width or not lines:
        return line
    return line[:indent] + f"\n{' ' * indent}".join(lines)


def sparkline(values: list[float]) -> str:
    """Return a bar for each value, from ▁ for the smallest to █ for the largest."""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def duration(seconds: float) -> str:
    """Return a time: 42 s, 5 min 3 s, 2 h 10 min."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def quantity(value: float, unit: str = "") -> str:
    """Return a number with three digits and the prefix k, M or G: 1.12 M, 640 k."""
    for power in ("", "k", "M", "G"):
        if abs(value) < 999.5 or power == "G":
            break
        value /= 1000
    digits = f"{value:.0f}" if abs(value) >= 100 or not power else f"{value:.3g}"
    return f"{digits} {power}{unit}".rstrip()


def count(number: int, noun: str) -> str:
    """Return a number and a noun: 1 epoch, 2,000 epochs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
