"""The page of a pretraining: losses, what the network has filled in, and where its features put events."""

from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.figure import Figure

from cdmtrain.particles import Classes, names_of
from cdmtrain.report.kit import event_display, markup, style
from cdmtrain.report.kit.metrics import headline, metric_named
from cdmtrain.report.kit.numbers import fraction, percent, plural
from cdmtrain.report.kit.page import Drawing, Rows, figures, write_page
from cdmtrain.report.run import details, tables
from cdmtrain.report.run.curves import draw_training
from cdmtrain.runs import files
from cdmtrain.runs.pretrained import FilledIn, Pretrained
from cdmtrain.runs.read import RunFiles

COLUMNS = ("the event", "what the network saw", "what it filled in")
PANEL_INCHES, GAP_INCHES, TITLE_INCHES = 1.55, 0.07, 0.3
UNKNOWN = "unknown"
LIKELY = 0.25  # probability of a pixel that is drawn as lit
PROBED = ("probe_accuracy", "neighbours_accuracy")


def write_page_without_labels(run: RunFiles) -> Path:
    """Write report/index.html of a pretraining, with its figures beside it, and return the page's path."""
    folder = run.directory / files.REPORT
    losses = markup.pair(tables.losses_table(run.results).html()) if run.results else ""
    probe, *shown = drawings(run)
    filled, features = (figures(folder, [one]) for one in shown)
    return write_page(
        run.directory / files.PAGE,
        kind="cdmtrain pretraining",
        title=tables.title(run),
        head=_head(run),
        sections={
            "Training": figures(folder, [*draw_training(run), probe]) + losses,
            "What it filled in": filled,
            "Where the features put events": features,
            "What differs from the defaults": details.changed(run),
            "Details": details.details(run),
        },
        footer="All figures and tables of this page are beside it as PNG and CSV.",
    )


def drawings(run: RunFiles) -> list[Drawing | None]:
    """Draw the probe, what the network has filled in, and the map of its features; None for what the run lacks."""
    found = run.pretrained
    filled_in = found.filled_in if found else None
    return [
        draw_probe(run),
        draw_filled_in(filled_in, run.classes) if filled_in else None,
        draw_map(found, run.classes) if found else None,
    ]


def _head(run: RunFiles) -> list[str]:
    values = [(metric_named(key).text(run.results), name) for key, name in headline(run.results).items()]
    lead = f"To begin a training with what was learned: weights={run.directory}, and the same model."
    command = run.provenance.command or ""
    return [
        markup.element("p", tables.subtitle(run), "soft"),
        markup.element("p", tables.unfinished(run), "note"),
        markup.tiles(values) if "loss" in run.results else "",
        markup.element("p", lead if run.results else "", "lead"),
        markup.element("p", "To repeat it:", "soft") + markup.element("pre", command) if command else "",
    ]


def draw_probe(run: RunFiles) -> Drawing | None:
    """Draw the accuracies that the features allow in every epoch; None where nothing was measured."""
    known = {key: run.history[key] for key in PROBED if key in run.history}
    if not known:
        return None
    figure, axes = style.new_plot("epoch", "accuracy")
    style.whole_numbers(axes)
    for line, (key, values) in zip(style.DEFAULT_CLASSES, known.items(), strict=False):
        axes.plot(run.history["epoch"], values, **line.points, markersize=4, label=metric_named(key).title)
    style.legend(axes)
    caption = (
        "Accuracy on labelled events of a linear classifier on the features, and of their 20 nearest neighbours, in "
        "every epoch. The network has seen none of these labels."
    )
    last = ", ".join(f"{metric_named(key).title} {fraction(float(values[-1]))}" for key, values in known.items())
    alternative = f"Accuracies in the last epoch: {last}."
    rows: Rows = [["epoch", *known], *zip(run.history["epoch"], *known.values(), strict=True)]
    return Drawing("probe", "What the features are worth", caption, alternative, figure, rows)


