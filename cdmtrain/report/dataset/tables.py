"""The tables of a data set: metrics of each class, and how they compare with a reference's."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cdmtrain.particles import names_of
from cdmtrain.report.dataset.measure import ALL, Sample, class_metrics, ks_distance, shared_classes
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.numbers import DASH, count, is_number, percent
from cdmtrain.report.kit.page import Rows
from cdmtrain.report.kit.tables import Table

Metrics = dict[str, float]
Columns = Mapping[str, Callable[[Metrics], str]]  # title, with a newline where the terminal breaks it -> cell

RATIOS = {  # metrics of which the ratio to the reference is shown -> title
    "mean_sum_mev": "sum",
    "mean_sum_squares_mev2": "squares",
    "mean_lit_pixels": "lit\npixels",
    "p10_lit_pixels": "lit\n10 %",
    "p50_lit_pixels": "lit\n50 %",
    "p90_lit_pixels": "lit\n90 %",
    "median_brightest_mev": "brightest\npixel",
}
DISTANCES = {  # quantities of which the Kolmogorov-Smirnov distance is shown -> title
    "lit_pixels": "lit\npixels",
    "sum_mev": "sum",
    "brightest_mev": "brightest\npixel",
    "vertex_to_edge_px": "vertex\nto edge",
}


def decimals(key: str, digits: int) -> Callable[[Metrics], str]:
    """Return the function that writes one metric with so many decimal places."""
    return lambda of: f"{of[key]:,.{digits}f}" if is_number(of[key]) else DASH


def _energies(of: Metrics) -> str:
    low, high = of["kinetic_energy_min_mev"], of["kinetic_energy_max_mev"]
    return f"{low:.0f}-{high:.0f}" if is_number(low) else DASH


SUMMARY: Columns = {
    "events": decimals("events", 0),
    "kinetic\nMeV": _energies,
    "sum\nMeV": decimals("mean_sum_mev", 1),
    "squares\nMeV^2": decimals("mean_sum_squares_mev2", 1),
    "lit\nmean": decimals("mean_lit_pixels", 1),
    "lit pixels\n10/50/90 %": lambda of: "/".join(count(of[f"p{p}_lit_pixels"]) for p in (10, 50, 90)),
    "bright-\nest MeV": decimals("median_brightest_mev", 2),
    "vertex\nat\nedge": lambda of: percent(of["vertex_at_edge"]),
    "none\nlit": decimals("events_without_lit_pixel", 0),
}
RATIO: Columns = {title: decimals(f"{key}_ratio", 3) for key, title in RATIOS.items()}
DISTANCE: Columns = {title: decimals(f"{key}_ks", 3) for key, title in DISTANCES.items()} | {
    "by chance\nup to": decimals("ks_by_chance", 3)
}
SUMMARY_WORDS = (
    "Kinetic energies of the particles; means of an event's energy sum, sum of squares and lit pixels; percentiles of "
    "its lit pixels; median of its brightest pixel; vertices within one pixel of the edge; events without a lit pixel."
)
RATIO_WORDS = "1 is agreement; the last row depends on the mix of classes too."
DISTANCE_WORDS = (
    "0 is agreement, 1 no overlap. Two samples of the same distribution stay below the last column in 95 of 100 cases."
)


class ClassTable(NamedTuple):
    """Metrics of each class: on the terminal, on the page, as CSV."""

    name: str  # of the CSV file
    title: str
    columns: Columns
    metrics: dict[str, Metrics]  # class -> metrics
    words: str
    classes: Sequence[str]  # of the data set

    @property
    def table(self) -> Table:
        """The table with rounded numbers."""
        rows = [[name, *(write(of) for write in self.columns.values())] for name, of in self.metrics.items()]
        return Table(["", *self.columns], rows, self.title, narrow=True, classes=self.classes)

    @property
    def rows(self) -> Rows:
        """All metrics, unrounded."""
        rows: Rows = [["class", *next(iter(self.metrics.values()))]]
        return rows + [[name, *of.values()] for name, of in self.metrics.items()]

    def html(self) -> str:
        """The table for the page, with the words that explain it."""
        return self.table.html().replace("^2", "²") + markup.element("p", self.words, "soft")


def make_tables(samples: Sequence[Sample]) -> list[ClassTable]:
    """Return the metrics of each class in the sample; with a reference also its metrics and how they compare."""
    tables, classes = [], names_of(samples[0].particles)
    for name, one in zip(("summary", "summary_reference"), samples, strict=False):
        metrics = {key: class_metrics(one, key) for key in _with_all(one.present)}
        tables.append(ClassTable(name, f"By class: {one.title}", SUMMARY, metrics, SUMMARY_WORDS, classes))
    if len(samples) > 1:
        both = {name: compare(*samples, name=name) for name in _with_all(shared_classes(samples))}
        ratio, distance = f"Ratio to {samples[1].title}", f"Kolmogorov-Smirnov distance from {samples[1].title}"
        tables.append(ClassTable("comparison", ratio, RATIO, both, RATIO_WORDS, classes))
        tables.append(ClassTable("comparison", distance, DISTANCE, both, DISTANCE_WORDS, classes))
    return tables


def _with_all(names: list[str]) -> list[str]:
    """Return the rows of a table: each class, and the whole sample where there are several."""
    return names if len(names) == 1 else [*names, ALL]


def compare(sample: Sample, reference: Sample, *, name: str) -> Metrics:
    """Return ratios and Kolmogorov-Smirnov distances of one class, and the distance that chance alone explains.

    95 % of pairs of samples of one continuous distribution stay below 1.358 sqrt(1/n + 1/m): Smirnov, Ann. Math.
    Stat. 19 (1948) 279.
    """
    mine, other = class_metrics(sample, name), class_metrics(reference, name)
    ratios = {f"{key}_ratio": mine[key] / other[key] if other[key] else np.nan for key in RATIOS}
    distances = {f"{key}_ks": ks_distance(sample.values(key, name), reference.values(key, name)) for key in DISTANCES}
    return ratios | distances | {"ks_by_chance": 1.358 * float(np.sqrt(1 / mine["events"] + 1 / other["events"]))}
