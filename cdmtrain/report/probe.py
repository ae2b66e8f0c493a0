"""How far a network's answers move under each perturbation, as a table and a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import count, is_number, percent

Movements = Sequence[Mapping[str, Any]]  # those of probe.json

COLUMNS = ("group", "perturbation", "note", "events", "changed", "total_variation", "accuracy_before", "accuracy")
BAR_INCHES = 0.3


def probe_table(movements: Movements) -> Table:
    """Return what moved, in 80 columns; what does not apply has a dash and a reason below."""
    table = Table(
        title="What moves the network's answers", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD
    )
    table.add_column("")
    for column in ("events", "other\nname", "total\nvariation", "accuracy\nbefore", "after"):
        table.add_column(column, justify="right")
    group = movements[0]["group"]
    for one in movements:
        if one["group"] != group:
            table.add_section()
            group = one["group"]
        table.add_row(
            one["perturbation"],
            count(one["events"]),
            percent(one["changed"]),
            _variation(one["total_variation"]),
            percent(one["accuracy_before"]),
            percent(one["accuracy"]),
        )
    notes = [f"{one['perturbation']}: {one['note']}" for one in movements if one["note"]]
    table.caption, table.caption_justify = "\n".join(notes) or None, "left"
    return table


def draw_probe(movements: Movements, model: str) -> Drawing:
    """Draw for each perturbation the fraction of events that get another name and the mean total variation."""
    shown = [one for one in movements if not one["note"]]
    height = 1.25 + BAR_INCHES * len(shown)
    figure = style.new_figure(height_inches=height, width_inches=6.0)
    axes = figure.add_axes((0.36, 0.62 / height, 0.60, 1 - 1.25 / height))
    figure.suptitle(
        f"What moves {model}",
        x=0.02,
        y=1 - 0.08 / height,
        ha="left",
        va="top",
        fontsize=style.FONT_SIZE,
        color=style.INK,
    )
    style.dress(axes)
    axes.grid(axis="y", visible=False)
    places = list(range(len(shown)))
    changed = [one["changed"] for one in shown]
    axes.barh(places, changed, height=0.62, color=style.COLOURS["electron"], label="another name")
    variation = [one["total_variation"] for one in shown]
    axes.plot(
        variation, places, "D", color=style.BEST, markersize=5, linestyle="none", clip_on=False, label="total variation"
    )
    axes.set_yticks(places, [one["perturbation"] for one in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.05, *changed, *variation) * 1.05)
    axes.set_xlabel("fraction of events; mean variation", fontsize=style.FONT_SIZE, color=style.INK)
    style.legend_above(axes)
    words = (
        "For each change of an event, the fraction of events that get another particle's name, and how far the "
        "probabilities move: half the sum of their absolute differences, 0 where nothing moves, 1 where all does."
    )
    spans = [f"{one['perturbation']} {percent(one['changed'])}" for one in shown]
    rows: Rows = [list(COLUMNS), *([one[column] for column in COLUMNS] for one in movements)]
    return Drawing("probe", f"What moves {model}", words, f"Names changed: {', '.join(spans)}.", figure, rows)


def _variation(value: Any) -> str:
    """0.0312 -> 0.0312, but a rounding error of sums is 0: 3e-8 -> <0.0001."""
    if not is_number(value):
        return percent(None)
    return f"{value:.4f}" if value >= 1e-4 or value == 0 else "<0.0001"
