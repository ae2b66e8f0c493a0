"""A run in sentences and tables: at the end of a training, on its page and as CSV."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from cdmtrain.report.kit import numbers, style
from cdmtrain.report.kit.metrics import COST, PER_CLASS, WITHOUT_LABELS, overall
from cdmtrain.report.kit.numbers import count, percent, plural, plural_name
from cdmtrain.report.kit.page import Rows
from cdmtrain.report.kit.tables import Cell, Table
from cdmtrain.report.run.confusion import confusion_matrix, row_fractions
from cdmtrain.report.run.curves import overfitting_since
from cdmtrain.runs import files
from cdmtrain.runs.read import RunFiles
from cdmtrain.terminal import say

Results = dict[str, Any]

WIDE_CLASSES = 4  # of which the terminal has room for percentages and counts
FEW_EVENTS = 30  # of a particle: an efficiency of 0.8 is then known to 0.07

# Background of a confusion cell, by tenths of its row; the first is not drawn
SHADES = ["#ffffff", "#d7e6f2", "#bcd7ea", "#9fc5e1", "#86b5d9", "#5f9fcd", "#2f7fb8", "#2470a8", "#155a8c", "#08426b"]


def show_results(results: Results, names: Sequence[str], page: Path) -> None:
    """Print the results of a run and the path of its page."""
    console = Console()
    console.print(results_table(results, names) if "accuracy" in results else losses_table(results).terminal())
    say(f"page: {page}")


def results_table(results: Results, names: Sequence[str]) -> TerminalTable:
    """Return test metrics beside those of validation, and the confusion matrix, in 80 columns."""
    table = TerminalTable.grid(padding=(0, 0, 1, 0))
    rows: list[list[Cell]] = []
    for metric, cost in zip_longest(overall(results), COST):
        test = Text(metric.text(results), "bold") if metric else Text()
        error = numbers.half_width(metric.interval(results)) if metric else ""
        left: list[Cell] = [metric.title if metric else "", test, error, metric.text(results, "val_") if metric else ""]
        rows.append([*left, *((f" {cost.title}", cost.text(results)) if cost else ("", ""))])
    table.add_row(Table(["", "test", "", "(val)", "", ""], rows, "Test metrics", words=(0, 2, 4)).terminal())
    rows = []
    for name, events in num_true_events(results, names).items():
        rows.append([name, count(events)])
        for metric in PER_CLASS:
            rows[-1] += [Text(metric.text(results, "", name), "bold"), metric.text(results, "val_", name)]
    columns = [title for metric in PER_CLASS for title in (metric.title, "(val)")]
    table.add_row(Table(["", "events", *columns], rows, "By particle", classes=names).terminal())
    if results.get("confusion_matrix"):
        table.add_row(_confusion(results["confusion_matrix"], names))
    return table


def losses_table(results: Results) -> Table:
    """Return the losses of a pretraining, test beside validation, what the probe has measured, and the cost."""
    losses = [key for key in results if key.endswith("loss") and not key.startswith("val_")]
    rows: list[list[Cell]] = [
        [key.replace("_", " "), numbers.fraction(results[key]), numbers.fraction(results.get(f"val_{key}"))]
        for key in losses
    ]
    measured = [metric for metric in WITHOUT_LABELS if metric.key not in losses and metric.key in results]
    rows += [[metric.title, metric.text(results), ""] for metric in measured]
    rows += [[metric.title, metric.text(results), ""] for metric in COST]
    return Table(["", "test", "validation"], rows)


def _confusion(counts: list[list[int]], names: Sequence[str]) -> TerminalTable:
    wide = len(names) <= WIDE_CLASSES
    rows: list[list[Cell]] = []
    for name, row in zip(names, counts, strict=True):
        rows.append([name, *(_cell(value, sum(row), wide=wide) for value in row)])
    title = "Confusion matrix: rows are the true particles, columns the predicted ones"
    width = 14 if wide else 6
    header = ["", *(f"{name if wide else name[:width]:>{width}}" for name in names)]
    return Table(header, rows, title, words=range(len(header)), narrow=True, classes=names).terminal()


def _cell(value: int, total: int, *, wide: bool) -> Text:
    """Return ` 69.3%    831 `, the darker the larger the fraction of its row; below a tenth without colour."""
    share = percent(value / total if total else None)
    text = f" {share:>6} {count(value):>6} " if wide else f"{share:>6}"
    shade = min(int(len(SHADES) * value / total), len(SHADES) - 1) if total else 0
    return Text(text, f"{'#ffffff' if shade > 5 else style.INK} on {SHADES[shade]}" if shade else "")


def particle_table(results: Results, names: Sequence[str], prefix: str = "") -> Table:
    """Return efficiency, purity and ROC area of each particle; of the test with the number of events."""
    events = {name: [count(number)] for name, number in num_true_events(results, names).items() if not prefix}
    header = ["particle", *(["events"] if events else []), *(metric.title for metric in PER_CLASS)]
    cells = {name: [metric.with_error(results, prefix, name) for metric in PER_CLASS] for name in names}
    return Table(header, [[name, *events.get(name, []), *row] for name, row in cells.items()], classes=names)


def overall_table(results: Results) -> Table:
    """Return the metrics of all events, test beside validation."""
    rows = [
        [metric.title, metric.with_error(results), metric.with_error(results, "val_")] for metric in overall(results)
    ]
    return Table(["", "test", "validation"], rows)


def cost_table(results: Results) -> Table:
    """Return what the training cost."""
    return Table(["cost", ""], [[metric.title, metric.text(results)] for metric in COST])


def num_true_events(results: Results, names: Sequence[str]) -> dict[str, int | None]:
    """Return the test events of each particle: the row sums of the confusion matrix."""
    counts = results.get("confusion_matrix")
    return {name: sum(counts[row]) if counts else None for row, name in enumerate(names)}


def overall_rows(results: Results) -> Rows:
    """Return metric, test, validation as numbers; the cost has no validation."""
    rows: Rows = [["quantity", "test", "validation", "test_low", "test_high"]]
    for metric in overall(results):
        low, high = metric.interval(results) or (None, None)
        rows.append([metric.key, results.get(metric.key), results.get(f"val_{metric.key}"), low, high])
    return rows + [[metric.key, results.get(metric.key), None, None, None] for metric in COST]


def class_rows(results: Results, names: Sequence[str]) -> Rows:
    """Return efficiency, purity and ROC area of each particle as numbers, test and validation."""
    keys = [prefix + metric.key for metric in PER_CLASS for prefix in ("", "val_")]
    header: Rows = [["particle", "test_events", *keys]]
    events = num_true_events(results, names)
    return header + [[name, events[name], *((results.get(key) or {}).get(name) for key in keys)] for name in names]


def title(run: RunFiles) -> str:
    """Return network and data: `cnn on hdf5`."""
    choices = run.provenance.choices
    model = choices.get("model") or (run.settings.model._target_ or "a run").rpartition(".")[2]
    return f"{model} on {choices['data']}" if choices.get("data") else model


def subtitle(run: RunFiles) -> str:
    """Return experiment, events, seed, machine and date in one line."""
    made, seed = run.provenance, run.settings.seed
    started = made.started or (run.status.started if run.status else None)
    parts = [
        f"experiment {made.choices['experiment']}" if made.choices.get("experiment") else "",
        f"{events} events" if (events := _events(run)) else "",
        f"seed {seed}" if seed is not None else "",
        made.accelerator or "",
        f"{started:%Y-%m-%d %H:%M}" if started else "",
    ]
    return " · ".join(part for part in parts if part)


def unfinished(run: RunFiles) -> str:
    """Return why figures are missing or poor, in one sentence; empty where all is well."""
    if run.state == "diverged":
        epochs = run.results.get("epochs")
        when = f" in epoch {epochs}" if epochs else ""
        return f"The training diverged{when}: its losses are no numbers any more. Try a smaller optimizer.lr."
    absent = [name for name in (files.RESULTS, files.PREDICTIONS, files.PRETRAINED) if name in run.missing]
    if not absent:
        return ""
    epoch = run.status.epoch if run.status else None
    after = f" after epoch {epoch}" if epoch is not None else ""
    reason = f" ({run.error})" if run.error else ""
    state = f"The state of this run is {run.state}{after}{reason}"
    return f"{state}: there is no {' and no '.join(absent)}, so the page shows only what the other files hold."


def mix(results: Results) -> str:
    """Return for which mix of particles the metrics are, in one sentence; empty where it is that of the events."""
    shares = ", ".join(f"{percent(share)} {name}" for name, share in results.get("prior", {}).items())
    return (
        f"Metrics and probabilities are for another mix of particles than the events have: {shares}." if shares else ""
    )


def finding(run: RunFiles) -> str:
    """Return the result in one or two sentences, as results.json has it."""
    counts = confusion_matrix(run)
    if counts is None:
        return "No test event was classified." if run.results else ""
    accuracy, events = percent(run.results.get("accuracy")), plural(int(counts.sum()), "test event")
    sentence = f"Of {events}, {accuracy} are classified correctly.{_few(run)}"
    wrong = np.nan_to_num(row_fractions(counts) * (1 - np.eye(len(counts))))
    if not wrong.max():
        return sentence
    truth, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    names = list(map(plural_name, run.class_names))
    mistake = f"{percent(wrong.max())} of the {names[truth]} are taken for {names[predicted]}"
    return f"{sentence} The most frequent mistake: {mistake}."


def _few(run: RunFiles) -> str:
    """Return a warning, as a sentence after another, where a particle has few test events."""
    true_events = num_true_events(run.results, run.class_names)
    few = {name: number for name, number in true_events.items() if number and number < FEW_EVENTS}
    if not few:
        return ""
    words = " and ".join(f"{number} {plural_name(name) if number > 1 else name}" for name, number in few.items())
    return f" The sample is small ({words}): figures of fewer than {FEW_EVENTS} events say little."


def overfitting(run: RunFiles) -> str:
    """Return since when the network overfits, in one sentence; empty where it does not."""
    since = overfitting_since(run)
    return f"Overfitting since epoch {since}: the validation loss rises, the training loss falls." if since else ""


def provenance(run: RunFiles) -> list[tuple[str, str]]:
    """Return what made the run, as names and values."""
    made, status = run.provenance, run.status
    commit = f"{made.git.commit}{', with uncommitted changes' if made.git.dirty else ''}" if made.git.commit else None
    pairs = [
        ("cdmtrain", made.cdmtrain),
        ("git commit", commit),
        ("host", made.host),
        ("accelerator", made.accelerator),
        ("versions", ", ".join(f"{name} {version}" for name, version in made.versions.items())),
        ("started", made.started or (status and status.started)),
        ("ended", status and status.ended),
        ("state", None if status is None else run.state),
        ("overrides", " ".join(made.overrides)),
        ("events", _events(run)),
        ("began with", made.weights and f"{made.weights.file}, SHA-256 {made.weights.sha256}"),
    ]
    for number, source in enumerate(made.data.sources if made.data else []):
        name = f"{source.file}, " if source.file else ""
        words = f"{name}{count(source.num_events)} events, fingerprint {source.fingerprint}"
        pairs.append((f"source {number + 1}", words))
    return [(name, str(value)) for name, value in pairs if value]


def _events(run: RunFiles) -> str:
    """Return the events of each part: `40,319 train, 3,840 val, 3,840 test`."""
    data = run.provenance.data
    return f"{count(data.train)} train, {count(data.val)} val, {count(data.test)} test" if data else ""
