"""The few pieces of HTML the page is made of. Whatever comes from a file is escaped here, and nowhere else."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing


class Link(NamedTuple):
    """A cell that leads to a file beside the page."""

    text: str
    path: str  # from the page's directory


def element(tag: str, content: Any, css_class: str = "") -> str:
    """Return an element around plain text, escaped."""
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<{tag}{attribute}>{escape(str(content))}</{tag}>"


def section(heading: str, content: str) -> str:
    """Return `content` (HTML) under a heading."""
    return f"<section>{element('h2', heading)}{content}</section>"


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the headline figures: (value, what it is)."""
    return f'<div class="tiles">{"".join(_tile(value, words) for value, words in pairs)}</div>'


def _tile(value: str, words: str) -> str:
    return f'<div class="tile">{element("b", value)}{element("span", words)}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str | Link]]) -> str:
    """Return a table of figures; a particle's name in the first column gets its colour."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{_first_cell(row[0])}{''.join(map(_cell, row[1:]))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(content: str | Link) -> str:
    if isinstance(content, Link):
        return f'<td><a href="{quote(content.path)}">{escape(content.text)}</a></td>'
    return element("td", content)


def _first_cell(name: str | Link) -> str:
    if isinstance(name, Link):
        return _cell(name)
    colour = style.COLOURS.get(name)
    dot = f'<span class="dot" style="background:{colour}"></span>' if colour else ""
    return f"<td>{dot}{escape(name)}</td>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values, both plain text."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th>{element("td", value)}</tr>' for name, value in pairs)
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def folded(summary: str, content: str) -> str:
    """Return `content` (HTML) folded away behind a line of text."""
    return f"<details>{element('summary', summary)}{content}</details>"


def picture(drawing: Drawing, png: bytes) -> str:
    """Return a figure, the picture in the page itself, with its title, its caption and words for the blind."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    image = f'<img src="{source}" alt="{escape(drawing.alternative)}">'
    return f"<figure>{element('h3', drawing.title)}{image}{element('figcaption', drawing.caption)}</figure>"


def document(title: str, css: str, body: str) -> str:
    """Return the whole page; its policy forbids the browser every request and every script."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>{css}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
