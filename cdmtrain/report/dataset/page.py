"""The page of a data set: examples, tables and distributions, beside a reference where there is one."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from cdmtrain.report.dataset.distributions import draw_distributions
from cdmtrain.report.dataset.measure import Floats, Sample, pixel_mean_and_std, shared_classes
from cdmtrain.report.dataset.tables import DISTANCES, compare, make_tables
from cdmtrain.report.dataset.two_samples import WORDS, Separation, feature_rows, separation_table
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.event_display import particles_figure, window_side
from cdmtrain.report.kit.numbers import count, plural, settings
from cdmtrain.report.kit.page import Drawing, Rows, figures, write_csv, write_page

Images = Mapping[str, NDArray[np.floating]]  # class -> (example, row, column), MeV
PANEL_INCHES, PITCH_INCHES = 1.88, 2.15  # of a mean image


def write_inspection(
    folder: Path,
    samples: Sequence[Sample],
    images: Sequence[Images],
    separation: Mapping[str, Separation] | None = None,
) -> Path:
    """Write index.html, the figures as PNG and the tables as CSV into `folder`, and return the page's path.

    Args:
        samples: the sample, and the reference where there is one.
        images: examples of the events of each.
        separation: how well trees tell each class from the reference's, where they were trained.
    """
    tables = make_tables(samples)
    for table in tables:
        write_csv(folder / f"{table.name}.csv", table.rows)
    window = max(window_side(event) for each in images for events in each.values() for event in events)
    names = ("particles", "particles_reference")
    galleries = [_gallery(*each, window).write(folder) for each in zip(names, samples, images, strict=False)]
    sources = [
        markup.folded(one.title, "".join(markup.facts(settings(source)) for source in one.sources)) for one in samples
    ]
    trees = {}
    if separation:
        write_csv(folder / "features.csv", feature_rows(separation))
        words = markup.element("p", WORDS, "soft")
        trees = {"Boosted trees": separation_table(separation, samples[1].title).html() + words}
    return write_page(
        folder / "index.html",
        kind="cdmtrain data",
        title=samples[0].title,
        head=_head(samples),
        sections={
            "Examples": "<br>".join(galleries),
            **{table.title: table.html() for table in tables},
            **trees,
            "Distributions": figures(folder, draw_distributions(samples)),
            "Mean images": figures(folder, _mean_images(samples)),
            "Sources": "".join(sources),
        },
        footer="All figures and tables are beside this page as PNG and CSV, all numbers in inspection.json.",
    )


def _head(samples: Sequence[Sample]) -> list[str]:
    sample = samples[0]
    mean, std = pixel_mean_and_std(sample)
    headline = [
        (count(len(sample.class_index)), "events"),
        (f"{sample.image_size} × {sample.image_size}", "pixels of an image"),
        (f"{mean:.4g}", "mean of all pixels, MeV"),
        (f"{std:.4g}", "standard deviation of all pixels, MeV"),
        (f"{sample.event['lit_pixels'].mean():.1f}", "lit pixels of an event"),
        (f"{sample.event['sum_mev'].mean():.1f}", "MeV deposited in an event"),
    ]
    return [markup.tiles(headline), markup.element("p", _finding(*samples) if len(samples) > 1 else "", "lead")]


def _finding(sample: Sample, reference: Sample) -> str:
    """Return where the two differ most, in one sentence."""
    compared = {name: compare(sample, reference, name=name) for name in shared_classes([sample, reference])}
    distances = [(of[f"{key}_ks"], key, name) for name, of in compared.items() for key in DISTANCES]
    worst, key, name = max(one for one in distances if isfinite(one[0]))
    words = DISTANCES[key].replace("\n", " ").replace("sum", "deposited energy")
    return (
        f"Compared with {reference.title} ({plural(len(reference.class_index), 'event')}), the largest "
        f"Kolmogorov-Smirnov distance is {worst:.3f}: {words}, {name}. Chance alone explains up to "
        f"{compared[name]['ks_by_chance']:.3f}."
    )


def _gallery(name: str, sample: Sample, images: Images, window: int) -> Drawing:
    caption = f"Typical events of {sample.title}: a column for each class, with more lit pixels further down."
    rows: Rows = [["class", "example", "sum_mev", "lit_pixels"]]
    for particle, events in images.items():
        rows += [[particle, n, float(event.sum()), int((event > 0).sum())] for n, event in enumerate(events)]
    alternative = f"Event displays of {', '.join(images)}: energy in colour on black."
    return Drawing(
        name, sample.title, caption, alternative, particles_figure(images, sample.particles, window=window), rows
    )


def _mean_images(samples: Sequence[Sample]) -> list[Drawing]:
    """Draw the mean image of each class, in the same shades for all samples."""
    names = shared_classes(samples)
    means = [{name: _mean_image(sample, name) for name in names} for sample in samples]
    lit = np.concatenate([image[image > 0] for each in means for image in each.values()])
    norm = LogNorm(*np.quantile(lit, [0.01, 1.0])) if len(lit) else LogNorm(0.1, 1)
    file_names = ("mean_images", "mean_images_reference")
    return [_draw_means(*each, norm) for each in zip(file_names, samples, means, strict=False)]


def _mean_image(sample: Sample, name: str) -> Floats:
    """Return the mean energy of a pixel in each cell of the image, in keV."""
    cells = sample.total(sample.cell_mev, name)
    return 1000 * cells / sample.of(name).sum() / (sample.image_size / len(cells)) ** 2


def _draw_means(name: str, sample: Sample, means: dict[str, Floats], norm: LogNorm) -> Drawing:
    num_rows = -(-len(means) // 2)
    width, height = style.WIDTH_INCHES, PITCH_INCHES * num_rows + 0.7
    figure = style.new_figure(height)
    rows: Rows = [["class", "cell_row", "cell_column", "kev"]]
    for index, (particle, image) in enumerate(means.items()):
        row, column = divmod(index, 2)
        left, bottom = 0.38 + PITCH_INCHES * column, 0.75 + PITCH_INCHES * (num_rows - 1 - row)
        axes = figure.add_axes((left / width, bottom / height, PANEL_INCHES / width, PANEL_INCHES / height))
        drawn = axes.imshow(image, norm=norm, cmap=style.SHADES, origin="lower")
        colour = sample.styles.get(particle, style.OTHER).colour
        axes.set_title(particle, loc="left", fontsize=style.FONT_SIZE, color=colour, pad=3, weight="bold")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(style.GREY)
        rows += [[particle, *cell, float(kev)] for cell, kev in np.ndenumerate(image)]
    style.colour_bar(figure, drawn, "mean energy of a pixel (keV)", width=0.6)
    caption = "Mean of all images of a class, row 0 at the bottom: where in the image the energy is deposited."
    return Drawing(name, sample.title, caption, f"{caption} {', '.join(means)}.", figure, rows)
