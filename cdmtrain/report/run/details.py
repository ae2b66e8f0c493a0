"""What made a run, in detail: settings that differ from the defaults, every epoch, every setting, provenance."""

from cdmtrain.report.kit import markup
from cdmtrain.report.kit.numbers import as_typed, settings
from cdmtrain.report.run import tables
from cdmtrain.runs.read import RunFiles


def changed(run: RunFiles) -> str:
    """Return the settings that differ from the defaults; nothing for old runs, which did not record it."""
    found = run.provenance.changed
    if found is None:
        return ""
    pairs = [
        (key, f"{as_typed(pair[1])} (default {as_typed(pair[0])})")
        for key, pair in sorted(found.items())
        if len(pair) == 2
    ]
    return markup.facts(pairs) if pairs else markup.element("p", "Nothing: every option and value is the default.")


def details(run: RunFiles) -> str:
    """Return all epochs and all settings, folded, and the provenance."""
    epochs = [[f"{value:.6g}" for value in row] for row in zip(*run.history.values(), strict=True)]
    made = tables.provenance(run)
    return "".join(
        [
            markup.folded("Epoch by epoch", markup.table(list(run.history), epochs)) if run.history else "",
            markup.folded("Settings", markup.facts(settings(run.config))) if run.config else "",
            markup.element("h2", "Provenance") + markup.facts(made) if made else "",
        ]
    )
