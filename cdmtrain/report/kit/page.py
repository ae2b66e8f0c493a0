"""The skeleton of every page: a head, sections with a heading each, a footer."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cdmtrain.atomic import write_text
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.drawing import Drawing


def write_page(
    path: Path, *, kind: str, title: str, head: Iterable[str], sections: Mapping[str, str], footer: str
) -> Path:
    """Write one HTML file that needs no other, and return its path.

    Args:
        kind: the small line above the title, such as "cdmtrain run".
        head: HTML below the title: what this is, the headline numbers, the result in a sentence.
        sections: heading -> HTML; a section without content is left out.
        footer: one plain sentence about the files beside the page.
    """
    top = f"{markup.element('p', kind, 'kind')}{markup.element('h1', title)}{''.join(head)}"
    body = [f"<header>{top}</header>"]
    body += [f"<section>{markup.element('h2', name)}{html}</section>" for name, html in sections.items() if html]
    write_text(path, markup.document(title, "\n".join([*body, markup.element("footer", footer)])))
    return path


def figures(folder: Path, drawings: Iterable[Drawing | None]) -> str:
    """Write the drawings that exist into `folder` and return them as HTML, two side by side."""
    return markup.pair("".join(drawing.write(folder) for drawing in drawings if drawing is not None))
