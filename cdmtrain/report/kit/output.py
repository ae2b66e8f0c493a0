"""Write a figure into files of the formats that are wanted."""

import gc
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from cdmtrain.atomic import whole_file
from cdmtrain.report.kit.formats import formats
from cdmtrain.report.kit.png import png_bytes

METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}  # the same figure gives the same bytes


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Search for no garbage meanwhile: figures are many small objects in use, and each search takes longer."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def write_figure(figure: Figure, folder: Path, name: str) -> bytes:
    """Write a figure into a folder in every format that is wanted; return it as PNG."""
    picture = png_bytes(figure)
    for kind in formats.get():
        with whole_file(folder / f"{name}.{kind}", synced=False) as temporary:
            temporary.write_bytes(picture if kind == "png" else _vectors(figure, kind))
    return picture


def _vectors(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "cdmtrain"}):  # of the names inside an SVG
        figure.savefig(buffer, format=kind, metadata=METADATA[kind])
    return buffer.getvalue()
