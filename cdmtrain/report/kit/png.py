"""A figure as the bytes of a PNG file (W3C, Portable Network Graphics, third edition, sections 5 and 11)."""

import struct
import threading
import zlib
from functools import lru_cache
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

INCHES_PER_METRE = 1 / 0.0254
NUM_SIZES = 8  # of the figures of a page
NUM_TEXTS = 1024  # of the figures of some pages; about 20 kB each
MARGIN = 2  # pixels around a text that smooth edges may reach
NO_FILTER = 0  # of a row; Pillow tries five for every row, which takes three times as long


class Stamp(NamedTuple):
    """A text as an image; it is drawn at whole pixels, so that the same image suits every place."""

    image: NDArray[np.uint8]  # (height, width, 4), the first row is the lowest
    left: int  # pixels from the origin of the text to the left edge
    bottom: int  # and to the lower edge


formulas = RendererAgg(1, 1, 100).mathtext_parser  # one for all renderers, as it remembers what it has parsed


class Renderer(RendererAgg):
    """Matplotlib's renderer, which makes the glyphs of a text once: of numbers at an axis few are new."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)
        self.mathtext_parser = formulas

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        key = (s, prop.copy(), angle, ismath, gc.get_rgb(), gc.get_alpha(), self.dpi)
        stamp = stamps(*key)
        if stamp is not None:
            self.draw_image(gc, round(x) + stamp.left, round(self.height - y) + stamp.bottom, stamp.image)


@lru_cache(maxsize=NUM_TEXTS)
def stamps(
    text: str, prop: FontProperties, angle: float, ismath: Any, colour: tuple, alpha: float, dpi: float
) -> Stamp | None:
    """Return a text of one line as an image; None where nothing is seen of it."""
    canvas = Renderer(1, 1, dpi)
    width, height, descent = canvas.get_text_width_height_descent(text, prop, ismath)
    turn = np.exp(1j * np.radians(angle))
    corners = turn * np.array(
        [x + 1j * y for x in (-MARGIN, width + MARGIN) for y in (-descent - MARGIN, height - descent + MARGIN)]
    )
    left, bottom = floor(corners.real.min()), floor(corners.imag.min())
    canvas = Renderer(ceil(corners.real.max()) - left, ceil(corners.imag.max()) - bottom, dpi)
    gc = canvas.new_gc()
    gc.set_foreground(colour, isRGBA=True)
    gc.set_alpha(alpha)
    RendererAgg.draw_text(canvas, gc, -left, canvas.height + bottom, text, prop, angle, ismath)
    image = np.asarray(canvas.buffer_rgba())[::-1]
    return Stamp(image.copy(), left, bottom) if image[..., 3].any() else None


class Renderers(threading.local):
    """The renderers of a thread, one for each size of a figure; each knows the texts that it has drawn."""

    def __init__(self) -> None:
        self.of_size = lru_cache(maxsize=NUM_SIZES)(Renderer)


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
    rows = np.empty((height, 1 + width * channels), dtype=np.uint8)
    rows[:, 0], rows[:, 1:] = NO_FILTER, pixels.reshape(height, -1)
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
