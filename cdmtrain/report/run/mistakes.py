"""The gallery of the most confident mistakes: a row for each true particle, each event as the network saw it."""

import numpy as np

from cdmtrain.particles import PARTICLES, Particle
from cdmtrain.report.kit import event_display, style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import percent
from cdmtrain.runs.predictions import Mistakes
from cdmtrain.runs.read import RunFiles

NUM_COLUMNS = 3
PANEL_DOTS = 290  # about the width of a panel: three fill a phone
GAP_INCHES, TITLE_INCHES = 0.08, 0.3


def draw_mistakes(run: RunFiles) -> Drawing | None:
    """Draw the events of each particle that the network was most certain to be another particle."""
    mistakes = run.mistakes
    if mistakes is None:
        return None
    by_particle = [np.flatnonzero(mistakes.class_index == particle.class_index) for particle in PARTICLES]
    chosen = [events[:NUM_COLUMNS] for events in by_particle if len(events)]
    side, norm = event_display.shared_scale(list(mistakes.images[np.concatenate(chosen)]))
    panel = side * max(1, round(PANEL_DOTS / side)) / style.DPI  # a pixel is a whole number of dots
    pitch, width = panel + TITLE_INCHES, NUM_COLUMNS * (panel + GAP_INCHES) + GAP_INCHES
    figure = style.new_figure(len(chosen) * pitch + GAP_INCHES, width, event_display.NIGHT)
    for row, events in enumerate(chosen):
        for column, event in enumerate(events):
            box = (GAP_INCHES + column * (panel + GAP_INCHES), GAP_INCHES + (len(chosen) - 1 - row) * pitch, panel)
            axes = event_display.draw_event(figure, mistakes.images[event], box, side, norm)
            truth, predicted, probability = _names(mistakes, event)
            colour = event_display.on_black(style.PARTICLES[truth.name].colour)
            title = f"{truth.latex} → {predicted.latex}  {100 * probability:.0f}%"
            axes.set_title(title, fontsize=style.FONT_SIZE, color=colour, pad=4)
            if row == column == 0:
                event_display.draw_scale_bar(axes)
    caption = (
        "The events of each particle (a row each) that the network was most certain to be another particle. Above "
        "each: true → predicted particle and the predicted one's probability. Colour is energy, logarithmic from "
        f"{event_display.LEAST_MEV:g} (dark) to {norm.vmax:.3g} MeV (bright); each window is {side} x {side} pixels."
    )
    sentences = [_sentence(*_names(mistakes, event)) for events in chosen for event in events]
    alternative = f"The most confident mistakes: {'; '.join(sentences)}."
    return Drawing("mistakes", "The most confident mistakes", caption, alternative, figure, _rows(mistakes))


def _names(mistakes: Mistakes, event: int) -> tuple[Particle, Particle, float]:
    """Return the true particle of an event, the predicted one and its probability."""
    predicted = int(mistakes.probability[event].argmax())
    truth = PARTICLES[mistakes.class_index[event]]
    return truth, PARTICLES[predicted], float(mistakes.probability[event, predicted])


def _sentence(truth: Particle, predicted: Particle, probability: float) -> str:
    return f"a {truth.name} classified as {predicted.name} with {percent(probability)}"


def _rows(mistakes: Mistakes) -> Rows:
    rows: Rows = [["index", "truth", "called", "probability", "lit_pixels", "deposited_energy_mev"]]
    for event, image in enumerate(mistakes.images):
        truth, predicted, probability = _names(mistakes, event)
        lit, energy = int((image > 0).sum()), float(image.sum(dtype=np.float64))
        rows.append([int(mistakes.index[event]), truth.name, predicted.name, probability, lit, energy])
    return rows
