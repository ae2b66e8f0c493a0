"""The skeleton of every page, and its figures, each with its title, its caption and the numbers that it shows."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cdmtrain.atomic import write_text
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.output import write_figure
from cdmtrain.runs import files

Rows = list[Sequence[Any]]  # the first row holds the names of the columns


@dataclass(frozen=True)
class Drawing:
    """One figure of a page."""

    name: str  # of its files, name.png and name.csv
    title: str
    caption: str
    alternative: str  # the text for screen readers
    figure: Figure
    rows: Rows  # the numbers that are drawn

    def write(self, folder: Path) -> str:
        """Write the figure, in the formats wanted, and its numbers as CSV into `folder`; return it as HTML."""
        name = self.name.replace("/", "-")  # there is a particle J/psi
        write_csv(folder / f"{name}.csv", self.rows)
        picture = write_figure(self.figure, folder, name)
        return markup.picture(picture, self.title, self.caption, self.alternative)


def write_csv(path: Path, rows: Rows) -> None:
    """Write `rows` as comma-separated values; None becomes an empty field."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    write_text(path, buffer.getvalue(), synced=False)


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
    write_text(path, markup.document(title, "\n".join([*body, markup.element("footer", footer)])), synced=False)
    return path


def figures(folder: Path, drawings: Iterable[Drawing | None]) -> str:
    """Write the drawings that exist into `folder` and return them as HTML, two side by side."""
    return markup.pair("".join(drawing.write(folder) for drawing in drawings if drawing is not None))


def run_link(run_dir: Path, text: str, folder: Path) -> str | markup.Link:
    """Return `text` as a link from a page in `folder` to the page of a run; plain where it has none."""
    page = run_dir / files.PAGE
    return markup.Link(text, os.path.relpath(page, folder)) if page.exists() else text
