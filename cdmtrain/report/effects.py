"""How networks answer when the detector changes: figures with a panel for each effect, and a table."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table as TerminalTable

from cdmtrain.report.kit import style
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.tables import Table

Responses = Sequence[Mapping[str, Any]]  # those of probe.json, of one network
Value = Callable[[Mapping[str, Any]], Any]
LOSSES = (0.01, 0.05)  # of accuracy, in the table
COLUMNS = ("effect", "quantity", "strength", "events", "accuracy", "changed", "calibration_error")
QUANTITIES = {
    "accuracy": "accuracy",
    "changed": "share of changed answers",
    "calibration_error": "calibration error",
}
PANEL_INCHES, WIDTH_INCHES = 1.75, 6.4


def effects_table(networks: Mapping[str, Responses]) -> TerminalTable:
    """Return, for each effect and network, the strengths at which the accuracy has fallen by 1 % and by 5 %."""
    rows = []
    for effect in _names(networks):
        for name, responses in networks.items():
            several = _by_effect(responses)[effect]
            limits = [_strength_words(several, loss) for loss in LOSSES]
            rows.append([effect, name, several[0]["quantity"], *limits])
    header = ("effect", "network", "strength", *(f"accuracy\n-{100 * loss:.0f} %" for loss in LOSSES))
    return Table(header, rows, words=(0, 1, 2)).terminal()


def draw_effects(networks: Mapping[str, Responses]) -> list[Drawing]:
    """Draw accuracy, changed answers, calibration error and the efficiency of each class against the strength."""
    names, table = _names(networks), _rows(networks)
    drawings = []
    for key, words in QUANTITIES.items():
        pairs = [names[number : number + 2] for number in range(0, len(names), 2)]
        figure = _panels(networks, pairs, {"": itemgetter(key)})
        drawings.append(_drawing(f"effects_{key}", words, figure, table, networks))
    classes = list(next(iter(networks.values()))[0]["efficiency"])
    figure = _panels(networks, [[effect] for effect in names], {name: _efficiency(name) for name in classes})
    return [*drawings, _drawing("effects_efficiency", "efficiency of each particle", figure, table, networks)]


def strength_of_loss(responses: Responses, loss: float) -> float | None:
    """Return the strength of one effect at which the accuracy has first fallen by `loss`, interpolated; None for none.

    Of two directions, such as lower and higher energies, the nearer one counts.
    """
    start = next(one["accuracy"] for one in responses if one["strength"] == 0)
    found = []
    for sign in (1, -1):
        outward = sorted((sign * one["strength"], start - one["accuracy"]) for one in responses)
        for (near, before), (far, after) in pairwise([pair for pair in outward if pair[0] >= 0]):
            if before < loss <= after:
                found.append(sign * (near + (far - near) * (loss - before) / (after - before)))
                break
    return min(found, key=abs, default=None)


def _efficiency(name: str) -> Value:
    return lambda one: one["efficiency"][name]


def _strength_words(responses: Responses, loss: float) -> str:
    strength = strength_of_loss(responses, loss)
    if strength is not None:
        return f"{strength:.2g}"
    return f"> {max(one['strength'] for one in responses):g}"


def _panels(
    networks: Mapping[str, Responses],
    effects: Sequence[Sequence[str]],
    values: Mapping[str, Value],
) -> Figure:
    """Return panels: a row for each row of effects, and for each effect a column for each value; a line a network."""
    columns = max(map(len, effects)) * len(values)
    legend = 0.25 * len(networks) * (len(networks) > 1)
    height = PANEL_INCHES * len(effects) + legend + 0.3
    figure = style.new_figure(height, WIDTH_INCHES)
    edges = {"left": 0.09, "right": 0.98, "bottom": (0.5 + legend) / height, "top": 1 - 0.3 / height}
    figure.subplots_adjust(**edges, wspace=0.32 if columns < 3 else 0.12, hspace=0.75)
    grid = figure.subplots(len(effects), columns, squeeze=False, sharey="all")
    for axes_row, row in zip(grid, effects, strict=True):
        panels = [(effect, title, value) for effect in row for title, value in values.items()]
        for axes in axes_row[len(panels) :]:
            axes.set_visible(False)
        for axes, (effect, title, value) in zip(axes_row, panels, strict=False):
            style.dress(axes)
            for number, responses in enumerate(networks.values()):
                several = _by_effect(responses)[effect]
                points = [one["strength"] for one in several], [value(one) for one in several]
                axes.plot(*points, **style.row_style(number).points, markersize=3.5, linewidth=1.4)
            axes.set_title(f"{effect} {title}".strip(), fontsize=style.SMALL, color=style.INK, pad=3)
            axes.set_xlabel(several[0]["quantity"], fontsize=7.5, color=style.GREY, labelpad=1)
            axes.tick_params(labelsize=7.5)
            axes.locator_params(nbins=5)
    if len(networks) > 1:
        figure.legend(
            grid[0, 0].get_lines(), list(networks), loc="lower center", ncols=1, fontsize=style.SMALL, frameon=False
        )
    return figure


def _drawing(name: str, words: str, figure: Figure, table: Rows, networks: Mapping[str, Responses]) -> Drawing:
    title = f"{words[0].upper()}{words[1:]} against the strength of detector effects"
    falls = [f"{name} {effect} {_strength_words(several, LOSSES[1])}" for name, responses in networks.items()
             for effect, several in _by_effect(responses).items()]  # fmt: skip
    caption = (
        f"The {words} for the same test events, seen by another detector: one panel for each effect, the strength of "
        "the effect along the axis; 0 is the unchanged event."
    )
    return Drawing(name, title, caption, f"Strength that costs 5 % of accuracy: {'; '.join(falls)}.", figure, table)


def _rows(networks: Mapping[str, Responses]) -> Rows:
    classes = list(next(iter(networks.values()))[0]["efficiency"])
    rows: Rows = [["network", *COLUMNS, *(f"efficiency_{name}" for name in classes)]]
    for name, responses in networks.items():
        for one in responses:
            rows.append([name, *(one[column] for column in COLUMNS), *(one["efficiency"][key] for key in classes)])
    return rows


def _by_effect(responses: Responses) -> dict[str, list[Mapping[str, Any]]]:
    return {effect: list(several) for effect, several in groupby(responses, key=lambda one: one["effect"])}


def _names(networks: Mapping[str, Responses]) -> list[str]:
    return list(_by_effect(next(iter(networks.values()))))
