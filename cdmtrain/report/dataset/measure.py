"""Measure a data set: quantities of every event, sums over all pixels, the distance between two samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdmtrain.particles import Classes, names_of
from cdmtrain.report.kit import style

ALL, UNKNOWN = "all", "unknown"  # beside the particles: all events, and events of a file without pdg
SPECTRUM_EDGES_MEV = np.geomspace(1e-3, 1e3, 121)  # 20 bins a decade, from a pixel below noise to one above any track
MOST_CELLS = 48  # on a side of the mean image: cells of 4 x 4 pixels for 192 x 192

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
EventBlock = tuple[Ints, Ints, Floats]  # offset (event + 1,), pixel (hit,), energy in MeV (hit,)


@dataclass(frozen=True)
class Sample:
    """What was measured of a data set of N events of S x S pixels."""

    title: str
    image_size: int
    particles: Classes  # of the class indices
    class_index: Ints  # (N,), -1 where unknown
    event: dict[str, Floats]  # quantity -> (N,), NaN where unknown; vertex and kinetic energy only if the file has them
    spectrum: Floats  # (class, bin) lit pixels of each class between SPECTRUM_EDGES_MEV
    cell_mev: Floats  # (class, cell, cell) energy that each class deposits in each cell of the image
    sources: list[dict[str, Any]]  # what the events were read from

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class indices; UNKNOWN is the last, for the class index -1."""
        return *names_of(self.particles), UNKNOWN

    @property
    def styles(self) -> Mapping[str, style.LineStyle]:
        """How each class is drawn."""
        return style.line_styles(names_of(self.particles))

    @property
    def present(self) -> list[str]:
        """The classes that have events, in class order, UNKNOWN last."""
        return [name for name in self.classes if self.of(name).any()]

    def of(self, name: str) -> Bools:
        """(N,) whether each event belongs to the class; all do for ALL."""
        if name == ALL:
            return np.ones(len(self.class_index), dtype=bool)
        return np.asarray(self.class_index % len(self.classes) == self.classes.index(name))

    def values(self, key: str, name: str) -> Floats:
        """The known values of a quantity for one class; empty where the file has none."""
        values = self.event[key][self.of(name)] if key in self.event else np.empty(0)
        return values[np.isfinite(values)]

    def total(self, per_class: Floats, name: str) -> Floats:
        """The row of `spectrum` or `cell_mev` for one class, or the sum over all."""
        return np.asarray(per_class.sum(axis=0) if name == ALL else per_class[self.classes.index(name)])


def measure(
    blocks: Iterable[EventBlock],
    *,
    title: str,
    image_size: int,
    particles: Classes,
    class_index: Ints,
    truth: Mapping[str, Floats],
    sources: list[dict[str, Any]],
) -> Sample:
    """Measure events block by block; only one value per event and quantity is kept in memory.

    Args:
        blocks: consecutive events, sparse, in the order of `class_index`.
        particles: of the class indices.
        truth: `kinetic_energy_mev` (N,) and `vertex_px` (N, 2), row and column, where the file has them.
    """
    cell = np.arange(image_size) * min(MOST_CELLS, image_size) // image_size
    cells = int(cell[-1]) + 1
    cell_of_pixel = (cell[:, None] * cells + cell).ravel()
    num_classes = len(particles) + 1  # the class index -1 is the last
    spectrum: Floats = np.zeros((num_classes, len(SPECTRUM_EDGES_MEV) - 1))
    cell_mev: Floats = np.zeros((num_classes, cells**2))
    parts, first = [], 0
    for offset, pixel, energy in blocks:
        parts.append(event_sums(offset, energy))
        of_event = class_index[first : first + len(offset) - 1] % num_classes
        of_hit = np.repeat(of_event, np.diff(offset)).astype(np.intp)
        in_spectrum = np.searchsorted(SPECTRUM_EDGES_MEV[1:-1].astype(energy.dtype), energy, side="right")
        spectrum += _by_class(of_hit, in_spectrum, energy > 0, spectrum.shape)
        cell_mev += _by_class(of_hit, cell_of_pixel[pixel], energy, cell_mev.shape)
        first += len(of_event)
    event = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} | _truth(truth, image_size)
    return Sample(
        title, image_size, particles, class_index, event, spectrum, cell_mev.reshape(-1, cells, cells), sources
    )


