"""The sentences at the head of the page: what was run, how it ended, what the result says."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from cdmtrain.particles import NAMES
from cdmtrain.report.kit.numbers import count, is_number, percent
from cdmtrain.report.run.confusion import confusion_matrix, row_fractions
from cdmtrain.report.run_files import RunFiles

COUNTS = ("events", "train", "val", "test")  # of the data in provenance.json


def title(run: RunFiles) -> str:
    """Return network and data: `cnn on hdf5`."""
    choices = run.provenance.get("choices") or {}
    model = choices.get("model") or str((run.config.get("model") or {}).get("_target_", "a run")).rpartition(".")[2]
    return f"{model} on {choices['data']}" if choices.get("data") else str(model)


def subtitle(run: RunFiles) -> str:
    """Return events, experiment, seed, machine and date in one line."""
    data, choices = run.provenance.get("data") or {}, run.provenance.get("choices") or {}
    events = _split(data)
    parts = [f"{events} events"] if events else []
    if choices.get("experiment"):
        parts.insert(0, f"experiment {choices['experiment']}")
    if "seed" in run.config:
        parts.append(f"seed {run.config['seed']}")
    if run.provenance.get("accelerator"):
        parts.append(str(run.provenance["accelerator"]))
    started = str(run.provenance.get("started") or run.status.get("started") or "")
    return " · ".join([*parts, started[:16].replace("T", " ")] if started else parts)


def unfinished(run: RunFiles) -> str:
    """Return why figures are missing, in one sentence; empty when nothing is."""
    absent = [name for name in ("results.json", "predictions.h5") if name in run.missing]
    if not absent:
        return ""
    epoch, error = run.status.get("epoch"), run.status.get("error")
    state = f"This run's state is {run.status.get('state') or 'unknown'}"
    when = f", its last epoch {epoch}" if is_number(epoch) else ""
    reason = f" ({error})" if error else ""
    return f"{state}{when}{reason}: there is no {' and no '.join(absent)}, and the page shows what there is."


def finding(run: RunFiles) -> str:
    """Return the result in one or two sentences, read off results.json."""
    counts = confusion_matrix(run)
    if counts is None:
        return "No test event was classified." if run.results else ""
    accuracy = percent(run.results.get("accuracy"))
    first = f"Of {count(int(counts.sum()))} test events, {accuracy} get the right name."
    wrong = np.nan_to_num(row_fractions(counts) * (1 - np.eye(len(NAMES))))
    truth, said = np.unravel_index(wrong.argmax(), wrong.shape)
    if not wrong.max():
        return first
    return f"{first} The most frequent mistake: {percent(wrong.max())} of the {NAMES[truth]}s are called {NAMES[said]}."


def provenance(run: RunFiles) -> list[tuple[str, str]]:
    """Return where the numbers come from, as names and values."""
    made = run.provenance
    git, data = made.get("git") or {}, made.get("data") or {}
    commit = f"{git['commit']}{', with uncommitted changes' if git.get('dirty') else ''}" if git.get("commit") else None
    pairs = [
        ("cdmtrain", made.get("cdmtrain")),
        ("git commit", commit),
        ("host", made.get("host")),
        ("accelerator", made.get("accelerator")),
        ("versions", ", ".join(f"{name} {version}" for name, version in (made.get("versions") or {}).items())),
        ("started", made.get("started") or run.status.get("started")),
        ("ended", run.status.get("ended")),
        ("state", run.status.get("state")),
        ("overrides", " ".join(str(override) for override in made.get("overrides") or [])),
        ("events", _split(data)),
    ]
    about_data = {key: _without_simulation(value) for key, value in data.items() if key not in COUNTS}
    return [(name, str(value)) for name, value in pairs if value] + list(settings(about_data, "data"))


def _without_simulation(value: Any) -> Any:
    """Leave out how a sample was simulated, which the settings tell already."""
    if isinstance(value, list):
        return [_without_simulation(inner) for inner in value]
    return {key: inner for key, inner in value.items() if key != "simulation"} if isinstance(value, dict) else value


def _split(data: dict[str, Any]) -> str:
    """Return the events of each part: `40,319 train, 3,840 val, 3,840 test`."""
    return ", ".join(f"{count(data[key])} {key}" for key in COUNTS[1:] if is_number(data.get(key)))


def settings(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings of a configuration as dotted names and values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from settings(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from settings(inner, f"{prefix}.{number}")
    elif prefix:
        yield prefix, as_typed(value)


def as_typed(value: Any) -> str:
    """Return a setting as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(as_typed, value))}]" if isinstance(value, list) else str(value)
