"""The attention of a pair as a picture: with characters for a terminal, or as SVG."""

from html import escape

from rich.cells import cell_len

from charlm.inference.attention import AttentionMatrix

SHADES = " ░▒▓█"
CELL = 22  # pixels
FONT = "font-family='sans-serif' font-size='13'"


def attention_text(matrix: AttentionMatrix) -> str:
    """Return a line for each token of the target and a column for each of the source."""
    width = max(map(cell_len, matrix.source)) + 1
    margin = max(map(cell_len, matrix.target))
    rows = [" " * (margin + 1) + "".join(_padded(token, width) for token in matrix.source)]
    for token, weights in zip(matrix.target, matrix.weights.tolist(), strict=True):
        cells = (
            SHADES[round(weight * (len(SHADES) - 1))] * (width - 1) + " " for weight in weights
        )
        rows.append(f"{_padded(token, margin)} {''.join(cells)}")
    return "".join(f"{row.rstrip()}\n" for row in rows)


def attention_svg(matrix: AttentionMatrix) -> str:
    """Return the same as an SVG picture, dark where the attention is large."""
    margin = 14 + 9 * max(map(cell_len, matrix.target))
    top = 14 + 9 * max(map(cell_len, matrix.source))
    width, height = (
        before + CELL * len(tokens) + 10
        for before, tokens in ((margin, matrix.source), (top, matrix.target))
    )
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' {FONT}>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
    ]
    for column, token in enumerate(matrix.source):
        x, y = margin + CELL * column + CELL / 2 + 4, top - 6
        parts.append(f"<text transform='translate({x:g} {y:g}) rotate(-90)'>{_xml(token)}</text>")
    for row, (token, weights) in enumerate(
        zip(matrix.target, matrix.weights.tolist(), strict=True)
    ):
        y = top + CELL * row
        place = f"x='{margin - 6}' y='{y + CELL / 2 + 5:g}'"
        parts.append(f"<text {place} text-anchor='end'>{_xml(token)}</text>")
        for column, weight in enumerate(weights):
            x = margin + CELL * column
            parts.append(
                f"<rect x='{x}' y='{y}' width='{CELL}' height='{CELL}' fill='#1f4e79' "
                f"fill-opacity='{weight:.3f}' stroke='#dddddd'>"
                f"<title>{_xml(token)} ← {_xml(matrix.source[column])}: {weight:.3f}</title></rect>"
            )
    return "\n".join([*parts, "</svg>\n"])


def _padded(token: str, width: int) -> str:
    shown = _printable(token)
    return shown + " " * (width - cell_len(shown))


def _printable(token: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in token)


def _xml(token: str) -> str:
    """Return a token for XML, which holds no control characters."""
    return escape(_printable(token))
