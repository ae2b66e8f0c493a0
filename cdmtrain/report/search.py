"""The page of a search: its history, the importance of the parameters, all trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table as TerminalTable

from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.numbers import DASH, fraction, is_number, percent, plural
from cdmtrain.report.kit.page import Drawing, Rows, figures, run_link, write_csv, write_page
from cdmtrain.report.kit.tables import Table


@dataclass(frozen=True)
class TrialFacts:
    """One trial of a search."""

    number: int
    state: str  # finished, pruned, running, failed
    value: float | None  # of the best epoch; of a pruned trial the last one
    parameters: Mapping[str, str]
    directory: Path

    @property
    def overrides(self) -> str:
        """The parameters as they are typed."""
        return " ".join(f"{key}={value}" for key, value in self.parameters.items())


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
        known = [trial for trial in self.trials if trial.state == "finished" and is_number(trial.value)]
        others = [trial for trial in self.trials if trial not in known]
        return [*sorted(known, key=lambda trial: trial.value or 0, reverse=not self.minimize), *others]

    @property
    def states(self) -> str:
        """`40 trials: 30 finished, 9 pruned, 1 failed`."""
        states = [trial.state for trial in self.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return f"{plural(len(states), 'trial')}: {counts}"


def write_search(folder: Path, facts: SearchFacts) -> Path:
    """Write index.html, trials.csv and the figures into `folder`, and return the page's path."""
    keys = list(dict.fromkeys(key for trial in facts.trials for key in trial.parameters))
    header = ["trial", "state", facts.monitor, *keys]
    values = [[one.number, one.state, one.value, *map(one.parameters.get, keys)] for one in facts.trials]
    write_csv(folder / "trials.csv", [header, *values])
    rows = []
    for one in facts.ranked:
        link = run_link(one.directory, str(one.number), folder)
        rows.append([link, one.state, fraction(one.value), *(one.parameters.get(key, DASH) for key in keys)])
    return write_page(
        folder / "index.html",
        kind="cdmtrain search",
        title=facts.title,
        head=[markup.element("p", facts.states, "soft"), markup.element("p", _finding(facts), "lead")],
        sections={
            "History": figures(folder / "figures", [draw_history(facts), draw_importances(facts)]),
            "Trials": markup.table(header, rows),
        },
        footer="All numbers are beside this page in trials.csv, the figures in figures/.",
    )


def _finding(facts: SearchFacts) -> str:
    best = facts.ranked[0] if facts.ranked else None
    if best is None or best.state != "finished":
        return "No trial has finished."
    return f"Best: trial {best.number} with {facts.monitor} {fraction(best.value)}: {best.overrides}"


def draw_history(facts: SearchFacts) -> Drawing | None:
    """Draw the monitored metric of every trial, and the best so far."""
    known = [(one.number, one.state, one.value) for one in facts.trials if is_number(one.value)]
    finished = [(number, value) for number, state, value in known if state == "finished"]
    if not finished:
        return None
    figure, axes = style.new_plot("trial", facts.monitor)
    style.whole_numbers(axes)
    for name, marker, colour in (("finished", "o", style.INK), ("pruned", "x", style.GREY)):
        points = [(number, value) for number, state, value in known if state == name]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=5, label=name)
    numbers, values = zip(*finished, strict=True)
    best = (np.minimum if facts.minimize else np.maximum).accumulate(np.array(values, dtype=float))
    axes.step(numbers, best, where="post", color=style.BEST, label="best so far")
    style.legend(axes)
    rows: Rows = [["trial", "state", facts.monitor], *known]
    caption = (
        f"{facts.monitor} of each trial's best epoch, of a pruned trial the last epoch's; the line is the best so far."
    )
    alternative = f"{facts.monitor} of {plural(len(known), 'trial')}; the best is {fraction(float(best[-1]))}."
    return Drawing("history", "History", caption, alternative, figure, rows)


def draw_importances(facts: SearchFacts) -> Drawing | None:
    """Draw how much each parameter mattered."""
    if not facts.importances:
        return None
    order = sorted(facts.importances.items(), key=lambda pair: pair[1])
    keys, values = zip(*order, strict=True)
    figure, axes = style.new_plot("importance", height_inches=1.1 + 0.42 * len(order), left=0.42)
    bars = axes.barh(keys, values, color=style.INK, height=0.55)
    axes.bar_label(bars, list(map(percent, values)), padding=3, fontsize=style.SMALL, color=style.INK)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.18 * max(values) or 1)
    caption = (
        "How much the parameter's values in the better trials differ from those in all trials (PED-ANOVA, "
        "arXiv:2304.10255). The estimate improves with the number of trials."
    )
    words = "; ".join(f"{key} {percent(value)}" for key, value in reversed(order))
    rows: Rows = [["parameter", "importance"], *reversed(order)]
    alternative = f"Importance of the parameters: {words}."
    return Drawing("importances", "Which parameters matter", caption, alternative, figure, rows)


def trials_table(facts: SearchFacts) -> TerminalTable:
    """Return the best trials for a terminal."""
    finished = [trial for trial in facts.ranked if trial.state == "finished"][:10]
    rows = [[str(trial.number), fraction(trial.value), trial.overrides] for trial in finished]
    return Table(["trial", facts.monitor, "settings"], rows, facts.states, words=(2,)).terminal()
