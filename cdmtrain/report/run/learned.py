"""What a network has learned, drawn: its first kernels, its attention over an event, the graph it sees."""

from typing import cast

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cdmtrain.particles import Classes, names_of
from cdmtrain.report.kit import event_display, style
from cdmtrain.report.kit.event_display import Panel
from cdmtrain.report.kit.numbers import percent, plural
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.runs.predictions import Learned

MOST_KERNELS = 64
KERNEL = 0.9  # of the distance between two
NUM_COLUMNS = 2  # of events
PANEL_INCHES, GAP_INCHES, TITLE_INCHES = 2.3, 0.08, 0.3


def draw_learned(learned: Learned | None, classes: Classes) -> list[Drawing]:
    """Draw what a network shows of itself; nothing for one that shows nothing."""
    if learned is None:
        return []
    drawings = []
    if learned.kernel is not None:
        drawings.append(_draw_kernels(learned.kernel))
    if learned.attention is not None and len(learned.pixel):
        drawings.append(_draw_attention(learned, classes, learned.attention))
    if learned.edge is not None and len(learned.pixel):
        drawings.append(_draw_graph(learned, classes, learned.edge))
    return drawings


def _draw_kernels(kernel: NDArray[np.float32]) -> Drawing:
    shown = np.nan_to_num(kernel[:MOST_KERNELS])
    columns, largest = min(max(len(shown), 4), 8), float(np.abs(shown).max()) or 1.0
    num_rows, (height, width) = -(-len(shown) // columns), kernel.shape[1:]
    figure = style.new_figure(style.WIDTH_INCHES / columns * num_rows)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    for number, weights in enumerate(shown):
        row, left = divmod(number, columns)
        extent = (left * width, (left + KERNEL) * width, -row * height, (KERNEL - row) * height)
        axes.imshow(weights, cmap="RdBu_r", vmin=-largest, vmax=largest, origin="lower", extent=extent)
        axes.add_patch(Rectangle(extent[::2], KERNEL * width, KERNEL * height, fill=False, linewidth=0.8))
    axes.set(xlim=(-0.02 * width, (columns - 0.08) * width), ylim=((0.98 - num_rows) * height, 0.92 * height))
    axes.set_axis_off()
    size = f"{kernel.shape[1]} x {kernel.shape[2]}"
    some = f" (the first {MOST_KERNELS})" if len(kernel) > MOST_KERNELS else ""
    caption = (
        f"The weights of the first convolution: {plural(len(kernel), 'kernel')} of {size} pixels{some}. Red adds the "
        f"energy of a pixel to what the kernel looks for, blue subtracts it; the darkest is {largest:.3g}."
    )
    rows: Rows = [["kernel", "row", "column", "weight"]]
    rows += [[*place, weight] for place, weight in np.ndenumerate(kernel)]
    alternative = f"The first {plural(len(shown), 'kernel')} of {size} pixels as small images."
    return Drawing("kernels", "First kernels", caption, alternative, figure, rows)


def _draw_attention(learned: Learned, classes: Classes, attention: NDArray[np.float32]) -> Drawing:
    largest = np.zeros(len(learned.images))
    np.maximum.at(largest, learned.event, np.nan_to_num(attention))
    relative = np.zeros_like(learned.images)
    row, column = np.divmod(learned.pixel, relative.shape[2])
    relative[learned.event, row, column] = attention / largest[learned.event].clip(min=1e-30)
    figure, _ = _draw_events(learned, classes, relative, Normalize(0, 1))
    caption = (
        "How much the decision attends to each lit pixel, in the last layer and on the average of its heads, from dark "
        "(little) to bright (most in this event). The first test event of each particle."
    )
    rows: Rows = [["event", "truth", "row", "column", "attention"]]
    columns = (learned.event.tolist(), row.tolist(), column.tolist(), attention.tolist())
    rows += [[event, _truth(learned, classes, event), *others] for event, *others in zip(*columns, strict=True)]
    shares = [_share_of_tenth(attention[learned.event == event]) for event in range(len(relative))]
    words = ", ".join(f"{_truth(learned, classes, event)} {percent(share)}" for event, share in enumerate(shares))
    alternative = f"Attention over an event of each particle; share of the most attended tenth of its pixels: {words}."
    return Drawing("attention", "Attention over an event", caption, alternative, figure, rows)


def _share_of_tenth(attention: NDArray[np.float32]) -> float:
    """Return the share of the attention that the most attended tenth of the pixels has; NaN without attention."""
    most = np.sort(attention)[::-1][: -(-len(attention) // 10)]
    return float(most.sum() / total) if (total := attention.sum()) > 0 else np.nan


def _draw_graph(learned: Learned, classes: Classes, edge: NDArray[np.int64]) -> Drawing:
    place = np.stack(np.divmod(learned.pixel, learned.images.shape[2])[::-1], axis=1)  # column, row
    lines, event = place[edge.T], learned.event[edge[0]]
    _, norm = event_display.shared_scale(list(learned.images))
    figure, panels = _draw_events(learned, classes, learned.images, norm)
    for number, panel in enumerate(panels):
        ends = np.stack(panel.inches(*lines[event == number].T), axis=-1).swapaxes(0, 1)
        panel.axes.add_collection(LineCollection(list(ends), colors="#9ecbff", linewidths=0.6, alpha=0.7))
    caption = (
        "The graph that the network sees, over its event: a line joins two lit pixels that exchange messages. The "
        f"first test event of each particle; colour is energy, logarithmic from {event_display.LEAST_MEV:g} (dark) to "
        f"{norm.vmax:.3g} MeV (bright)."
    )
    counts = np.bincount(event, minlength=len(panels)).tolist()
    words = ", ".join(
        f"{_truth(learned, classes, number)} {plural(count, 'edge')}" for number, count in enumerate(counts)
    )
    rows: Rows = [["event", "truth", "from_column", "from_row", "to_column", "to_row"]]
    rows += [
        [one, _truth(learned, classes, one), *line.flatten()] for one, line in zip(event.tolist(), lines, strict=True)
    ]
    return Drawing("graph", "Graph over its event", caption, f"Graphs over their events: {words}.", figure, rows)


def _draw_events(
    learned: Learned, classes: Classes, images: NDArray[np.float32], norm: Normalize
) -> tuple[Figure, list[Panel]]:
    """Draw `images` in the windows of the events, two side by side; return the figure and the panel of each event."""
    side, _ = event_display.shared_scale(list(learned.images))
    num_rows = -(-len(images) // NUM_COLUMNS)
    height = num_rows * (PANEL_INCHES + TITLE_INCHES) + GAP_INCHES
    night = event_display.new_night(height, NUM_COLUMNS * (PANEL_INCHES + GAP_INCHES) + GAP_INCHES)
    styles, panels = style.line_styles(names_of(classes)), []
    for event, image in enumerate(images):
        row, column = divmod(event, NUM_COLUMNS)
        bottom = GAP_INCHES + (num_rows - 1 - row) * (PANEL_INCHES + TITLE_INCHES)
        box = (GAP_INCHES + column * (PANEL_INCHES + GAP_INCHES), bottom, PANEL_INCHES)
        panel = event_display.draw_event(night, image, box, side, norm, window_of=learned.images[event])
        particle = classes[learned.class_index[event]]
        colour = event_display.on_black(styles[particle.name].colour)
        panel.title(f"{particle.name}  {particle.latex}", colour)
        panels.append(panel)
    panels[0].scale_bar()
    return cast(Figure, night.figure), panels


def _truth(learned: Learned, classes: Classes, event: int) -> str:
    return classes[learned.class_index[event]].name
