"""Waits for the jobs of a sweep: the queue tells when a job has ended, the files of its run tell how."""

import logging
import time

from hydra.core.utils import JobReturn

from cdmtrain.cluster.submission import Job, queued_jobs
from cdmtrain.errors import InputError
from cdmtrain.runs.read import read_status

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 15.0


def wait(jobs: list[Job]) -> list[JobReturn]:
    """Wait until no job is left in the queue, and log every change of state of a run."""
    logged: dict[str, str] = {}
    pause = 1.0
    try:
        while True:
            queue = queued_jobs()
            for job in jobs:
                _log_state(job, (queue or {}).get(str(job.id), ""), logged)
            if queue is not None and not any(job.id in queue for job in jobs):
                return [job.ended(failure(job)) for job in jobs]
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE_S)
    except KeyboardInterrupt:
        numbers = " ".join(sorted({job.id.split("_")[0] for job in jobs if job.id}))
        log.info(
            "the jobs stay in the queue: cdmtrain task=status runs=... shows the runs, scancel %s ends them", numbers
        )
        raise


def failure(job: Job) -> Exception | None:
    """Return why a job that has ended failed; None if it succeeded."""
    if job.run:
        status = read_status(job.run)
        if status and status.state in ("finished", "diverged"):
            return None
        state = status.state if status else "unknown"
        reason = (status.error if status else None) or f"the job ended while its run was {state}"
    elif job.result and job.result.exists():
        return None
    else:
        reason = "the task did not end well"
    return InputError(f"{reason} (log: {job.log})")


def _log_state(job: Job, reason: str, logged: dict[str, str]) -> None:
    """Log the state of a run if it has changed, with its host or the reason why its job waits."""
    status = read_status(job.run) if job.run else None
    if status is None:
        return
    waits = f", waiting for {reason}" if reason not in ("", "None") else ""
    line = status.state + {"running": f" on {status.host}", "submitted": waits}.get(status.state, "")
    if logged.get(job.name) != line:
        logged[job.name] = line
        log.info("%s: %s", job.name, line)
