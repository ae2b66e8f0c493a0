"""The gallery of the most confident mistakes: a row a particle, each event as the network saw it."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cdmtrain.particles import PARTICLES, Particle
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.event_display import LEAST_MEV, NIGHT, draw_event, lighter, new_panel, side_of
from cdmtrain.report.kit.numbers import percent
from cdmtrain.report.run_files import Mistakes, RunFiles

NUM_COLUMNS = 3
PANEL_DOTS = 290  # about so wide is a panel: three fill a phone
GAP_INCHES, TITLE_INCHES = 0.08, 0.3
BAR_CM = 10


def draw_mistakes(run: RunFiles) -> Drawing | None:
    """Draw the events of each particle that were given another name most surely."""
    mistakes = run.mistakes
    if mistakes is None:
        return None
    by_particle = [np.flatnonzero(mistakes.class_index == particle.class_index) for particle in PARTICLES]
    shown = [rows[:NUM_COLUMNS] for rows in by_particle if len(rows)]
    images = mistakes.images[np.concatenate(shown)]
    side = min(images.shape[-1], max(map(side_of, images)))
    norm = LogNorm(LEAST_MEV, max(2 * LEAST_MEV, float(images.max())))
    panel = side * max(1, round(PANEL_DOTS / side)) / style.DPI  # a pixel is a whole number of dots
    figure = _new_figure(len(shown), panel)
    for row, events in enumerate(shown):
        for column, event in enumerate(events):
            bottom = GAP_INCHES + (len(shown) - 1 - row) * (panel + TITLE_INCHES)
            axes = new_panel(figure, GAP_INCHES + column * (panel + GAP_INCHES), bottom, panel)
            draw_event(axes, mistakes.images[event], side, norm, bar_cm=BAR_CM if row == column == 0 else None)
            _write_title(axes, mistakes, int(event))
    words = (
        "The events of each particle that were given another name most surely, with that name's probability. Colour "
        f"is energy from {LEAST_MEV:g} (dark) to {norm.vmax:.3g} MeV (bright), logarithmic; every window shows "
        f"{side} x {side} pixels, placed where the energy is."
    )
    table = _rows(mistakes)
    alternative = "The most confident mistakes: " + "; ".join(_sentence(mistakes, e) for rows in shown for e in rows)
    return Drawing("mistakes", "The most confident mistakes", words, f"{alternative}.", figure, table)


def _new_figure(num_rows: int, panel: float) -> Figure:
    width = NUM_COLUMNS * (panel + GAP_INCHES) + GAP_INCHES
    return style.new_figure(
        width_inches=width, height_inches=num_rows * (panel + TITLE_INCHES) + GAP_INCHES, colour=NIGHT
    )


def _said(mistakes: Mistakes, event: int) -> tuple[Particle, float]:
    place = int(mistakes.probability[event].argmax())
    return PARTICLES[place], float(mistakes.probability[event, place])


def _write_title(axes: Axes, mistakes: Mistakes, event: int) -> None:
    """Write `truth -> name 98%` in symbols above an event, in the colour of the truth."""
    truth, (said, probability) = PARTICLES[mistakes.class_index[event]], _said(mistakes, event)
    title = f"{truth.latex} → {said.latex}  {100 * probability:.0f}%"
    axes.set_title(title, fontsize=style.FONT_SIZE, color=lighter(style.COLOURS[truth.name]), pad=4)


def _sentence(mistakes: Mistakes, event: int) -> str:
    said, probability = _said(mistakes, event)
    return f"a {PARTICLES[mistakes.class_index[event]].name} called {said.name} with {percent(probability)}"


def _rows(mistakes: Mistakes) -> Rows:
    rows: Rows = [["index", "truth", "called", "probability", "lit_pixels", "deposited_energy_mev"]]
    for event, image in enumerate(mistakes.images):
        said, probability = _said(mistakes, event)
        truth = PARTICLES[mistakes.class_index[event]].name
        lit, energy = int((image > 0).sum()), float(image.sum(dtype=np.float64))
        rows.append([int(mistakes.index[event]), truth, said.name, probability, lit, energy])
    return rows
