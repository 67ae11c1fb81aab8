#!/usr/bin/env python3
"""Draws the text of a terminal as an SVG picture, colours included.

usage: terminal-svg.py < CAPTURED.txt > reply.svg

The text is what a terminal showed: lines, with escape sequences for bold, dim and the sixteen colours. Lines that begin with
`$ ` are drawn as what was typed. Only the standard library is needed.
"""

import re
import sys
from html import escape
from typing import NamedTuple

COLUMN, ROW, MARGIN = 8.4, 20, 18  # pixels, for a font of 14 pixels
TOP = 42  # where the first line's box begins, below the three dots
BACKGROUND, BORDER, PLAIN, PROMPT = "#161b22", "#444c56", "#d1d7e0", "#57ab5a"
DOTS = ("#f47067", "#c69026", "#57ab5a")
NORMAL = ("#545d68", "#f47067", "#57ab5a", "#c69026", "#539bf5", "#b083f0", "#39c5cf", "#d1d7e0")
BRIGHT = ("#768390", "#ff938a", "#6bc46d", "#daaa3f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#ffffff")
STYLE_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")
OTHER_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-ln-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


class Style(NamedTuple):
    colour: str = PLAIN
    bold: bool = False
    dim: bool = False

    def after(self, codes: str) -> "Style":
        """The style after an escape sequence's codes; codes that are not known change nothing."""
        style = self
        for code in (int(c or 0) for c in codes.split(";")):
            if code == 0:
                style = Style()
            elif code == 1:
                style = style._replace(bold=True)
            elif code == 2:
                style = style._replace(dim=True)
            elif code == 22:
                style = style._replace(bold=False, dim=False)
            elif code == 39:
                style = style._replace(colour=PLAIN)
            elif 30 <= code <= 37:
                style = style._replace(colour=NORMAL[code - 30])
            elif 90 <= code <= 97:
                style = style._replace(colour=BRIGHT[code - 90])
        return style


def runs(line: str, style: Style) -> tuple[list[tuple[str, Style]], Style]:
    """The line's pieces of one style each, and the style that the next line begins with."""
    parts = STYLE_SEQUENCE.split(line)
    pieces = [(parts[0], style)]
    for codes, text in zip(parts[1::2], parts[2::2]):
        style = style.after(codes)
        pieces.append((text, style))
    return [(text, style) for text, style in pieces if text], style


def screen(text: str) -> list[list[tuple[str, Style]]]:
    """Lines as they stood at the end: what a carriage return wrote over is gone."""
    lines, style = [], Style()
    for line in OTHER_SEQUENCE.sub("", text).rstrip().split("\n"):
        pieces, style = runs(line.rstrip("\r").split("\r")[-1].expandtabs(8), style)
        if pieces and pieces[0][0].startswith("$ "):
            first = pieces[0][0]
            pieces = [("$ ", Style(PROMPT, bold=True)), (first[2:], Style("#ffffff", bold=True)), *pieces[1:]]
        lines.append([piece for piece in pieces if piece[0]])
    return lines


def drawn(pieces: list[tuple[str, Style]], baseline: float) -> str:
    """One line of text: each piece is held to its columns, whatever the font's width."""
    out, column = [], 0
    for text, style in pieces:
        extra = ' font-weight="bold"' if style.bold else ""
        extra += ' opacity="0.6"' if style.dim else ""
        word, start = text.strip(), column + len(text) - len(text.lstrip())
        place = f'x="{MARGIN + start * COLUMN:.1f}" y="{baseline}" textLength="{len(word) * COLUMN:.1f}" lengthAdjust="spacingAndGlyphs"'
        if word:
            out.append(f'<text {place} fill="{style.colour}"{extra} xml:space="preserve">{escape(word)}</text>')
        column += len(text)
    return "\n".join(out)


def picture(text: str) -> str:
    lines = screen(text)
    columns = max([60, *(sum(len(t) for t, _ in line) for line in lines)])
    width, height = round(2 * MARGIN + columns * COLUMN), TOP + len(lines) * ROW + MARGIN
    dots = "".join(f'<circle cx="{MARGIN + 6 + 20 * i}" cy="20" r="6" fill="{colour}"/>' for i, colour in enumerate(DOTS))
    label = escape(" ".join("".join(t for t, _ in line) for line in lines[:1]), quote=True)
    body = "\n".join(drawn(line, TOP + i * ROW + 14) for i, line in enumerate(lines) if line)
    font = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{label}" font-family="{font}" font-size="14">\n'
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10" fill="{BACKGROUND}" stroke="{BORDER}"/>\n'
        f"{dots}\n{body}\n</svg>\n"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    sys.stdout.write(picture(sys.stdin.read()))
