"""cdmtrain task=status: the state of runs, read from their status.json."""

import json
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig, ListConfig
from rich import box
from rich.console import Console
from rich.table import Table

from cdmtrain.errors import InputError
from cdmtrain.report.kit import numbers
from cdmtrain.report.leaderboard.ranking import find_runs, state_of
from cdmtrain.report.run_files import RunFiles, read_run

ORDER = ("running", "submitted", "preempted", "interrupted", "lost", "failed", "unreadable", "finished")
UNATTENDED = ("interrupted", "lost", "failed")  # these do not continue by themselves
STYLES = {"running": "cyan", "finished": "green", "lost": "red", "failed": "red", "unreadable": "red"}


def status(cfg: DictConfig) -> None:
    """Print one line per run, the unfinished ones first, and the number of runs in each state."""
    paths = [str(path) for path in cfg.runs] if isinstance(cfg.runs, ListConfig) else [str(cfg.runs)]
    runs = [read(path) for path in find_runs(paths)]
    if not runs:
        raise InputError(f"runs={','.join(paths)}: there is no run in it; give run directories, or one that holds them")
    states = [state_of(run) for run in runs]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, side in {"run": "left", "state": "left", "epoch": "right", "": "right", "left": "right"}.items():
        table.add_column(title, justify=side, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("", overflow="fold")
    for state, run in sorted(zip(states, runs, strict=True), key=lambda one: rank(one[0])):
        table.add_row(*line(run, state), style=STYLES.get(state))
    console = Console()
    console.print(table)
    counts = [f"{states.count(state)} {state}" for state in sorted(set(states), key=rank)]
    console.print(f"{len(runs)} run{'s' * (len(runs) > 1)}: {', '.join(counts)}")
    if set(states) & set(UNATTENDED):
        console.print("to continue one: cdmtrain run=DIRECTORY; all of a sweep: its command with sweep.dir=")


def read(path: Path) -> RunFiles:
    try:
        return read_run(path, with_predictions=False)
    except (InputError, OSError) as error:
        return RunFiles(path, {}, {}, {"state": "unreadable", "error": str(error)}, {}, {}, None, ())


def rank(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)


def line(run: RunFiles, state: str) -> list[str]:
    """Name, state, epoch, metric, time left, and where the run is or why it stopped."""
    said = run.status
    epochs = (run.config.get("trainer") or {}).get("max_epochs") or -1
    metric = said.get("metric") or {}
    figure = f"{metric['name']} {numbers.fraction(metric['value'])}" if metric else numbers.DASH
    epoch = numbers.count(said.get("epoch")) + (f"/{epochs}" if epochs > 0 else "")
    return [run.directory.name, state, epoch, figure, time_left(run, state), remark(run, state)]


def time_left(run: RunFiles, state: str, now: datetime | None = None) -> str:
    """The time until the last epoch ends, at the pace so far; a dash where it is unknown."""
    end = run.status.get("expected_end")
    if state != "running" or not end:
        return numbers.DASH
    seconds = (datetime.fromisoformat(str(end)) - (now or datetime.now(UTC))).total_seconds()
    return numbers.duration(max(0, round(seconds)))


def remark(run: RunFiles, state: str) -> str:
    """Where a run is, or what stopped it and where its log is."""
    said = run.status
    path = run.directory / "submission.json"
    job = json.loads(path.read_text()) if path.is_file() else {}
    number = f"job {job['job']}" if job else ""
    if state in ("failed", "unreadable", "lost"):
        reason = said.get("error") or f"silent since {said.get('updated')}"
        return reason + (f" (log: {job['log']})" if job else "")
    host = f"on {said.get('host')}" if state == "running" else ""
    return ", ".join(part for part in (host, number if state != "finished" else "") if part)
