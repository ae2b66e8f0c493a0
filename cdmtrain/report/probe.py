"""How much a network's output changes under each perturbation, as a table and a figure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.table import Table as TerminalTable

from cdmtrain.report.kit import style
from cdmtrain.report.kit.numbers import count, fraction, percent
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.tables import Table

Sensitivities = Sequence[Mapping[str, Any]]  # those of probe.json

COLUMNS = ("group", "perturbation", "note", "events", "changed", "total_variation", "accuracy_before", "accuracy")
HEADER = ("", "events", "prediction\nchanged", "total\nvariation", "accuracy\nbefore", "after")


def probe_table(sensitivities: Sensitivities) -> TerminalTable:
    """Return the changes in 80 columns; a perturbation that does not apply has dashes, and the reason below."""
    rows = []
    for one in sensitivities:
        changed, before, after = (percent(one[key]) for key in ("changed", "accuracy_before", "accuracy"))
        variation = _variation(one["total_variation"])
        rows.append([one["perturbation"], count(one["events"]), changed, variation, before, after])
    table = Table(HEADER, rows, "How the network's output changes").terminal()
    for row, (one, following) in zip(table.rows, pairwise(sensitivities), strict=False):
        row.end_section = one["group"] != following["group"]
    notes = [f"{one['perturbation']}: {one['note']}" for one in sensitivities if one["note"]]
    table.caption, table.caption_justify = "\n".join(notes) or None, "left"
    return table


def draw_probe(sensitivities: Sensitivities, model: str) -> Drawing:
    """Draw, for each perturbation, the fraction of changed predictions and the mean total variation."""
    known = [one for one in sensitivities if not one["note"]]
    names, changed, variation = ([one[key] for one in known] for key in ("perturbation", "changed", "total_variation"))
    height, title = 1.25 + 0.3 * len(known), f"Sensitivity of {model}"
    figure = style.new_figure(height, width_inches=6.0)
    axes = style.new_axes(figure, "fraction of events; mean total variation", left=0.36, bottom=0.62, top=0.63)
    corner = {"x": 0.02, "y": 1 - 0.08 / height, "ha": "left", "va": "top"}
    figure.suptitle(title, **corner, fontsize=style.FONT_SIZE, color=style.INK)
    axes.grid(axis="y", visible=False)
    rows = range(len(known))
    axes.barh(rows, changed, height=0.62, color=style.ACCENT, label="prediction changed")
    axes.plot(variation, rows, "D", color=style.BEST, markersize=5, clip_on=False, label="total variation")
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.05, *changed, *variation) * 1.05)
    style.legend_above(axes)
    caption = (
        "For each perturbation of the events, the fraction whose predicted particle changes, and the total variation: "
        "half the sum of the absolute changes of the probabilities, between 0 (no change) and 1."
    )
    spans = ", ".join(f"{name} {percent(value)}" for name, value in zip(names, changed, strict=True))
    table: Rows = [list(COLUMNS), *([one[column] for column in COLUMNS] for one in sensitivities)]
    return Drawing("probe", title, caption, f"Predictions changed: {spans}.", figure, table)


def _variation(value: Any) -> str:
    """0.0312 -> 0.0312, but a rounding error such as 3e-8 -> <0.0001."""
    return "<0.0001" if value is not None and 0 < value < 1e-4 else fraction(value)