def _by_class(of_hit: Ints, bin_of_hit: Ints, weight: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Return (class, bin): the sum of `weight` over the hits in each bin."""
    sums = np.bincount(of_hit * shape[1] + bin_of_hit, weight, shape[0] * shape[1])
    return sums.reshape(shape).astype(np.float64)


def event_sums(offset: Ints, energy_mev: Floats) -> dict[str, Floats]:
    """Return lit pixels, sum, sum of squares and brightest pixel of each event; zeros without a hit."""
    num_events, energy = len(offset) - 1, energy_mev.astype(np.float64)
    event, brightest = np.repeat(np.arange(num_events), np.diff(offset)), np.zeros(num_events)
    np.maximum.at(brightest, event, energy)
    weights = {"lit_pixels": energy > 0, "sum_mev": energy, "sum_squares_mev2": energy**2}
    sums = {key: np.bincount(event, weight, num_events).astype(np.float64) for key, weight in weights.items()}
    return {**sums, "brightest_mev": brightest}


def _truth(truth: Mapping[str, Floats], image_size: int) -> dict[str, Floats]:
    """Return the true quantities that are known: kinetic energy, pixels from the vertex to the nearest edge."""
    known = {"kinetic_energy_mev": truth["kinetic_energy_mev"]} if "kinetic_energy_mev" in truth else {}
    if "vertex_px" in truth:
        vertex = truth["vertex_px"]
        known["vertex_to_edge_px"] = np.minimum(vertex, image_size - 1 - vertex).min(axis=1)
    return {key: np.asarray(values, dtype=np.float64) for key, values in known.items()}


def class_metrics(sample: Sample, name: str) -> dict[str, float]:
    """Return the metrics of one class; NaN where there is no event or the file has no such quantity."""
    lit, kinetic, edge = (sample.values(key, name) for key in ("lit_pixels", "kinetic_energy_mev", "vertex_to_edge_px"))
    return {
        "events": len(lit),
        "kinetic_energy_min_mev": float(kinetic.min()) if len(kinetic) else np.nan,
        "kinetic_energy_max_mev": float(kinetic.max()) if len(kinetic) else np.nan,
        "mean_sum_mev": _mean(sample.values("sum_mev", name)),
        "mean_sum_squares_mev2": _mean(sample.values("sum_squares_mev2", name)),
        "mean_lit_pixels": _mean(lit),
        **{f"p{p}_lit_pixels": float(np.percentile(lit, p)) if len(lit) else np.nan for p in (10, 50, 90)},
        "median_brightest_mev": float(np.median(sample.values("brightest_mev", name))) if len(lit) else np.nan,
        "vertex_at_edge": _mean(edge <= 1),
        "events_without_lit_pixel": int((lit == 0).sum()),
    }


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else np.nan


def pixel_mean_and_std(sample: Sample) -> tuple[float, float]:
    """Return mean and standard deviation over all pixels of all images, also dark ones, in MeV."""
    pixels = len(sample.class_index) * sample.image_size**2
    mean, square = (sample.event[key].sum() / pixels for key in ("sum_mev", "sum_squares_mev2"))
    return float(mean), float(np.sqrt(max(square - mean**2, 0.0)))


def ks_distance(one: Floats, other: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance max |F1(x) - F2(x)|, F(x) the fraction <= x; NaN for an empty sample."""
    if not len(one) or not len(other):
        return float("nan")
    ordered = [np.sort(values) for values in (one, other)]
    both = np.concatenate(ordered)  # with side="right" each jump of F counts in full, so ties need no special care
    below = [np.searchsorted(values, both, side="right") / len(values) for values in ordered]
    return float(np.abs(below[0] - below[1]).max())


def shared_classes(samples: Sequence[Sample]) -> list[str]:
    """Return the classes that every sample has; ALL where there is none."""
    return [name for name in samples[0].present if all(name in sample.present for sample in samples)] or [ALL]
