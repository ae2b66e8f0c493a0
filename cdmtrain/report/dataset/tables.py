"""The tables of a data set: figures of each class, and how they compare with a reference's."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table as TerminalTable
from rich.text import Text

from cdmtrain.report.dataset.measure import ALL, Sample, figures, ks_distance, shared_classes
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.drawing import Rows
from cdmtrain.report.kit.numbers import DASH, count, is_number, percent

Figures = dict[str, float]

RATIOS = (  # of the figures that are compared, sample to reference
    "mean_sum_mev",
    "mean_sum_squares_mev2",
    "mean_lit_pixels",
    "p10_lit_pixels",
    "p50_lit_pixels",
    "p90_lit_pixels",
    "median_brightest_mev",
)
DISTANCES = ("lit_pixels", "sum_mev", "brightest_mev", "vertex_to_edge_px")


def decimals(key: str, places: int) -> Callable[[Figures], str]:
    """Return what writes one figure with so many decimal places."""
    return lambda of: f"{of[key]:,.{places}f}" if is_number(of[key]) else DASH


def _energies(of: Figures) -> str:
    low, high = of["kinetic_energy_min_mev"], of["kinetic_energy_max_mev"]
    return f"{low:.0f}-{high:.0f}" if is_number(low) else DASH


SUMMARY = {  # title, broken where the terminal breaks it -> what writes the cell
    "events": decimals("events", 0),
    "kinetic\nMeV": _energies,
    "sum\nMeV": decimals("mean_sum_mev", 1),
    "squares\nMeV^2": decimals("mean_sum_squares_mev2", 1),
    "lit\nmean": decimals("mean_lit_pixels", 1),
    "lit pixels\n10/50/90 %": lambda of: "/".join(count(of[f"p{p}_lit_pixels"]) for p in (10, 50, 90)),
    "brightest\nMeV": decimals("median_brightest_mev", 2),
    "vertex\nat edge": lambda of: percent(of["vertex_at_edge"]),
    "none\nlit": decimals("events_without_lit_pixel", 0),
}
RATIO = {
    "sum": decimals("mean_sum_mev_ratio", 3),
    "squares": decimals("mean_sum_squares_mev2_ratio", 3),
    "lit\npixels": decimals("mean_lit_pixels_ratio", 3),
    "lit\n10 %": decimals("p10_lit_pixels_ratio", 3),
    "lit\n50 %": decimals("p50_lit_pixels_ratio", 3),
    "lit\n90 %": decimals("p90_lit_pixels_ratio", 3),
    "brightest\npixel": decimals("median_brightest_mev_ratio", 3),
}
DISTANCE = {
    "lit\npixels": decimals("lit_pixels_ks", 3),
    "sum": decimals("sum_mev_ks", 3),
    "brightest\npixel": decimals("brightest_mev_ks", 3),
    "vertex\nto edge": decimals("vertex_to_edge_px_ks", 3),
    "by chance\nup to": decimals("ks_by_chance", 3),
}


class Table(NamedTuple):
    """Figures of each class: on the terminal, on the page, as CSV."""

    name: str  # of the CSV file
    title: str
    columns: Mapping[str, Callable[[Figures], str]]
    figures: dict[str, Figures]  # class -> figures
    words: str

    @property
    def cells(self) -> list[list[str]]:
        """What is written in the row of each class, its name first."""
        return [[name, *(write(of) for write in self.columns.values())] for name, of in self.figures.items()]

    @property
    def rows(self) -> Rows:
        """All figures, unrounded."""
        header = ["class", *next(iter(self.figures.values()))]
        return [header, *([name, *of.values()] for name, of in self.figures.items())]

    def html(self) -> str:
        """The table with its words for the page."""
        return markup.table(["", *(title.replace("^2", "²") for title in self.columns)], self.cells) + markup.element(
            "p", self.words, "soft"
        )

    def terminal(self) -> Group:
        """The table in 80 columns, its title above."""
        table = TerminalTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        table.add_column("")
        for title in self.columns:
            table.add_column(title, justify="right")
        for name, *cells in self.cells:
            table.add_row(Text(name, style=f"bold {style.COLOURS.get(name, '')}".strip()), *cells)
        return Group(Text(self.title, style="bold"), table, "")


def make_tables(samples: Sequence[Sample]) -> list[Table]:
    """Return the figures of each class in the sample; with a reference its figures and how they compare."""
    words = (
        "Means of an event's sum, sum of squares and lit pixels; percentiles of its lit pixels; median of its "
        "brightest. A vertex is at the edge within one pixel of it; the last column counts events without a lit pixel."
    )
    names = ("summary", "summary_reference")
    tables = [
        Table(
            name, f"By class: {one.title}", SUMMARY, {key: figures(one, key) for key in _with_all(one.present)}, words
        )
        for name, one in zip(names, samples, strict=False)
    ]
    if len(samples) > 1:
        both = {name: compare(*samples, name=name) for name in _with_all(shared_classes(samples))}
        ratio, distance = f"Ratio to {samples[1].title}", f"Kolmogorov-Smirnov distance from {samples[1].title}"
        tables.append(Table("comparison", ratio, RATIO, both, "1 is agreement; all depends on the mix of classes too."))
        words = "0 is agreement, 1 no overlap. Two samples of one law stay under the last column in 95 of 100 cases."
        tables.append(Table("comparison", distance, DISTANCE, both, words))
    return tables


def _with_all(names: list[str]) -> list[str]:
    """Return the rows of a table: each class, and below several the whole sample."""
    return names if len(names) == 1 else [*names, ALL]


def compare(sample: Sample, reference: Sample, *, name: str) -> Figures:
    """Return ratios and Kolmogorov-Smirnov distances of one class, and the distance that chance alone explains.

    Of two samples of one continuous law 95 % stay below 1.358 sqrt(1/n + 1/m): Smirnov, Ann. Math. Stat. 19 (1948) 279.
    """
    mine, other = figures(sample, name), figures(reference, name)
    ratios = {f"{key}_ratio": mine[key] / other[key] if other[key] else np.nan for key in RATIOS}
    distances = {f"{key}_ks": ks_distance(sample.values(key, name), reference.values(key, name)) for key in DISTANCES}
    return ratios | distances | {"ks_by_chance": 1.358 * float(np.sqrt(1 / mine["events"] + 1 / other["events"]))}
