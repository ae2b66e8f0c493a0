"""Accuracy against what it costs, and against the number of training events: which architecture to choose."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from cdmtrain.report.kit import style
from cdmtrain.report.kit.metrics import Metric, metric_named
from cdmtrain.report.kit.numbers import fraction
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.style import legend_below, log_axis, new_plot_for_rows, numbered, row_style
from cdmtrain.report.leaderboard.ranking import LOWER_IS_BETTER, Leaderboard, MeanSpread, Row
from cdmtrain.report.leaderboard.tables import TRAIN_EVENTS

COSTS = {  # key -> name on the axis, unit
    "parameters": ("parameters", 1.0),
    "train_seconds": ("training time (s)", 1.0),
    "peak_memory_bytes": ("peak memory (MB)", 1e6),
    "events_per_second": ("training events/s", 1.0),
}


def draw_costs(board: Leaderboard) -> list[Drawing]:
    """Draw the accuracy of every row against each cost; nothing for a single row."""
    drawings = []
    for key in COSTS if len(board.ranked) > 1 else ():
        known = [(index, row) for index, row in enumerate(board.ranked) if (row.metric(key).mean or 0) > 0]
        if any(row.metric("val_accuracy").mean is not None for _, row in known):
            drawings.append(_draw_cost(key, known))
    return drawings


def _draw_cost(key: str, known: Sequence[tuple[int, Row]]) -> Drawing:
    xlabel, unit = COSTS[key]
    figure, axes = new_plot_for_rows(xlabel, "accuracy", len(known))
    rows: Rows = [["rank", "configuration", key, "val_accuracy", "val_spread", "test_accuracy", "test_spread"]]
    values = []
    for index, row in known:
        cost, validation, test = (row.metric(name) for name in (key, "val_accuracy", "accuracy"))
        rows.append([index + 1, row.name, cost.mean, *validation, *test])
        values.append(f"{row.name} {fraction(validation.mean)} at {metric_named(key).write(cost.mean)}")
    for index, row in known[: style.MOST_NAMED]:
        _plot_accuracy(axes, key, [row], row_style(index), numbered(index, row.name))
    others = [row for _, row in known[style.MOST_NAMED :]]  # at once: each call of matplotlib costs 5 ms
    _plot_accuracy(axes, key, others, style.LineStyle(style.GREY, ".", ""), "the others")
    frontier = ", ".join(str(index + 1) for index in _plot_frontier(axes, key, known, unit))
    log_axis(axes)
    legend_below(axes)
    caption = (
        "Filled: validation, by which one chooses; open: test; bars: spread"
        f"{f'; grey: the {len(others)} rows below' if others else ''}. On the dashed line nothing "
        f"{'faster' if key == 'events_per_second' else 'cheaper'} is as accurate: {frontier}."
    )
    title = f"Accuracy against {metric_named(key).title}"
    alternative = f"{title}, validation: {'; '.join(values)}."
    return Drawing(f"accuracy_{key}", title, caption, alternative, figure, rows)


def _plot_accuracy(axes: Axes, key: str, rows: Sequence[Row], line: style.LineStyle, name: str) -> None:
    """Plot the accuracy of rows against a cost: filled for validation events, open for test events."""
    costs = [(row.metric(key).mean or 0) / COSTS[key][1] for row in rows]
    tests = [(x, test) for x, row in zip(costs, rows, strict=True) if (test := row.metric("accuracy").mean) is not None]
    look: dict[str, Any] = {**line.points, "linestyle": "", "markerfacecolor": "white", "markersize": 7}
    axes.plot([x for x, _ in tests], [test for _, test in tests], **look, zorder=3)
    _plot(axes, [(x, row.metric("val_accuracy")) for x, row in zip(costs, rows, strict=True)], line, name, linestyle="")


def _plot(
    axes: Axes, points: Sequence[tuple[float, MeanSpread]], line: style.LineStyle, name: str, **more: Any
) -> None:
    """Plot means with their spread, as far as they are known."""
    known = [(x, found.mean, found.spread or 0) for x, found in points if found.mean is not None]
    if known:
        x, mean, spread = zip(*known, strict=True)
        axes.errorbar(x, mean, yerr=spread, **{**line.points, **more}, markersize=7, capsize=3, label=name, zorder=4)


def _plot_frontier(axes: Axes, key: str, known: Sequence[tuple[int, Row]], unit: float) -> list[int]:
    """Draw the line above which no cheaper row is, and return the indices of the rows on it."""
    sign = -1 if key == "events_per_second" else 1
    points = sorted(
        (sign * cost, -accuracy, index)
        for index, row in known
        if (cost := row.metric(key).mean) is not None and (accuracy := row.metric("val_accuracy").mean) is not None
    )
    best: list[tuple[float, float, int]] = []
    for point in points:
        if not best or point[1] < best[-1][1]:
            best.append(point)
    x, y = [sign * cost / unit for cost, _, _ in best], [-accuracy for _, accuracy, _ in best]
    axes.plot(x, y, color=style.GREY, linestyle=style.THIN_DASHED, linewidth=1.0, zorder=2)
    return [index for _, _, index in best]


def draw_learning_curves(board: Leaderboard) -> list[Drawing]:
    """Draw test metrics against the number of training events, where rows differ in it."""
    key = "data.train_events"
    if not any(key in row.differing for row in board.ranked):
        return []
    curves: dict[str, list[Row]] = {}
    for row in board.ranked:
        others = [
            value if name == "model" else f"{name}={value}" for name, value in row.differing.items() if name != key
        ]
        curves.setdefault(", ".join(others) or "all", []).append(row)
    keys = ("accuracy", "cross_entropy", *(pair.key for pair in board.pairs))
    return [_draw_curves(curves, metric_named(key)) for key in keys]


def _draw_curves(curves: dict[str, list[Row]], metric: Metric) -> Drawing:
    figure, axes = new_plot_for_rows(TRAIN_EVENTS.title, f"test {metric.title}", len(curves))
    rows: Rows = [["configuration", "train_events", "test_mean", "test_spread", "val_mean", "val_spread"]]
    values = []
    for index, (name, members) in enumerate(curves.items()):
        points = sorted((row.metric("train_events").mean or 0, row.name, row) for row in members)
        known = [(x, row.metric(metric.key), row.metric(f"val_{metric.key}")) for x, _, row in points if x > 0]
        known = [point for point in known if point[1].mean is not None]
        _plot(axes, [(x, test) for x, test, _ in known], row_style(index), name, linewidth=1.6)
        rows += [[name, x, *test, *validation] for x, test, validation in known]
        if known:
            values.append(f"{name} from {fraction(known[0][1].mean)} to {fraction(known[-1][1].mean)}")
    log_axis(axes)
    legend_below(axes)
    better = "lower" if metric.key in LOWER_IS_BETTER else "higher"
    caption = (
        f"Mean and spread on test events; {better} is better. A curve that still changes at its right end would profit "
        "from more training events."
    )
    title = f"{metric.title.capitalize()} against training events"
    return Drawing(f"events_{metric.key}", title, caption, f"{title}: {'; '.join(values)}.", figure, rows)
