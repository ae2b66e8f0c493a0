"""The page of a data set: examples, tables and distributions, beside a reference where there is one."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator, StrMethodFormatter
from numpy.typing import NDArray

from cdmtrain.atomic import write_text
from cdmtrain.report.dataset.distributions import draw_distributions
from cdmtrain.report.dataset.measure import Floats, Sample, pixel_mean_and_std, shared_classes
from cdmtrain.report.dataset.tables import compare, make_tables
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.drawing import Drawing, Rows, csv_text
from cdmtrain.report.kit.event_display import particles_figure, side_of
from cdmtrain.report.kit.numbers import count
from cdmtrain.report.kit.stylesheet import CSS
from cdmtrain.report.run.confusion import SHADES
from cdmtrain.report.run.page import write_drawing
from cdmtrain.report.run.summary import settings

Images = Mapping[str, NDArray[np.floating]]  # class -> (example, row, column), MeV
WORDS = {
    "lit_pixels": "lit pixels",
    "sum_mev": "deposited energy",
    "brightest_mev": "brightest pixel",
    "vertex_to_edge_px": "distance from vertex to edge",
}


def write_inspection(folder: Path, samples: Sequence[Sample], images: Sequence[Images]) -> Path:
    """Write index.html, the figures as PNG and the tables as CSV into `folder`, and return the page's path.

    Args:
        samples: the sample, and the reference where there is one.
        images: examples of the events of each.
    """
    tables = make_tables(samples)
    names = ("particles", "particles_reference")
    window = max(side_of(event) for each in images for events in each.values() for event in events)
    galleries = [_gallery(*each, window) for each in zip(names, samples, images, strict=False)]
    parts = [_head(samples), markup.section("Examples", _written(folder, galleries, "<br>"))]
    parts += [markup.section(table.title, table.html()) for table in tables]
    for heading, drawings in (("Distributions", draw_distributions(samples)), ("Mean images", _mean_images(samples))):
        parts.append(markup.section(heading, f'<div class="pair">{_written(folder, drawings)}</div>'))
    for table in tables:
        write_text(folder / f"{table.name}.csv", csv_text(table.rows))
    page = folder / "index.html"
    write_text(page, markup.document(samples[0].title, CSS, "\n".join([*parts, _sources(samples)])))
    return page


def _written(folder: Path, drawings: Sequence[Drawing], between: str = "") -> str:
    return between.join(write_drawing(folder, drawing) for drawing in drawings)


def _head(samples: Sequence[Sample]) -> str:
    sample = samples[0]
    size = sample.image_size
    mean, std = pixel_mean_and_std(sample)
    headline = [
        (count(len(sample.class_index)), "events"),
        (f"{size} × {size}", "pixels of an image"),
        (f"{mean:.4g}", "pixel mean, MeV"),
        (f"{std:.4g}", "pixel std, MeV"),
        (f"{sample.event['lit_pixels'].mean():.1f}", "lit pixels of an event"),
        (f"{sample.event['sum_mev'].mean():.1f}", "MeV deposited in an event"),
    ]
    parts = [markup.element("p", "cdmtrain data", "kind"), markup.element("h1", sample.title), markup.tiles(headline)]
    if len(samples) > 1:
        parts.append(markup.element("p", _finding(*samples), "lead"))
    return f"<header>{''.join(parts)}</header>"


def _finding(sample: Sample, reference: Sample) -> str:
    """Return where the two differ most, in one sentence."""
    compared = {name: compare(sample, reference, name=name) for name in shared_classes([sample, reference])}
    distances = [(of[f"{key}_ks"], words, name) for name, of in compared.items() for key, words in WORDS.items()]
    worst, words, name = max(one for one in distances if isfinite(one[0]))
    return (
        f"Against {reference.title} ({count(len(reference.class_index))} events) the largest Kolmogorov-Smirnov "
        f"distance is {worst:.3f}: {words}, {name}. Chance alone explains up to {compared[name]['ks_by_chance']:.3f}."
    )


def _gallery(name: str, sample: Sample, images: Images, window: int) -> Drawing:
    figure = particles_figure(images, window=window)
    words = f"Typical events of {sample.title}: each column a class, the more lit pixels the lower."
    rows: Rows = [["class", "example", "sum_mev", "lit_pixels"]]
    for particle, events in images.items():
        rows += [[particle, n, float(event.sum()), int((event > 0).sum())] for n, event in enumerate(events)]
    alternative = f"Event displays of {', '.join(images)}: energy in colour on black."
    return Drawing(name, sample.title, words, alternative, figure, rows)


def _mean_images(samples: Sequence[Sample]) -> list[Drawing]:
    """Draw the mean image of each class, in the same shades for all samples."""
    names = shared_classes(samples)
    means = [{name: _mean_image(sample, name) for name in names} for sample in samples]
    lit = np.concatenate([image[image > 0] for each in means for image in each.values()])
    norm = LogNorm(*np.quantile(lit, [0.01, 1.0])) if len(lit) else LogNorm(0.1, 1)
    files = ("mean_images", "mean_images_reference")
    return [_draw_means(*each, norm) for each in zip(files, samples, means, strict=False)]


def _mean_image(sample: Sample, name: str) -> Floats:
    """Return the mean energy of a pixel in each cell of the image, in keV."""
    cells = sample.total(sample.cell_mev, name)
    return 1000 * cells / sample.of(name).sum() / (sample.image_size / len(cells)) ** 2


def _draw_means(name: str, sample: Sample, means: dict[str, Floats], norm: LogNorm) -> Drawing:
    num_rows = -(-len(means) // 2)
    height = 2.15 * num_rows + 0.7
    figure = style.new_figure(height_inches=height)
    for place, (particle, image) in enumerate(means.items()):
        row, column = divmod(place, 2)
        bottom = 0.75 + 2.15 * (num_rows - 1 - row)
        axes = figure.add_axes(((0.38 + 2.15 * column) / 4.8, bottom / height, 1.88 / 4.8, 1.88 / height))
        drawn = axes.imshow(image, norm=norm, cmap=SHADES, origin="lower")
        axes.set_title(
            particle, loc="left", fontsize=style.FONT_SIZE, color=style.colour(particle), pad=3, weight="bold"
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(style.GREY)
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.2, 0.5 / height, 0.6, 0.1 / height)), orientation="horizontal")
    bar.locator, bar.formatter = LogLocator(subs=(1, 2, 5)), StrMethodFormatter("{x:g}")
    bar.minorticks_off()
    bar.update_ticks()
    bar.ax.tick_params(labelsize=style.SMALL, colors=style.INK, length=3)
    bar.ax.set_xlabel("mean energy of a pixel (keV)", fontsize=style.SMALL, color=style.INK, labelpad=1)
    words = "Mean of all images of a class, row 0 at the bottom: where in the image the energy lies."
    rows: Rows = [["class", "cell_row", "cell_column", "kev"]]
    for particle, image in means.items():
        rows += [[particle, row, column, float(kev)] for (row, column), kev in np.ndenumerate(image)]
    return Drawing(name, sample.title, words, f"{words} {', '.join(means)}.", figure, rows)


def _sources(samples: Sequence[Sample]) -> str:
    """Return what the events were read from, folded."""
    facts = [
        markup.folded(sample.title, "".join(markup.facts(settings(source)) for source in sample.sources))
        for sample in samples
    ]
    footer = "The same figures and tables lie beside this page as PNG and CSV, all numbers in inspection.json."
    return markup.section("Sources", "".join(facts)) + f"<footer>{footer}</footer>"
