"""The sentences at the head of a run's page, and where its numbers come from."""

import numpy as np

from cdmtrain.particles import NAMES
from cdmtrain.report.kit.numbers import count, percent, plural
from cdmtrain.report.run.confusion import confusion_matrix, row_fractions
from cdmtrain.runs import files
from cdmtrain.runs.read import RunFiles


def title(run: RunFiles) -> str:
    """Return network and data: `cnn on hdf5`."""
    choices = run.provenance.choices
    model = choices.get("model") or (run.settings.model._target_ or "a run").rpartition(".")[2]
    return f"{model} on {choices['data']}" if choices.get("data") else model


def subtitle(run: RunFiles) -> str:
    """Return experiment, events, seed, machine and date in one line."""
    made, seed = run.provenance, run.settings.seed
    started = made.started or (run.status.started if run.status else None)
    parts = [
        f"experiment {made.choices['experiment']}" if made.choices.get("experiment") else "",
        f"{events} events" if (events := _events(run)) else "",
        f"seed {seed}" if seed is not None else "",
        made.accelerator or "",
        f"{started:%Y-%m-%d %H:%M}" if started else "",
    ]
    return " · ".join(part for part in parts if part)


def unfinished(run: RunFiles) -> str:
    """Return why figures are missing, in one sentence; empty where none is."""
    absent = [name for name in (files.RESULTS, files.PREDICTIONS) if name in run.missing]
    if not absent:
        return ""
    epoch = run.status.epoch if run.status else None
    after = f" after epoch {epoch}" if epoch is not None else ""
    reason = f" ({run.error})" if run.error else ""
    state = f"The state of this run is {run.state}{after}{reason}"
    return f"{state}: there is no {' and no '.join(absent)}, so the page shows only what the other files hold."


def finding(run: RunFiles) -> str:
    """Return the result in one or two sentences, as results.json has it."""
    counts = confusion_matrix(run)
    if counts is None:
        return "No test event was classified." if run.results else ""
    accuracy, events = percent(run.results.get("accuracy")), plural(int(counts.sum()), "test event")
    sentence = f"Of {events}, {accuracy} are classified correctly."
    wrong = np.nan_to_num(row_fractions(counts) * (1 - np.eye(len(NAMES))))
    if not wrong.max():
        return sentence
    truth, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    mistake = f"{percent(wrong.max())} of the {NAMES[truth]}s are taken for {NAMES[predicted]}s"
    return f"{sentence} The most frequent mistake: {mistake}."


def provenance(run: RunFiles) -> list[tuple[str, str]]:
    """Return what made the run, as names and values."""
    made, status = run.provenance, run.status
    commit = f"{made.git.commit}{', with uncommitted changes' if made.git.dirty else ''}" if made.git.commit else None
    pairs = [
        ("cdmtrain", made.cdmtrain),
        ("git commit", commit),
        ("host", made.host),
        ("accelerator", made.accelerator),
        ("versions", ", ".join(f"{name} {version}" for name, version in made.versions.items())),
        ("started", made.started or (status and status.started)),
        ("ended", status and status.ended),
        ("state", None if status is None else run.state),
        ("overrides", " ".join(made.overrides)),
        ("events", _events(run)),
    ]
    for number, source in enumerate(made.data.sources if made.data else []):
        name = f"{source.file}, " if source.file else ""
        words = f"{name}{count(source.num_events)} events, fingerprint {source.fingerprint}"
        pairs.append((f"source {number + 1}", words))
    return [(name, str(value)) for name, value in pairs if value]


def _events(run: RunFiles) -> str:
    """Return the events of each part: `40,319 train, 3,840 val, 3,840 test`."""
    data = run.provenance.data
    return f"{count(data.train)} train, {count(data.val)} val, {count(data.test)} test" if data else ""
