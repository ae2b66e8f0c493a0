"""Waiting for the jobs of a sweep: the queue says that a job is over, its own files how it ended."""

import logging
import time

from hydra.core.utils import JobReturn

from cdmtrain.cluster.submission import Job, queued_jobs
from cdmtrain.errors import InputError
from cdmtrain.runs.read import read_status
from cdmtrain.runs.records import Status

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 15.0


def wait(jobs: list[Job]) -> list[JobReturn]:
    """Return when no job is in the queue any more; say meanwhile whenever a run has changed its state."""
    told: dict[str, str] = {}
    pause = 1.0
    try:
        while True:
            queue = queued_jobs()
            for job in jobs:
                _tell(job, (queue or {}).get(str(job.id), ""), told)
            if queue is not None and not any(job.id in queue for job in jobs):
                return [job.ended(failure(job)) for job in jobs]
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE_S)
    except KeyboardInterrupt:
        numbers = " ".join(sorted({job.id.split("_")[0] for job in jobs if job.id}))
        log.info(
            "the jobs stay with the cluster: cdmtrain task=status runs=... shows the runs, scancel %s ends them",
            numbers,
        )
        raise


def failure(job: Job) -> Exception | None:
    """Why a job that is over did not do its task; None if it did."""
    if job.run:
        status = _status(job)
        if status and status.state == "finished":
            return None
        state = status.state if status else "unknown"
        reason = (status.error if status else None) or f"the job ended while its run was {state}"
    elif job.result and job.result.exists():
        return None
    else:
        reason = "the task did not end well"
    return InputError(f"{reason} (log: {job.log})")


def _status(job: Job) -> Status | None:
    return read_status(job.run) if job.run else None


def _tell(job: Job, reason: str, told: dict[str, str]) -> None:
    """Log the run's state where it is news, with its host, or with what the cluster says that it waits for."""
    status = _status(job)
    if status is None:
        return
    where = {
        "running": f" on {status.host}",
        "submitted": f", waits for {reason}" if reason not in ("", "None") else "",
    }
    line = status.state + where.get(status.state, "")
    if told.get(job.name) != line:
        told[job.name] = line
        log.info("%s: %s", job.name, line)
