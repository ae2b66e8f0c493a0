"""ROC curves: each particle against the rest, and electron against photon alone."""

from matplotlib.axes import Axes

from cdmtrain.particles import ELECTRON, PARTICLES, PHOTON
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import DASH, fraction
from cdmtrain.report.run.curve_points import roc_points
from cdmtrain.report.run_files import RunFiles


def draw_roc(run: RunFiles) -> Drawing | None:
    """Draw the curve of every particle against the three others; areas are those of results.json."""
    if run.predictions is None:
        return None
    figure = style.new_figure(height_inches=4.3)
    axes = style.new_axes(figure, "fraction of the other particles kept", "efficiency", bottom=0.13)
    areas: dict[str, str] = {}
    rows: Rows = [["particle", "background_fraction", "efficiency"]]
    for particle in PARTICLES:
        score = run.predictions.probability[:, particle.class_index]
        background, signal = roc_points(score, run.predictions.class_index == particle.class_index)
        if not len(signal):
            continue
        name = particle.name
        areas[name] = fraction((run.results.get("roc_auc") or {}).get(name))
        colour, dash = style.COLOURS[name], style.DASHES[name]
        axes.plot(background, signal, color=colour, linestyle=dash, linewidth=2.2, label=f"{name}  {areas[name]}")
        rows += [[name, x, y] for x, y in zip(background, signal, strict=True)]
    if not areas:
        return None
    _finish(axes, title="area under the curve")
    words = "Each particle against the three others: the score is its softmax probability. Upper left is best."
    alternative = "ROC curves; areas: " + ", ".join(f"{name} {area}" for name, area in areas.items()) + "."
    return Drawing("roc", "ROC, one particle against the rest", words, alternative, figure, rows)


def draw_electron_photon_roc(run: RunFiles) -> Drawing | None:
    """Draw electron against photon: score p_e / (p_e + p_gamma), only true electrons and photons."""
    if run.predictions is None:
        return None
    truth, probability = run.predictions.class_index, run.predictions.probability
    pair = (truth == ELECTRON.class_index) | (truth == PHOTON.class_index)
    electron, photon = probability[pair, ELECTRON.class_index], probability[pair, PHOTON.class_index]
    total = electron + photon
    score = electron / total.clip(min=1e-300)  # both zero: score 0, as likely a photon
    background, signal = roc_points(score, truth[pair] == ELECTRON.class_index)
    if not len(signal):
        return None
    figure = style.new_figure(height_inches=4.3)
    axes = style.new_axes(figure, "fraction of photons kept", "fraction of electrons kept", bottom=0.13)
    area = fraction(run.results.get("electron_photon_auc"))
    label = "electron against photon" if area == DASH else f"electron against photon  {area}"
    axes.fill_between(background, signal, color=style.COLOURS["electron"], alpha=0.10, linewidth=0)
    axes.plot(background, signal, color=style.COLOURS["electron"], linewidth=2.2, label=label)
    _finish(axes, title="area under the curve")
    words = "True electrons and photons only, by the score p(e) / (p(e) + p(γ)). Upper left is best."
    rows: Rows = [["photons_kept", "electrons_kept"], *zip(background, signal, strict=True)]
    alternative = f"ROC curve of electrons against photons; area {area}."
    return Drawing("electron_photon_roc", "Electron against photon", words, alternative, figure, rows)


def _finish(axes: Axes, *, title: str) -> None:
    style.diagonal(axes, "guessing  0.5")
    axes.set_xlim(-0.02, 1)
    axes.set_ylim(0, 1.02)
    style.legend(axes, place="lower right", title=title)
