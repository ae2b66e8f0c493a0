"""Metrics of a data set agree with those of its dense images; the distance between two samples; the page."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cdmtrain.particles import DEFAULT, NAMES
from cdmtrain.report.dataset.distributions import draw_distributions
from cdmtrain.report.dataset.measure import (
    ALL,
    SPECTRUM_EDGES_MEV,
    UNKNOWN,
    Sample,
    class_metrics,
    ks_distance,
    measure,
    pixel_mean_and_std,
)
from cdmtrain.report.dataset.page import write_inspection
from cdmtrain.report.dataset.tables import compare, make_tables

DISTRIBUTIONS = {"lit_pixels", "sum_mev", "brightest_mev", "pixel_spectrum"}


def dense_images(num_events: int, *, size: int = 20, seed: int = 3) -> np.ndarray:
    """Random images; each third event, the first and the last have no lit pixel."""
    rng = np.random.default_rng(seed)
    images = rng.gamma(0.6, 2.0, (num_events, size, size)).astype(np.float32)
    images *= rng.random(images.shape) < 0.1
    images[::3] = 0
    images[-1] = 0
    return images


def sparse(images: np.ndarray, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for first in range(0, len(images), rows):
        flat = images[first : first + rows].reshape(len(images[first : first + rows]), -1)
        event, pixel = np.nonzero(flat)
        offset = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=len(flat)))])
        yield offset, pixel, flat[event, pixel]


def make_sample(
    images: np.ndarray, class_index: np.ndarray, *, rows: int = 7, title: str = "a.h5", **truth: Any
) -> Sample:
    size = images.shape[1]
    sources = [{"file": title}]
    blocks = sparse(images, rows)
    about = {"title": title, "image_size": size, "particles": DEFAULT, "sources": sources}
    return measure(blocks, class_index=class_index, truth=truth, **about)


def four_classes(num_events: int = 60, *, seed: int = 3, title: str = "a.h5") -> Sample:
    rng = np.random.default_rng(seed)
    vertex = rng.integers(0, 20, (num_events, 2)).astype(np.float32)
    truth = {"vertex_px": vertex, "kinetic_energy_mev": rng.uniform(50, 250, num_events).astype(np.float32)}
    return make_sample(dense_images(num_events, seed=seed), np.arange(num_events) % 4, title=title, **truth)


def pictures(sample: Sample) -> dict[str, np.ndarray]:
    return {name: dense_images(5)[1:3] for name in sample.present}


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_figures_equal_those_of_the_dense_images(rows: int) -> None:
    images, class_index = dense_images(50), np.arange(50) % 4
    vertex = np.random.default_rng(1).integers(0, 20, (50, 2)).astype(np.float32)
    sample = make_sample(images, class_index, rows=rows, vertex_px=vertex)
    for number, name in enumerate((*NAMES, ALL)):
        mine = images[class_index == number].astype(np.float64) if name != ALL else images.astype(np.float64)
        lit = (mine > 0).sum(axis=(1, 2))
        corner = vertex[class_index == number] if name != ALL else vertex
        at_edge = [min(row, column, 19 - row, 19 - column) <= 1 for row, column in corner]
        expected = {
            "events": len(mine),
            "mean_sum_mev": mine.sum(axis=(1, 2)).mean(),
            "mean_sum_squares_mev2": (mine**2).sum(axis=(1, 2)).mean(),
            "mean_lit_pixels": lit.mean(),
            "p10_lit_pixels": np.percentile(lit, 10),
            "p50_lit_pixels": np.percentile(lit, 50),
            "p90_lit_pixels": np.percentile(lit, 90),
            "median_brightest_mev": np.median(mine.max(axis=(1, 2))),
            "vertex_at_edge": np.mean(at_edge),
            "events_without_lit_pixel": (lit == 0).sum(),
        }
        found = class_metrics(sample, name)
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-12)  # order of float64 sums
        assert np.isnan(found["kinetic_energy_min_mev"])


def test_pixel_mean_and_std_are_over_all_pixels_of_all_images() -> None:
    images = dense_images(40)
    expected = images.astype(np.float64).mean(), images.astype(np.float64).std()
    assert pixel_mean_and_std(make_sample(images, np.zeros(40, int))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [20, 100])
def test_spectrum_and_mean_image_hold_every_pixel_of_their_class(size: int) -> None:
    images, class_index = dense_images(30, size=size), np.arange(30) % 4
    sample = make_sample(images, class_index)
    cells = len(sample.cell_mev[0])
    assert cells == min(size, 48)
    place = np.arange(size) * cells // size
    for number, name in enumerate(NAMES):
        mine = images[class_index == number]
        counts, _ = np.histogram(mine[mine > 0], SPECTRUM_EDGES_MEV.astype(np.float32))
        inside = (mine[mine > 0] >= SPECTRUM_EDGES_MEV[0]).all()
        assert inside or counts.sum() < (mine > 0).sum()
        assert sample.total(sample.spectrum, name).sum() == (mine > 0).sum()
        assert np.array_equal(sample.total(sample.spectrum, name)[1:], counts[1:])
        expected = np.zeros((cells, cells))
        np.add.at(expected, (place[:, None], place[None, :]), mine.sum(axis=0, dtype=np.float64))
        assert sample.total(sample.cell_mev, name) == pytest.approx(expected, rel=1e-9)


def test_a_negative_zero_is_no_lit_pixel() -> None:
    energy = np.array([-0.0, 2.0, -0.0], np.float32)
    block = np.array([0, 2, 3]), np.array([0, 5, 7]), energy
    sample = measure(
        [block], title="", image_size=4, particles=DEFAULT, class_index=np.array([0, 0]), truth={}, sources=[]
    )
    assert sample.event["lit_pixels"].tolist() == [1, 0]
    assert sample.spectrum.sum() == 1


@pytest.mark.parametrize("ties", [False, True])
def test_ks_distance_is_the_largest_difference_of_the_fractions_below(ties: bool) -> None:
    rng = np.random.default_rng(5)
    one, other = rng.gamma(3, 4, 83), rng.gamma(3, 5, 57)
    one, other = (one.round(), other.round()) if ties else (one, other)
    expected = max(abs(np.mean(one <= x) - np.mean(other <= x)) for x in [*one, *other])
    assert ks_distance(one, other) == ks_distance(other, one) == pytest.approx(expected, abs=1e-15)


def test_ks_distance_is_zero_for_the_same_sample_and_one_for_disjoint_ones() -> None:
    values = np.array([1.0, 1.0, 2.0, 5.0])
    assert ks_distance(values, np.repeat(values, 3)) == 0
    assert ks_distance(values, values + 5) == 1
    assert np.isnan(ks_distance(values, np.empty(0)))


def test_a_sample_compared_with_itself_has_ratio_one_and_distance_zero() -> None:
    sample = four_classes()
    for name in (*NAMES, ALL):
        found = compare(sample, sample, name=name)
        ratios = [value for key, value in found.items() if key.endswith("_ratio") and np.isfinite(value)]
        assert set(ratios) == {1.0}
        assert {value for key, value in found.items() if key.endswith("_ks")} == {0.0}


def test_distance_by_chance_is_exceeded_by_one_in_twenty_pairs_of_samples_of_one_law() -> None:
    rng = np.random.default_rng(2)
    pairs = [ks_distance(rng.random(300), rng.random(500)) for _ in range(400)]
    by_chance = 1.358 * np.sqrt(1 / 300 + 1 / 500)
    assert np.mean(np.array(pairs) > by_chance) == pytest.approx(0.05, abs=0.035)  # three standard deviations of 400


def test_events_without_pdg_are_one_class_unknown_compared_as_a_whole() -> None:
    unknown = make_sample(dense_images(12), np.full(12, -1))
    assert unknown.present == [UNKNOWN]
    assert list(make_tables([unknown])[0].metrics) == [UNKNOWN]
    assert list(make_tables([unknown, four_classes()])[2].metrics) == [ALL]


def test_page_asks_for_nothing_and_shows_every_figure_with_words(tmp_path: Path) -> None:
    samples = [four_classes(), four_classes(90, seed=4, title="<b>reference</b>.h5")]
    page = write_inspection(tmp_path, samples, [pictures(sample) for sample in samples]).read_text(encoding="utf-8")
    assert not re.search(r"https?://|//cdn|url\(|@import|<script|<link|<iframe", page)
    assert "<b>reference" not in page
    images = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)">', page)
    files = {path.stem: path.read_bytes() for path in tmp_path.glob("*.png")}
    both = {"particles", "particles_reference", "mean_images", "mean_images_reference"}
    assert set(files) == DISTRIBUTIONS | both | {"vertex_to_edge_px", "kinetic_energy_mev"}
    assert {base64.b64decode(picture) for picture, _ in images} == set(files.values())
    assert all(len(words) > 30 for _, words in images)
    tables = {path.stem for path in tmp_path.glob("*.csv")}
    assert tables == set(files) | {"summary", "summary_reference", "comparison"}


def test_page_of_unknown_events_alone_has_what_is_known(tmp_path: Path) -> None:
    sample = make_sample(dense_images(12), np.full(12, -1))
    write_inspection(tmp_path, [sample], [pictures(sample)])
    assert {path.stem for path in tmp_path.glob("*.png")} == DISTRIBUTIONS | {"particles", "mean_images"}


def test_page_of_a_single_event_without_a_lit_pixel_is_written(tmp_path: Path) -> None:
    sample = make_sample(np.zeros((1, 8, 8), np.float32), np.array([2]), kinetic_energy_mev=np.array([60.0]))
    page = write_inspection(tmp_path, [sample, sample], [{"photon": np.zeros((1, 8, 8))}] * 2)
    assert "the largest Kolmogorov-Smirnov distance is 0.000" in page.read_text(encoding="utf-8")


def test_fractions_of_a_distribution_add_up_to_all_events_of_each_class() -> None:
    drawings = {drawing.name: drawing.rows[1:] for drawing in draw_distributions([four_classes()])}
    for name in drawings.keys() - {"pixel_spectrum"}:
        for particle in NAMES:
            assert sum(row[3] for row in drawings[name] if row[0] == particle) == pytest.approx(100)


def test_every_number_is_whole_in_80_columns_for_a_million_events() -> None:
    sample = four_classes()
    (table,) = make_tables([sample])
    for metrics in table.metrics.values():
        metrics |= {"events": 1_000_000, "kinetic_energy_min_mev": 1000, "kinetic_energy_max_mev": 2000}
        metrics |= {"mean_lit_pixels": 136.2, "mean_sum_mev": 179.7, "mean_sum_squares_mev2": 853.3}
        metrics |= {f"p{p}_lit_pixels": 100 for p in (10, 50, 90)} | {"median_brightest_mev": 13.6}
    console = Console(width=80, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(table.table.terminal())
    assert "…" not in captured.get()
    assert "1,000,000 1000-2000 179.7   853.3 136.2 100/100/100" in captured.get()
