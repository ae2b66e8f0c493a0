"""cdmtrain task=status: the state of runs, read from their status.json."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from omegaconf import DictConfig, ListConfig
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdmtrain.errors import InputError
from cdmtrain.report.kit import numbers
from cdmtrain.runs import files
from cdmtrain.runs.check import check
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.find import find_runs
from cdmtrain.runs.read import RunFiles, is_lost, read_status, read_submission
from cdmtrain.runs.records import Settings, Status
from cdmtrain.terminal import printable

ORDER = ("running", "submitted", "preempted", "interrupted", "lost", "failed", "unreadable", "diverged", "finished")
MOST_CHARACTERS = 2000  # of an error
UNATTENDED = ("interrupted", "lost", "failed")  # these do not continue by themselves
STYLES = {
    "running": "cyan",
    "finished": "green",
    "diverged": "red",
    "lost": "red",
    "failed": "red",
    "unreadable": "red",
}


def status(cfg: DictConfig) -> None:
    """Print one line per run, the unfinished ones first, and the number of runs in each state."""
    paths = [str(path) for path in cfg.runs] if isinstance(cfg.runs, ListConfig) else [str(cfg.runs)]
    runs = [read_state(path) for path in find_runs(paths)]
    if not runs:
        raise InputError(f"runs={','.join(paths)}: there is no run in it; give run directories, or one that holds them")
    states = [run.state for run in runs]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, side in {"run": "left", "state": "left", "epoch": "right", "": "right", "left": "right"}.items():
        table.add_column(title, justify=side, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("", overflow="fold")
    for state, cells in rows(states, runs):
        table.add_row(*(Text(printable(cell)) for cell in cells), style=STYLES.get(state))
    console = Console()
    console.print(table)
    counts = [f"{states.count(state)} {state}" for state in sorted(set(states), key=rank)]
    console.print(f"{len(runs)} run{'s' * (len(runs) > 1)}: {', '.join(counts)}")
    if set(states) & set(UNATTENDED):
        console.print("to continue one: cdmtrain run=DIRECTORY; all of a sweep: its command with sweep.dir=")


def read_state(path: Path) -> RunFiles:
    """Read how far a run is: its settings, status and submission alone, or in `problem` why they cannot be read."""
    try:
        found, settings = read_status(path), check(read_config_file(path) or {}, Settings, str(path / files.CONFIG))
        lost = found is not None and is_lost(path, found)
        return RunFiles(path, settings=settings, status=found, is_lost=lost, submission=read_submission(path))
    except InputError as error:
        return RunFiles(path, problem=str(error))


def rows(states: Sequence[str], runs: Sequence[RunFiles]) -> Iterator[tuple[str, list[str]]]:
    """Yield the state and the cells of each row; runs of one state share a row where each needs one line.

    For a thousand rows rich takes longer than it takes to read as many runs.
    """
    lines = sorted(zip(states, map(line, runs), strict=True), key=lambda one: rank(one[0]))
    for (state, short), alike in groupby(lines, key=lambda one: (one[0], _is_short(one[1]))):
        cells = [own for _, own in alike]
        for some in [cells] if short else [[own] for own in cells]:
            yield state, ["\n".join(column) for column in zip(*some, strict=True)]


def _is_short(cells: list[str]) -> bool:
    """Whether the cells need one line: the last one is folded, and a directory's name may have a line break."""
    return not cells[-1] and "\n" not in cells[0]


def rank(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)


def line(run: RunFiles) -> list[str]:
    """Name, state, epoch, metric, time left, and where the run is or why it stopped."""
    status, epochs = run.status, run.settings.trainer.max_epochs or -1
    metric = status.metric if status else None
    value = f"{metric.name} {numbers.fraction(metric.value)}" if metric else numbers.DASH
    epoch = numbers.count(status and status.epoch) + (f"/{epochs}" if epochs > 0 else "")
    return [run.directory.name, run.state, epoch, value, time_left(run), remark(run)]


def time_left(run: RunFiles, now: datetime | None = None) -> str:
    """The time until the last epoch ends, at the pace so far; a dash where it is unknown."""
    end = run.status.expected_end if run.status else None
    if run.state != "running" or not end:
        return numbers.DASH
    return numbers.duration(max(0, round((end - (now or datetime.now(UTC))).total_seconds())))


def _silence(status: Status | None) -> str:
    """What is known of a run that is lost; the kernel lets no process say that its memory was full."""
    since = f"{status.updated:%Y-%m-%d %H:%M} UTC" if status and status.updated else "its beginning"
    return f"no heartbeat since {since}: killed, perhaps because the memory of its machine or job was full"


def remark(run: RunFiles) -> str:
    """Where a run is, or what stopped it and where its log is."""
    job, status = run.submission, run.status
    if run.state in ("failed", "unreadable", "lost"):
        reason = (run.error or _silence(status))[:MOST_CHARACTERS]
        return reason + (f" (log: {job.log})" if job else "")
    host = f"on {status.host}" if status and run.state == "running" else ""
    return ", ".join(part for part in (host, f"job {job.job}" if job and run.state != "finished" else "") if part)
