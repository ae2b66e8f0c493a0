"""The HTML elements of a page. All text from files is escaped here, and nowhere else."""

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

from cdmtrain.report.kit import style


class Link(NamedTuple):
    """A table cell that links to a file, whose path is relative to the page."""

    text: str
    path: str


def element(tag: str, content: Any, css_class: str = "") -> str:
    """Return an element around plain text, which is escaped; nothing where there is no text."""
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<{tag}{attribute}>{escape(str(content))}</{tag}>" if content != "" else ""


def pair(content: str) -> str:
    """Return HTML elements two side by side where the screen is wide enough."""
    return f'<div class="pair">{content}</div>' if content else ""


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the headline numbers of a page, as (value, what it is)."""
    inside = (f'<div class="tile">{element("b", value)}{element("span", name)}</div>' for value, name in pairs)
    return f'<div class="tiles">{"".join(inside)}</div>'


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str | Link]],
    *,
    words: Collection[int] = (),
    particles: Sequence[str] = (),
) -> str:
    """Return a table; the names of the classes `particles` get a dot, the columns `words` are aligned left."""
    styles = style.line_styles(particles)
    classes = [' class="words"' if index in words else "" for index in range(len(header))]
    head = "".join(f'<th scope="col"{one}>{escape(name)}</th>' for name, one in zip(header, classes, strict=True))
    cells = [
        "".join(f"<td{one}>{_cell(cell, styles)}</td>" for cell, one in zip(row, classes, strict=True)) for row in rows
    ]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(content: str | Link, styles: Mapping[str, style.LineStyle]) -> str:
    if isinstance(content, Link):
        return f'<a href="{quote(content.path)}">{escape(content.text)}</a>'
    if content in styles:
        return f'<span class="dot" style="background:{styles[content].colour}"></span>{escape(content)}'
    return escape(content)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values, both plain text."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in pairs)
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def folded(summary: str, content: str) -> str:
    """Return HTML that opens at a click on its summary."""
    return f"<details>{element('summary', summary)}{content}</details>"


def picture(png: bytes, title: str, caption: str, alternative: str) -> str:
    """Return a figure with the picture embedded in the page; screen readers read `alternative`."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    image = f'<img src="{source}" alt="{escape(alternative)}">'
    return f"<figure>{element('h3', title)}{image}{element('figcaption', caption)}</figure>"


def document(title: str, body: str) -> str:
    """Return the whole page; its content security policy forbids the browser every request and every script."""
    page = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(title=escape(title), body=body)
