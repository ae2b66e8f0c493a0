"""How the jobs of one command ended, also those that a launcher runs in other processes of this machine.

Hydra prints a traceback of its own for a job that raises, and stops looking at a sweep after the first one. So a job
does not raise: it leaves the sentence of its failure in a directory that the command made for it, and the command
prints all of them at the end. With HYDRA_FULL_ERROR=1 jobs raise, and every traceback is shown.
"""

import json
import os
import secrets
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cdmtrain.atomic import write_json
from cdmtrain.config.own_code import own_lines

DIRECTORY_ENV = "CDMTRAIN_OUTCOMES"  # tells the jobs of a command where to record
TRACEBACK_ENV = "HYDRA_FULL_ERROR"  # 1: Hydra raises what it would print
VARIABLES = (DIRECTORY_ENV, TRACEBACK_ENV)  # that processes on other machines must not see


@dataclass(frozen=True)
class Failure:
    """Why a job failed."""

    overrides: str  # the words of the job
    sentence: str | None  # None for a fault of the program
    traceback: str
    own_lines: str = ""  # those of the user in the traceback


def failures(folder: Path) -> list[Failure]:
    """The failures that the jobs of a command have recorded in its directory."""
    return [Failure(**json.loads(file.read_text())) for file in sorted(folder.glob("failure_*.json"))]


def sweep_dir(folder: Path) -> Path | None:
    """The directory of the sweep; None where the command was no sweep."""
    file = folder / "sweep.json"
    return Path(json.loads(file.read_text())["directory"]) if file.exists() else None


@contextmanager
def collected() -> Iterator[Path]:
    """Let the jobs that run meanwhile record how they end; errors of composition are raised."""
    with TemporaryDirectory() as folder, environment({DIRECTORY_ENV: folder, TRACEBACK_ENV: "1"}):
        yield Path(folder)


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of the environment for a while; None unsets one."""
    before = {name: os.environ.get(name) for name in values}

    def set_all(new: Mapping[str, str | None]) -> None:
        for name, value in new.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    set_all(values)
    try:
        yield
    finally:
        set_all(before)


def are_recorded() -> bool:
    """Whether a failure is recorded for the command to print, rather than raised."""
    return DIRECTORY_ENV in os.environ


def record_failure(overrides: Sequence[str], sentence: str | None, error: BaseException) -> None:
    """Record that the job with these words failed."""
    if folder := os.environ.get(DIRECTORY_ENV):
        trace = "".join(traceback.format_exception(error))
        count = len(list(Path(folder).glob("failure_*.json")))
        path = Path(folder) / f"failure_{count:06d}_{secrets.token_hex(4)}.json"
        write_json(path, asdict(Failure(" ".join(overrides), sentence, trace, own_lines(error))))


def record_sweep(directory: str) -> None:
    """Record where the sweep of this command writes."""
    if folder := os.environ.get(DIRECTORY_ENV):
        write_json(Path(folder) / "sweep.json", {"directory": str(directory)})
