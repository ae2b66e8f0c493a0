"""A run's page: one file that needs no other, and its figures and tables as PNG and CSV beside it."""

from collections.abc import Callable
from pathlib import Path

from cdmtrain.report.kit import markup
from cdmtrain.report.kit.metrics import headline, metric_named
from cdmtrain.report.kit.numbers import count
from cdmtrain.report.kit.output import without_garbage_collection
from cdmtrain.report.kit.page import Drawing, figures, write_csv, write_page
from cdmtrain.report.run import correctness, details, tables, without_labels, working_points
from cdmtrain.report.run.calibrated import calibration_section, set_table, titled
from cdmtrain.report.run.confusion import draw_confusion, draw_mistakes
from cdmtrain.report.run.contributions import draw_mistaken_contributions
from cdmtrain.report.run.curves import draw_rocs, draw_training
from cdmtrain.report.run.learned import draw_learned
from cdmtrain.runs import files
from cdmtrain.runs.read import RunFiles, read_run

FIGURES: dict[str, Callable[[RunFiles], list[Drawing]]] = {
    "Training": draw_training,
    "Confusion matrix": draw_confusion,
    "ROC": draw_rocs,
    "Calibration and efficiency": correctness.draw_correctness,
    "What was learned": lambda run: draw_learned(run.learned, run.classes),
}


@without_garbage_collection()
def write_report(run_dir: Path) -> Path:
    """Write report/index.html, report/*.png and report/*.csv of a run, and return the page's path.

    An interrupted run has fewer files; the page says so and shows the rest. The same files give the same bytes.
    """
    run = read_run(Path(run_dir))
    folder = run.directory / files.REPORT
    if run.settings.objective:
        return without_labels.write_page_without_labels(run)
    if run.results:
        write_csv(folder / "summary.csv", tables.overall_rows(run.results))
        write_csv(folder / "particles.csv", tables.class_rows(run.results, run.class_names))
    return write_page(
        run.directory / files.PAGE,
        kind="cdmtrain run",
        title=tables.title(run),
        head=_head(run),
        sections={
            **_tables(run),
            **{heading: figures(folder, draw(run)) for heading, draw in FIGURES.items()},
            "Working points": _working_points(run, folder),
            "Calibrated probabilities": _calibrated(run, folder),
            "Where it fails": _failures(run, folder),
            "What differs from the defaults": details.changed(run),
            "Details": details.details(run),
        },
        footer="All figures and tables of this page are beside it as PNG and CSV.",
    )


def drawings(run: RunFiles) -> list[Drawing]:
    """Return every figure of the page of a run."""
    found: list[Drawing | None] = [one for draw in FIGURES.values() for one in draw(run)]
    found += without_labels.drawings(run)
    found += working_points.draw_working_points(run.predictions, run.class_names)
    found += [*calibration_section(run.calibrations)[1], *_distributions(run), draw_mistakes(run)]
    found.append(draw_mistaken_contributions(run.mistakes, run.classes))
    return [one for one in found if one is not None]


def _head(run: RunFiles) -> list[str]:
    results = run.results
    commands = [run.provenance.command, *(one.command for one in run.provenance.trained_longer)]
    command = "\n".join(one for one in commands if one)
    names = headline(results) | {"train_seconds": f"training, {count(results.get('epochs'))} epochs"}
    return [
        markup.element("p", tables.subtitle(run), "soft"),
        markup.element("p", tables.unfinished(run), "note"),
        markup.element("p", tables.mix(results), "note"),
        markup.tiles((metric_named(key).text(results), name) for key, name in names.items()) if results else "",
        markup.element("p", tables.finding(run), "lead"),
        markup.element("p", tables.overfitting(run)),
        markup.element("p", "To repeat it:", "soft") + markup.element("pre", command) if command else "",
    ]


def _tables(run: RunFiles) -> dict[str, str]:
    """Return the metrics of results.json: of each particle, of all, and the cost."""
    if not run.results:
        return {}
    particles = tables.particle_table(run.results, run.class_names).html()
    if run.results.get("val_accuracy") is not None:
        validation = tables.particle_table(run.results, run.class_names, "val_").html()
        particles += markup.folded("The same for validation events", validation)
    both = tables.overall_table(run.results).html() + tables.cost_table(run.results).html()
    return {"By particle": particles, "Overall": markup.pair(both)}


def _working_points(run: RunFiles, folder: Path) -> str:
    """Return what cuts on the probabilities keep and reject: figures, and tables at fixed efficiencies."""
    html = figures(folder, working_points.draw_working_points(run.predictions, run.class_names))
    if not html or run.predictions is None:
        return ""
    write_csv(folder / "rejection_table.csv", working_points.rejection_rows(run.predictions, run.class_names))
    found = working_points.rejection_tables(run.predictions, run.class_names)
    cuts = working_points.cut_table(run.results)
    html += titled(cuts) if cuts.rows else ""
    return html + markup.folded("Rejection at fixed efficiencies", "".join(map(titled, found)))


def _calibrated(run: RunFiles, folder: Path) -> str:
    """Return what the calibrations of a run do: before and after, and prediction sets."""
    html, drawings = calibration_section(run.calibrations)
    if "uncertainty" in run.results and "coverage_90" in run.results:
        html += titled(set_table(run.results, run.results["efficiency"]))
    return html + figures(folder, drawings)


def _failures(run: RunFiles, folder: Path) -> str:
    """Return where the network fails: a sentence, a table, distributions and the most confident mistakes."""
    events = run.predictions
    if events is None or not len(events.class_index):
        return ""
    rows = correctness.failure_rows(events)
    write_csv(folder / "failures.csv", [correctness.HEADER, *rows])
    table = markup.element("p", correctness.failure_sentence(events)) + markup.table(correctness.HEADER, rows)
    return table + figures(folder, _distributions(run)) + "".join(one.write(folder) for one in _gallery(run))


def _gallery(run: RunFiles) -> list[Drawing]:
    """Return the most confident mistakes, and what in them spoke for the answer."""
    return [
        one for one in (draw_mistakes(run), draw_mistaken_contributions(run.mistakes, run.classes)) if one is not None
    ]


def _distributions(run: RunFiles) -> list[Drawing]:
    """Return the distributions of the events that are classified right and wrong."""
    events = run.predictions
    if events is None or not len(events.class_index):
        return []
    return [correctness.draw_failure(one, events.is_right) for one in correctness.variables(events)]
