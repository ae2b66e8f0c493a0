"""A run as a notebook shows it: one line, a table, columns of its predictions, and the figures of its page."""

import numpy as np
from matplotlib.figure import Figure

from cdmtrain.errors import InputError
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.columns import Columns
from cdmtrain.report.kit.numbers import count, percent, plural
from cdmtrain.report.kit.tables import Table
from cdmtrain.report.run import tables
from cdmtrain.report.run.confusion import confusion_matrix, row_fractions
from cdmtrain.report.run.page import drawings
from cdmtrain.runs.read import RunFiles
from cdmtrain.terminal import printable


def one_line(run: RunFiles) -> str:
    """Return `<run outputs/train/cnn/...: cnn on simulated, finished, 10 epochs, test accuracy 70.1%>`."""
    epochs, accuracy = run.results.get("epochs"), run.results.get("accuracy")
    parts = [tables.title(run), run.state]
    parts += [plural(epochs, "epoch")] if epochs else []
    parts += [f"test accuracy {percent(accuracy)}"] if accuracy is not None else []
    return printable(f"<run {run.directory}: {', '.join(parts)}>")


def summary_html(run: RunFiles) -> str:
    """Return the title, the metrics of each particle and of all, and the confusion matrix as HTML, escaped."""
    parts = [
        markup.element("h3", tables.title(run)),
        markup.element("p", tables.subtitle(run)),
        markup.element("p", tables.unfinished(run) or run.problem or ""),
    ]
    if "loss" in run.results:
        parts.append(tables.losses_table(run.results).html())
    elif run.results:
        parts += [tables.overall_table(run.results).html(), tables.particle_table(run.results, run.class_names).html()]
    counts = confusion_matrix(run)
    if counts is not None:
        cells = [
            [f"{percent(share)} ({count(number)})" for share, number in zip(*row, strict=True)]
            for row in zip(row_fractions(counts).tolist(), counts.tolist(), strict=True)
        ]
        rows = [[name, *row] for name, row in zip(run.class_names, cells, strict=True)]
        parts.append(Table(["true \\ predicted", *run.class_names], rows, classes=run.class_names).html())
    return "".join([*parts, markup.element("p", str(run.directory))])


def prediction_columns(run: RunFiles) -> Columns:
    """Return a row for each test event of a known particle, as `task=predict` writes them to a table.

    Columns: index (in the event file), particle (the most probable), the probability of each particle, truth,
    lit_pixels, deposited_energy_mev, and kinetic_energy_mev, vertex_px_0 (row), vertex_px_1 (column) where the file
    has them. Empty where the run has no predictions.
    """
    events = run.predictions
    if events is None:
        return Columns()
    names = np.array(run.class_names)
    columns = Columns() if events.index is None else Columns(index=events.index)
    columns["particle"] = names[events.probability.argmax(axis=1)]
    columns |= dict(zip(run.class_names, events.probability.T, strict=True))
    columns["truth"] = names[events.class_index]
    columns |= {"lit_pixels": events.lit_pixels, "deposited_energy_mev": events.deposited_energy_mev}
    if events.kinetic_energy_mev is not None:
        columns["kinetic_energy_mev"] = events.kinetic_energy_mev
    if events.vertex_px is not None:
        columns["vertex_px_0"], columns["vertex_px_1"] = events.vertex_px.T
    return columns


def figure_named(run: RunFiles, name: str) -> Figure:
    """Return the figure of the page whose files have this name.

    Raises:
        InputError: where the page has none, with the names of those that it has.
    """
    found = {drawing.name: drawing.figure for drawing in drawings(run)}
    if name not in found:
        has = f"the page has {', '.join(found)}" if found else "its page has no figure yet"
        raise InputError(f"{run.directory} has no figure {name!r}; {has}")
    return found[name]
