"""The page of a search: how it went, what mattered, every trial."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from rich import box
from rich.table import Table
from rich.text import Text

from cdmtrain.atomic import write_text
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.drawing import Drawing, Rows, csv_text
from cdmtrain.report.kit.numbers import fraction, is_number, percent
from cdmtrain.report.kit.stylesheet import CSS
from cdmtrain.report.run.page import write_drawing

MOST_IN_TERMINAL = 10


@dataclass(frozen=True)
class TrialFacts:
    """One trial of a search."""

    number: int
    state: str  # finished, pruned, running, failed
    value: float | None  # of the best epoch; of a pruned trial the last one
    parameters: Mapping[str, str]
    directory: Path


@dataclass(frozen=True)
class SearchFacts:
    """What the page is made from."""

    title: str
    monitor: str
    minimize: bool
    trials: Sequence[TrialFacts]
    importances: Mapping[str, float]  # of each parameter, adding up to 1; empty where unknown

    @property
    def ranked(self) -> list[TrialFacts]:
        """Finished trials, the best first, then the others in their order."""
        sign = 1 if self.minimize else -1

        def place(trial: TrialFacts) -> tuple[bool, float]:
            known = trial.state == "finished" and is_number(trial.value)
            return (not known, sign * (trial.value or 0) if known else trial.number)

        return sorted(self.trials, key=place)

    @property
    def states(self) -> str:
        """`40 trials: 30 finished, 9 pruned, 1 failed`."""
        states = [trial.state for trial in self.trials]
        counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return f"{len(states)} trial{'s' if len(states) != 1 else ''}: {counted}"


def write_search(folder: Path, facts: SearchFacts) -> Path:
    """Write index.html, trials.csv and the figures into `folder`, and return the page's path."""
    drawings = [drawing for drawing in (draw_history(facts), draw_importances(facts)) if drawing is not None]
    pictures = "".join(write_drawing(folder / "figures", drawing) for drawing in drawings)
    keys = list(dict.fromkeys(key for trial in facts.trials for key in trial.parameters))
    write_text(folder / "trials.csv", csv_text(_rows(facts, keys)))
    head = [
        markup.element("p", "cdmtrain search", "kind"),
        markup.element("h1", facts.title),
        markup.element("p", facts.states, "soft"),
        markup.element("p", _finding(facts), "lead"),
    ]
    rows = [[_link(trial, folder), *_cells(trial, keys)] for trial in facts.ranked]
    body = [
        f"<header>{''.join(head)}</header>",
        markup.section("How it went", f'<div class="pair">{pictures}</div>'),
        markup.section("Trials", markup.table(["trial", "state", facts.monitor, *keys], rows)),
        "<footer>All numbers lie beside this page in trials.csv, the figures in figures/.</footer>",
    ]
    page = folder / "index.html"
    write_text(page, markup.document(f"search {facts.title}", CSS, "\n".join(body)))
    return page


def _finding(facts: SearchFacts) -> str:
    if not facts.ranked or facts.ranked[0].state != "finished":
        return "No trial has finished."
    best = facts.ranked[0]
    typed = " ".join(f"{key}={value}" for key, value in best.parameters.items())
    return f"Best: trial {best.number} with {facts.monitor} {fraction(best.value)}: {typed}"


def _cells(trial: TrialFacts, keys: Sequence[str]) -> list[str]:
    return [trial.state, fraction(trial.value), *(trial.parameters.get(key, "-") for key in keys)]


def _link(trial: TrialFacts, folder: Path) -> str | markup.Link:
    page = trial.directory / "report" / "index.html"
    text = str(trial.number)
    return markup.Link(text, os.path.relpath(page, folder)) if page.exists() else text


def _rows(facts: SearchFacts, keys: Sequence[str]) -> Rows:
    header = ["trial", "state", facts.monitor, *keys]
    values = [[one.number, one.state, one.value, *(one.parameters.get(key) for key in keys)] for one in facts.trials]
    return [header, *values]


def draw_history(facts: SearchFacts) -> Drawing | None:
    """Draw the figure of every trial, and the best so far."""
    known = [trial for trial in facts.trials if trial.value is not None and np.isfinite(trial.value)]
    finished = [trial for trial in known if trial.state == "finished"]
    if not finished:
        return None
    figure = style.new_figure()
    axes = style.new_axes(figure, "trial", facts.monitor)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for state, marker, colour in (("finished", "o", style.INK), ("pruned", "x", style.GREY)):
        mine = [trial for trial in known if trial.state == state]
        x, y = [trial.number for trial in mine], [trial.value or 0 for trial in mine]
        if mine:
            axes.plot(x, y, marker, color=colour, markersize=5, label=state)
    values = np.array([trial.value for trial in finished], dtype=float)
    best = (np.minimum if facts.minimize else np.maximum).accumulate(values)
    axes.step([trial.number for trial in finished], best, where="post", color=style.BEST, label="best so far")
    style.legend(axes)
    rows: Rows = [["trial", "state", facts.monitor], *([t.number, t.state, t.value] for t in known)]
    words = "The figure of each trial's best epoch; of a pruned one the last that was reported."
    told = f"{facts.monitor} of {len(known)} trials; the best is {fraction(float(best[-1]))}."
    return Drawing("history", "History", words, told, figure, rows)


def draw_importances(facts: SearchFacts) -> Drawing | None:
    """Draw how much each parameter mattered."""
    if not facts.importances:
        return None
    order = sorted(facts.importances.items(), key=lambda pair: pair[1])
    figure = style.new_figure(height_inches=1.1 + 0.42 * len(order))
    height = 1.1 + 0.42 * len(order)
    axes = figure.add_axes((0.42, 0.62 / height, 0.52, 1 - 0.8 / height))
    style.dress(axes)
    bars = axes.barh([key for key, _ in order], [value for _, value in order], color=style.INK, height=0.55)
    axes.bar_label(bars, [percent(value) for _, value in order], padding=3, fontsize=style.SMALL, color=style.INK)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.18 * max(value for _, value in order) or 1)
    axes.set_xlabel("importance", fontsize=style.FONT_SIZE, color=style.INK)
    words = (
        "How much the settings of the better trials depart in each parameter from those of all (PED-ANOVA, "
        "arXiv:2304.10255); the more trials, the surer."
    )
    told = "; ".join(f"{key} {percent(value)}" for key, value in reversed(order))
    rows: Rows = [["parameter", "importance"], *reversed(order)]
    return Drawing("importances", "What mattered", words, f"Importance of the parameters: {told}.", figure, rows)


def trials_table(facts: SearchFacts) -> Table:
    """Return the best trials for a terminal."""
    table = Table(title=facts.states, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column(facts.monitor, justify="right", no_wrap=True)
    table.add_column("settings")
    finished = [trial for trial in facts.ranked if trial.state == "finished"]
    for trial in finished[:MOST_IN_TERMINAL]:
        typed = " ".join(f"{key}={value}" for key, value in trial.parameters.items())
        table.add_row(str(trial.number), fraction(trial.value), Text(typed))
    return table