def draw_filled_in(filled_in: FilledIn, classes: Classes) -> Drawing | None:
    """Draw events in rows: whole, as the network saw them, and with what it filled in; None without an event."""
    events = filled_in.energy_mev
    if not len(events):
        return None
    _, norm = event_display.shared_scale(list(events))
    likely = np.nan_to_num(filled_in.probability) > LIKELY
    expected = (filled_in.probability * filled_in.predicted_mev).clip(event_display.LEAST_MEV)
    guess = filled_in.seen_mev + np.where(likely, expected, 0)
    pitch = PANEL_INCHES + GAP_INCHES
    height = len(events) * pitch + TITLE_INCHES + GAP_INCHES
    night = event_display.new_night(height, len(COLUMNS) * pitch + GAP_INCHES)
    for row, images in enumerate(zip(events, filled_in.seen_mev, guess, strict=True)):
        side = min(event_display.window_side(events[row]), events.shape[1])
        bottom = height - TITLE_INCHES - (row + 1) * pitch + GAP_INCHES
        for column, (image, title) in enumerate(zip(images, COLUMNS, strict=True)):
            box = (GAP_INCHES + column * pitch, bottom, PANEL_INCHES)
            panel = event_display.draw_event(night, image, box, side, norm, window_of=events[row])
            if not row:
                panel.title(title, event_display.FAINT, font_size=style.SMALL)
            if not column:
                panel.scale_bar()
                _name(panel, filled_in.class_index[row], classes)
    lit = events > 0
    hidden, asked = lit & (filled_in.seen_mev == 0), np.isfinite(filled_in.probability)
    found = f"{percent((likely & hidden).sum() / max(hidden.sum(), 1))} of the hidden lit pixels are filled in, and "
    found += f"{percent((likely & lit).sum() / max(likely.sum(), 1))} of the pixels filled in are lit"
    caption = (
        "The first test events that are large enough; patches were hidden as in training. A pixel is filled in where "
        f"the network gives it more than {LIKELY:g}, with this probability times the energy that it predicts. In these "
        f"events {found}."
    )
    rows: Rows = [["event", "row", "column", "energy_mev", "seen_mev", "probability", "predicted_mev"]]
    for event, pixel_row, pixel_column in np.argwhere(asked | lit).tolist():
        at = event, pixel_row, pixel_column
        rows.append([*at, *(float(one[at]) for one in (events, filled_in.seen_mev, filled_in.probability))])
        rows[-1] = [*rows[-1], float(filled_in.predicted_mev[at])]
    alternative = f"{plural(len(events), 'event')}, whole, as seen and filled in: {found}."
    return Drawing("filled_in", "Masked events", caption, alternative, cast(Figure, night.figure), rows)


def _name(panel: event_display.Panel, class_index: int, classes: Classes) -> None:
    if class_index < 0:
        return
    name = classes[class_index].name
    colour = event_display.on_black(style.line_styles(names_of(classes))[name].colour)
    place = panel.left + 0.04 * panel.size, panel.bottom + 0.96 * panel.size
    panel.axes.text(*place, name, va="top", fontsize=style.SMALL, color=colour)


def draw_map(pretrained: Pretrained, classes: Classes) -> Drawing | None:
    """Draw the first two principal components of the features of events, in the colours of the particles."""
    position = pretrained.position
    if not len(position) or not np.isfinite(position).all():
        return None
    first, second = (
        f"principal component {number} ({percent(share)})" for number, share in enumerate(pretrained.share, 1)
    )
    names = [*names_of(classes), UNKNOWN]
    present = [index for index in (*range(len(classes)), -1) if (pretrained.class_index == index).any()]
    figure, axes = style.new_plot(first, second, height_inches=4.6, top=style.legend_inches(len(present)))
    styles = style.line_styles(names_of(classes))
    order = np.random.default_rng(0).permutation(len(position))  # so that no class lies on top of all others
    colours = np.array([*(styles[name].colour for name in names_of(classes)), style.GREY])
    x, y = position[order].T
    axes.scatter(x, y, s=5, c=list(colours[pretrained.class_index[order]]), alpha=0.6, linewidths=0)
    for index in present:
        axes.plot([], [], linestyle="", marker="o", markersize=4, color=colours[index], label=names[index])
    style.legend_above(axes)
    caption = (
        f"The features of {plural(len(position), 'event')}, as the network gives them without having seen a label, "
        "projected on the two directions in which they vary most. Colours are the true particles."
    )
    rows: Rows = [["truth", "component_1", "component_2"]]
    rows += [[names[index], *one] for index, one in zip(pretrained.class_index, position.tolist(), strict=True)]
    alternative = f"Map of {plural(len(position), 'event')} by the principal components of their features."
    return Drawing("map", "Map of features", caption, alternative, figure, rows)
