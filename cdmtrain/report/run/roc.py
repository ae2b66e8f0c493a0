"""ROC curves: each particle against the three others, and electrons against photons."""

from typing import Any

from matplotlib.axes import Axes

from cdmtrain.particles import ELECTRON, NAMES, PHOTON
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import DASH, fraction
from cdmtrain.report.run.curve_points import Floats, roc_points
from cdmtrain.runs.predictions import Predictions
from cdmtrain.runs.read import RunFiles

PAIR = "electron_photon"
UPPER_LEFT = "A curve nearer to the upper left corner is better; the area under it is 1 at best and 0.5 for guessing."


def draw_rocs(run: RunFiles) -> list[Drawing]:
    """Draw the curves of all particles in one figure, and of electrons against photons in another."""
    if run.predictions is None:
        return []
    curves = {name: roc_curve(run.predictions, name) for name in (*NAMES, PAIR)}
    known = {name: curve for name, curve in curves.items() if len(curve[0])}
    pair = known.pop(PAIR, None)
    drawings = [_draw_particles(run, known)] if known else []
    return [*drawings, _draw_pair(run, *pair)] if pair else drawings


def roc_curve(predictions: Predictions, name: str) -> tuple[Floats, Floats]:
    """Return the curve of a particle, or of the electron-photon pair.

    A particle's score is its softmax probability. For the pair it is p(e) / (p(e) + p(photon)), for true electrons and
    photons alone; an event where both vanish counts as a photon.
    """
    truth, probability = predictions.class_index, predictions.probability
    if name != PAIR:
        index = NAMES.index(name)
        return roc_points(probability[:, index], truth == index)
    in_pair = (truth == ELECTRON.class_index) | (truth == PHOTON.class_index)
    electron, photon = probability[in_pair, ELECTRON.class_index], probability[in_pair, PHOTON.class_index]
    score = electron / (electron + photon).clip(min=1e-300)
    return roc_points(score, truth[in_pair] == ELECTRON.class_index)


def roc_area(results: dict[str, Any], name: str) -> str:
    """Return the area under a curve of `roc_curve` as results.json has it."""
    return fraction(results.get("electron_photon_auc") if name == PAIR else (results.get("roc_auc") or {}).get(name))


def finish_roc(axes: Axes, guessing: str) -> None:
    """Draw the line of a network that guesses and set the limits."""
    style.diagonal(axes, guessing)
    axes.set(xlim=(-0.02, 1), ylim=(0, 1.02))


def _draw_particles(run: RunFiles, curves: dict[str, tuple[Floats, Floats]]) -> Drawing:
    figure, axes = style.new_plot("fraction of the other particles kept", "efficiency", height_inches=4.3)
    rows: Rows = [["particle", "background_fraction", "efficiency"]]
    areas = {name: roc_area(run.results, name) for name in curves}
    for name, (background, signal) in curves.items():
        axes.plot(background, signal, **style.PARTICLES[name].line, linewidth=2.2, label=f"{name}  {areas[name]}")
        rows += [[name, x, y] for x, y in zip(background, signal, strict=True)]
    finish_roc(axes, "guessing  0.5")
    style.legend(axes, loc="lower right", title="area under the curve")
    caption = (
        "Fraction of a particle's events kept (its efficiency) against the fraction of all other events kept, as the "
        f"cut on its softmax probability is loosened. {UPPER_LEFT}"
    )
    alternative = "ROC curves; areas: " + ", ".join(f"{name} {area}" for name, area in areas.items()) + "."
    return Drawing("roc", "ROC, one particle against the rest", caption, alternative, figure, rows)


def _draw_pair(run: RunFiles, background: Floats, signal: Floats) -> Drawing:
    figure, axes = style.new_plot("fraction of photons kept", "fraction of electrons kept", height_inches=4.3)
    area, colour = roc_area(run.results, PAIR), style.PARTICLES["electron"].colour
    axes.fill_between(background, signal, color=colour, alpha=0.10, linewidth=0)
    label = "electron against photon" if area == DASH else f"electron against photon  {area}"
    axes.plot(background, signal, color=colour, linewidth=2.2, label=label)
    finish_roc(axes, "guessing  0.5")
    style.legend(axes, loc="lower right", title="area under the curve")
    caption = f"The same for true electrons and photons alone, by the score p(e) / (p(e) + p(γ)). {UPPER_LEFT}"
    rows: Rows = [["photons_kept", "electrons_kept"], *zip(background, signal, strict=True)]
    alternative = f"ROC curve of electrons against photons; area {area}."
    return Drawing("electron_photon_roc", "Electron against photon", caption, alternative, figure, rows)
