"""A figure as the bytes of a PNG file (W3C, Portable Network Graphics, third edition, sections 5 and 11)."""

import struct
import zlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INCHES_PER_METRE = 1 / 0.0254
NO_FILTER = 0  # of a row; Pillow tries five for every row, which takes three times as long


def png_bytes(figure: Figure) -> bytes:
    """Draw a figure and return it as a PNG file; the same bytes for the same figure."""
    canvas = FigureCanvasAgg(figure)
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
