"""The run's page: one file that needs no other, and its figures and tables as PNG and CSV beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cdmtrain.atomic import whole_file, write_text
from cdmtrain.particles import NAMES
from cdmtrain.report.kit import markup, numbers
from cdmtrain.report.kit.drawing import Drawing, csv_text, png_bytes
from cdmtrain.report.kit.stylesheet import CSS
from cdmtrain.report.run import calibration, confusion, efficiency, failures, mistakes, roc, summary, training_curves
from cdmtrain.report.run.metrics import COST, OVERALL, PER_CLASS, class_rows, num_true_events, of_class, overall_rows
from cdmtrain.report.run_files import RunFiles, read_run

SECTIONS: dict[str, tuple[Callable[[RunFiles], Drawing | None], ...]] = {
    "Training": (training_curves.draw_loss, training_curves.draw_accuracy),
    "What is taken for what": (confusion.draw_confusion_fractions, confusion.draw_confusion_counts),
    "ROC": (roc.draw_roc, roc.draw_electron_photon_roc),
    "Calibration and efficiency": (
        calibration.draw_calibration,
        efficiency.draw_efficiency_by_pixels,
        efficiency.draw_efficiency_by_deposit,
        efficiency.draw_efficiency_by_kinetic_energy,
        efficiency.draw_efficiency_by_vertex,
    ),
}


def write_report(run_dir: Path) -> Path:
    """Write report/index.html, report/*.png and report/*.csv of the run, and return the page's path.

    A run that was cut short has fewer files; the page says so and shows the rest. The same files give the same bytes.
    """
    run = read_run(Path(run_dir))
    folder = run.directory / "report"
    parts = [_head(run), _tables(run)]
    for heading, drawers in SECTIONS.items():
        drawings = [drawing for draw in drawers if (drawing := draw(run)) is not None]
        pictures = [write_drawing(folder, drawing) for drawing in drawings]
        if pictures:
            parts.append(markup.section(heading, f'<div class="pair">{"".join(pictures)}</div>'))
    parts += [_failures(run, folder), _changed(run), _details(run)]
    if run.results:
        write_text(folder / "summary.csv", csv_text(overall_rows(run.results)))
        write_text(folder / "particles.csv", csv_text(class_rows(run.results)))
    page = folder / "index.html"
    write_text(page, markup.document(summary.title(run), CSS, "\n".join(part for part in parts if part)))
    return page


def write_drawing(folder: Path, drawing: Drawing) -> str:
    """Write a figure's PNG and CSV and return it as HTML."""
    png = png_bytes(drawing.figure)
    with whole_file(folder / f"{drawing.name}.png") as temporary:
        temporary.write_bytes(png)
    write_text(folder / f"{drawing.name}.csv", csv_text(drawing.rows))
    return markup.picture(drawing, png)


def _head(run: RunFiles) -> str:
    parts = [
        markup.element("p", "cdmtrain run", "kind"),
        markup.element("h1", summary.title(run)),
        markup.element("p", summary.subtitle(run), "soft"),
    ]
    if sentence := summary.unfinished(run):
        parts.append(markup.element("p", sentence, "note"))
    if run.results:
        parts.append(markup.tiles(_headline(run)))
    if sentence := summary.finding(run):
        parts.append(markup.element("p", sentence, "lead"))
    if command := run.provenance.get("command"):
        parts += [markup.element("p", "To repeat it:", "soft"), markup.element("pre", command)]
    return f"<header>{''.join(parts)}</header>"


def _headline(run: RunFiles) -> list[tuple[str, str]]:
    results = run.results
    return [
        (numbers.fraction(results.get("accuracy")), "test accuracy"),
        (numbers.fraction(results.get("cross_entropy")), "test cross entropy"),
        (numbers.fraction(results.get("electron_photon_auc")), "electron-photon area"),
        (numbers.count(results.get("parameters")), "parameters"),
        (numbers.rate(results.get("events_per_second")), "training events/s"),
        (numbers.duration(results.get("train_seconds")), f"training, {numbers.count(results.get('epochs'))} epochs"),
    ]


def _tables(run: RunFiles) -> str:
    """Return the figures of results.json: per particle, test beside validation, and what they cost."""
    results = run.results
    if not results:
        return ""
    overall = [
        [quantity.title, quantity.write(results.get(quantity.key)), quantity.write(results.get(f"val_{quantity.key}"))]
        for quantity in OVERALL
    ]
    cost = [[quantity.title, quantity.write(results.get(quantity.key))] for quantity in COST]
    by_particle = _by_particle(results, "", num_true_events(results))
    validation = markup.folded("The same for validation events", _by_particle(results, "val_", {}))
    both = markup.table(["", "test", "validation"], overall) + markup.table(["cost", ""], cost)
    return markup.section("By particle", by_particle + validation) + markup.section(
        "Overall", f'<div class="pair">{both}</div>'
    )


def _by_particle(results: dict[str, Any], prefix: str, events: dict[str, int | None]) -> str:
    header = ["particle", *(["events"] if events else []), *(quantity.title for quantity in PER_CLASS)]
    rows = [
        [name, *([numbers.count(events[name])] if events else [])]
        + [quantity.write(of_class(results, prefix + quantity.key, name)) for quantity in PER_CLASS]
        for name in NAMES
    ]
    return markup.table(header, rows)


def _failures(run: RunFiles, folder: Path) -> str:
    """Return where it fails, in a sentence, in distributions and in numbers, and its most confident mistakes."""
    drawings = failures.draw_failures(run)
    if not drawings:
        return ""
    write_text(folder / "failures.csv", csv_text([failures.FAILURE_HEADER, *failures.failure_rows(run)]))
    pictures = "".join(write_drawing(folder, drawing) for drawing in drawings)
    numbers_ = markup.table(failures.FAILURE_HEADER, failures.failure_rows(run))
    gallery = mistakes.draw_mistakes(run)
    shown = write_drawing(folder, gallery) if gallery is not None else ""
    sentence = markup.element("p", failures.finding(run)) if failures.finding(run) else ""
    return markup.section("Where it fails", f'{sentence}{numbers_}<div class="pair">{pictures}</div>{shown}')


def _changed(run: RunFiles) -> str:
    """Return what differs from the defaults, where the run's record tells."""
    changed = run.provenance.get("changed")
    if not isinstance(changed, dict):
        return ""
    pairs = [
        (key, f"{summary.as_typed(pair[1])} (default {summary.as_typed(pair[0])})")
        for key, pair in sorted(changed.items())
        if isinstance(pair, list) and len(pair) == 2
    ]
    told = markup.facts(pairs) if pairs else markup.element("p", "Nothing: every option and value is the default.")
    return markup.section("What differs from the defaults", told)


def _details(run: RunFiles) -> str:
    """Return the epochs and the settings, folded, and where the numbers come from."""
    parts = []
    if run.history:
        columns = list(run.history)
        rows = [[f"{value:.6g}" for value in row] for row in zip(*run.history.values(), strict=True)]
        parts.append(markup.folded("Epoch by epoch", markup.table(columns, rows)))
    if run.config:
        parts.append(markup.folded("Settings", markup.facts(summary.settings(run.config))))
    if provenance := summary.provenance(run):
        parts += [markup.element("h2", "Provenance"), markup.facts(provenance)]
    footer = "<footer>The same figures and tables lie beside this page as PNG and CSV.</footer>"
    return (markup.section("Details", "".join(parts)) if parts else "") + footer
