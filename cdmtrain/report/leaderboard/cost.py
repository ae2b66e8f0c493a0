"""Accuracy against what it costs, and against the number of training events: which architecture to choose."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import fraction
from cdmtrain.report.leaderboard.ranking import LOWER_IS_BETTER, Leaderboard, Row
from cdmtrain.report.leaderboard.row_style import Look, legend_below, log_axis, look_of, new_axes_with_legend, numbered
from cdmtrain.report.leaderboard.tables import TRAIN_EVENTS
from cdmtrain.report.run.metrics import COST, OVERALL, Quantity

COSTS = {quantity.key: quantity for quantity in COST}
DRAWN = (  # key, name on the axis, what it is divided by
    ("parameters", "parameters", 1.0),
    ("train_seconds", "training time (s)", 1.0),
    ("peak_memory_bytes", "peak memory (MB)", 1e6),
    ("events_per_second", "training events/s", 1.0),
)


def draw_costs(board: Leaderboard) -> list[Drawing]:
    """Draw validation and test accuracy of every row against each cost; nothing for a single row."""
    if len(board.ranked) < 2:
        return []
    drawings = [_draw_cost(board, key, xlabel, unit) for key, xlabel, unit in DRAWN]
    return [drawing for drawing in drawings if drawing is not None]


def _draw_cost(board: Leaderboard, key: str, xlabel: str, unit: float) -> Drawing | None:
    known = [(n, row) for n, row in enumerate(board.ranked) if (row.figure(key).mean or 0) > 0]
    if not known or not any(row.figure("val_accuracy").mean is not None for _, row in known):
        return None
    figure, axes = new_axes_with_legend(xlabel, "accuracy", len(known))
    rows: Rows = [["rank", "configuration", key, "val_accuracy", "val_spread", "test_accuracy", "test_spread"]]
    for place, row in known:
        at = (row.figure(key).mean or 0) / unit
        _plot_row(axes, at, row, numbered(place, row.name), look_of(place))
        rows.append([place + 1, row.name, row.figure(key).mean, *row.figure("val_accuracy"), *row.figure("accuracy")])
    frontier = ", ".join(str(place + 1) for place in _plot_frontier(axes, key, known, unit))
    log_axis(axes)
    legend_below(axes)
    words = (
        "Full marks: validation, on which one chooses; open marks: test. Bars: spread. On the dashed line nothing "
        f"{'faster' if key == 'events_per_second' else 'cheaper'} is as good: {frontier}."
    )
    title = f"Accuracy against {COSTS[key].title}"
    told = [
        f"{row.name} {fraction(row.figure('val_accuracy').mean)} at {COSTS[key].write(row.figure(key).mean)}"
        for _, row in known
    ]
    return Drawing(f"accuracy_{key}", title, words, f"{title}, validation: {'; '.join(told)}.", figure, rows)


def _plot_row(axes: Axes, at: float, row: Row, name: str, look: Look) -> None:
    validation, test = row.figure("val_accuracy"), row.figure("accuracy")
    if test.mean is not None:
        axes.plot(at, test.mean, look.marker, color=look.colour, markerfacecolor="white", markersize=7, zorder=3)
    if validation.mean is not None:
        bar = None if validation.spread is None else [validation.spread]
        axes.errorbar(
            [at],
            [validation.mean],
            yerr=bar,
            color=look.colour,
            marker=look.marker,
            markersize=7,
            linestyle="",
            elinewidth=1.4,
            capsize=3,
            label=name,
            zorder=4,
        )


def _plot_frontier(axes: Axes, key: str, known: Sequence[tuple[int, Row]], unit: float) -> list[int]:
    """Draw the line that no other row is above and cheaper than, and return the places of the rows on it."""
    sign = -1 if key == "events_per_second" else 1
    points = sorted(
        (sign * cost, -accuracy, place)
        for place, row in known
        if (cost := row.figure(key).mean) is not None and (accuracy := row.figure("val_accuracy").mean) is not None
    )
    best: list[tuple[float, float, int]] = []
    for point in points:
        if not best or point[1] < best[-1][1]:
            best.append(point)
    x, y = [sign * cost / unit for cost, _, _ in best], [-accuracy for _, accuracy, _ in best]
    axes.plot(x, y, color=style.GREY, linestyle=(0, (4, 3)), linewidth=1.0, zorder=2)
    return [place for _, _, place in best]


def draw_learning_curves(board: Leaderboard) -> list[Drawing]:
    """Draw validation and test figures against the number of training events, where rows differ in it."""
    key = "data.train_events"
    if not any(key in row.differing for row in board.ranked):
        return []
    curves: dict[str, list[Row]] = {}
    for row in board.ranked:
        rest = ", ".join(
            f"{name}={value}" if name != "model" else value for name, value in row.differing.items() if name != key
        )
        curves.setdefault(rest or "all", []).append(row)
    by_key = {quantity.key: quantity for quantity in OVERALL}
    return [_draw_curves(curves, by_key[name]) for name in ("accuracy", "cross_entropy", "electron_photon_auc")]


def _draw_curves(curves: dict[str, list[Row]], quantity: Quantity) -> Drawing:
    figure, axes = new_axes_with_legend(TRAIN_EVENTS.title, f"test {quantity.title}", len(curves))
    rows: Rows = [["configuration", "train_events", "test_mean", "test_spread", "val_mean", "val_spread"]]
    told = []
    for place, (name, members) in enumerate(curves.items()):
        points = sorted((row.figure("train_events").mean or 0, row.name, row) for row in members)
        known = [(at, row.figure(quantity.key), row.figure(f"val_{quantity.key}")) for at, _, row in points if at > 0]
        known = [point for point in known if point[1].mean is not None]
        look = look_of(place)
        axes.errorbar(
            [at for at, _, _ in known],
            [test.mean or 0 for _, test, _ in known],
            yerr=[test.spread or 0 for _, test, _ in known],
            color=look.colour,
            marker=look.marker,
            linestyle=look.dash,
            linewidth=1.6,
            elinewidth=1.2,
            capsize=3,
            label=name,
        )
        rows += [[name, at, *test, *val] for at, test, val in known]
        if known:
            told.append(f"{name} from {fraction(known[0][1].mean)} to {fraction(known[-1][1].mean)}")
    log_axis(axes)
    legend_below(axes)
    better = "lower" if quantity.key in LOWER_IS_BETTER else "higher"
    words = f"Test events, mean and spread; {better} is better. A curve still moving at its end wants more events."
    title = f"{quantity.title.capitalize()} against training events"
    return Drawing(f"events_{quantity.key}", title, words, f"{title}: {'; '.join(told)}.", figure, rows)
