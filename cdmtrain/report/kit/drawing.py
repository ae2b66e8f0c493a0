"""A figure with the words and the numbers that belong to it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

Rows = list[Sequence[Any]]  # of a table; the first row names the columns


@dataclass(frozen=True)
class Drawing:
    """One figure of the page, its picture and its numbers."""

    name: str  # of the files: name.png and name.csv
    title: str
    caption: str  # what the reader sees
    alternative: str  # what a reader who cannot see it is told
    figure: Figure
    rows: Rows  # what is drawn


def png_bytes(figure: Figure) -> bytes:
    """Return `figure` as PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def csv_text(rows: Rows) -> str:
    """Return `rows` as comma-separated values; an absent value is an empty field."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
