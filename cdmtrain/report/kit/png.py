"""A figure as the bytes of a PNG file (W3C, Portable Network Graphics, third edition, sections 5 and 11)."""

import struct
import threading
import zlib
from functools import lru_cache

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure

INCHES_PER_METRE = 1 / 0.0254
NUM_SIZES = 8  # of the figures of a page
NO_FILTER = 0  # of a row; Pillow tries five for every row, which takes three times as long


class Renderers(threading.local):
    """The renderers of a thread, one for each size of a figure; each knows the texts that it has drawn."""

    def __init__(self) -> None:
        self.of_size = lru_cache(maxsize=NUM_SIZES)(RendererAgg)


renderers = Renderers()


class Canvas(FigureCanvasAgg):
    """A canvas whose renderer has drawn other figures: its buffer and the extents of texts are there already."""

    def get_renderer(self) -> RendererAgg:
        return renderers.of_size(*self.get_width_height(physical=True), self.figure.dpi)


def png_bytes(figure: Figure) -> bytes:
    """Draw a figure and return it as a PNG file; the same bytes for the same figure."""
    canvas = Canvas(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    height, width, channels = pixels.shape
    rows = np.full((height, 1 + width * channels), NO_FILTER, dtype=np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits a channel, of red, green, blue and alpha
    per_metre = round(figure.dpi * INCHES_PER_METRE)
    chunks = {
        b"IHDR": header,
        b"pHYs": struct.pack(">IIB", per_metre, per_metre, 1),
        b"IDAT": zlib.compress(rows.data, level=3),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks.items())


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
