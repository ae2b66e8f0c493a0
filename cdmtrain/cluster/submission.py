"""Submits the runs of a sweep to SLURM, with configuration and code frozen against later edits."""

import getpass
import json
import logging
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from cdmtrain.atomic import write_json
from cdmtrain.cluster.code import copy_code, import_lines
from cdmtrain.config.check import check
from cdmtrain.config.explain import explain
from cdmtrain.config.outcomes import VARIABLES, environment, record_failure
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.directory import reserve_run_dir
from cdmtrain.runs.names import new_name
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.read import is_finished, read_submission
from cdmtrain.runs.records import Submission
from cdmtrain.runs.status import write_submitted

log = logging.getLogger(__name__)

# settings whose names in submitit have no prefix slurm_
GENERIC = ("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node")


@dataclass(frozen=True)
class Work:
    """What a job runs on its node: a task and its composed configuration, in a form that can be pickled.

    Singletons are Hydra's state, which a launcher has to carry to its processes (as in Hydra's example of a launcher).
    """

    cfg: DictConfig
    task: TaskFunction
    context: HydraContext
    singletons: dict[Any, Any]

    def __call__(self) -> None:
        """Run the task. A failure is printed as a sentence or a traceback and gives exit status 1."""
        logging.getLogger("submitit").propagate = False  # submitit prints its own lines
        Singleton.set_state(self.singletons)
        setup_globals()
        with environment(dict.fromkeys(VARIABLES)):  # set by the command that submitted the job
            ended = run_job(self.task, self.cfg, "hydra.sweep.dir", "hydra.sweep.subdir", self.context)
        try:
            ended.return_value  # noqa: B018  (raises the exception of a task that failed)
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            raise SystemExit(f"error: {sentence}") from error

    def checkpoint(self) -> Any:
        """Return what submitit queues when the job was preempted or timed out: the same, as a run resumes by itself."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


@dataclass
class Job:
    """A job of the cluster, on the side of the process that submits it."""

    work: Work
    run: Path | None  # run directory; None if the task is not a training
    id: str | None = None  # of SLURM; None for a run that is already finished
    log: Path | None = None
    result: Path | None = None  # written by submitit when the task has succeeded

    @property
    def name(self) -> str:
        return self.run.name if self.run else " ".join(self.work.cfg.hydra.overrides.task)

    def ended(self, failure: Exception | None) -> JobReturn:
        """Return the job for Hydra as completed, and record its failure: Hydra would stop at the first failed job."""
        overrides = list(self.work.cfg.hydra.overrides.task)
        if failure:
            record_failure(overrides, str(failure), failure)
        return JobReturn(overrides=overrides, cfg=self.work.cfg, status=JobStatus.COMPLETED)


def submit(
    job_overrides: Sequence[Sequence[str]], config: DictConfig, context: HydraContext, task: TaskFunction
) -> list[Job]:
    """Submit the runs that are neither finished nor queued, one job array for each set of resources."""
    check_machine()
    state = Singleton.get_state()
    composed = [context.config_loader.load_sweep_config(config, list(overrides)) for overrides in job_overrides]
    jobs = [Job(Work(cfg, task, context, state), run) for cfg, run in map(freeze, composed)]
    waiting = [job for job in jobs if not (job.run and is_finished(job.run))]
    queue, new = queued_jobs(), []
    for job in waiting:
        before = read_submission(job.run) if job.run else None
        if before and before.job in (queue or ()):
            job.id, job.log = before.job, Path(before.log)
            log.info("%s: already in the queue as job %s", job.name, job.id)
        else:
            new.append(job)
    for same in arrays(new):
        submit_array(same, pickles_folder(Path(config.sweep.dir).absolute()) / new_name())
    for job in jobs:
        log.info("%s: %s", job.name, f"job {job.id}" if job.id else "is finished")
    return jobs


def check_machine() -> None:
    try:
        import submitit  # noqa: F401
    except ModuleNotFoundError:
        raise InputError("hydra/launcher=slurm needs submitit: pip install 'cdmtrain[slurm]'") from None
    if not shutil.which("sbatch"):
        raise InputError("hydra/launcher=slurm: this machine has no sbatch; submit from a login node of the cluster")


def freeze(cfg: DictConfig) -> tuple[DictConfig, Path | None]:
    """Check and resolve the configuration of a job; return it with its run directory (None if it is not a training)."""
    HydraConfig.instance().set_config(cfg)
    names = [str(name) for name in cfg if name != "hydra"]
    ours = OmegaConf.masked_copy(cfg, names)
    check(ours)
    path = None
    if HydraConfig.get().runtime.choices["task"] in ("train", "pretrain"):
        path = reserve_run_dir(ours)
        RunProvenance(path, ours)
    with open_dict(cfg), read_write(cfg.hydra):
        if path and not cfg.get("run"):
            cfg.run_dir = str(path)
        cfg.hydra.sweep.dir = str(cfg.sweep.dir)
        cfg.hydra.launcher = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
        cfg.hydra.mode = RunMode.RUN  # on its node the job is a single run
        cfg.hydra.runtime.choices["hydra/launcher"] = "basic"
        for name in names:
            if OmegaConf.is_config(cfg[name]):
                cfg[name] = OmegaConf.to_container(cfg[name], resolve=True)
    return cfg, path


def arrays(jobs: list[Job]) -> Iterator[list[Job]]:
    """Group the jobs by the resources they ask for."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(json.dumps(resources(job.work.cfg)), []).append(job)
    yield from groups.values()


def resources(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings of the launcher under submitit's names; a run on the CPU asks for no GPUs."""
    settings = dict(OmegaConf.to_container(cfg.hydra.launcher, resolve=True))  # type: ignore[arg-type]
    for key, name in {"tasks_per_node": "devices", "nodes": "num_nodes"}.items():
        if type(settings[key]) is not int:
            raise InputError(f"trainer.{name}={settings[key]}: a job on a cluster needs a number")
    if cfg.trainer.accelerator == "cpu":
        settings["gpus_per_node"] = None
    if settings["cpus_per_task"]:  # since SLURM 22.05 srun does not inherit it from sbatch
        settings["srun_args"] = [*settings["srun_args"], f"--cpus-per-task={settings['cpus_per_task']}"]
    named = {key if key in GENERIC else f"slurm_{key}": value for key, value in settings.items() if key != "_target_"}
    return {key: value for key, value in named.items() if value is not None}


def pickles_folder(sweep: Path) -> Path:
    """Return the folder of a sweep for what its jobs unpickle, which runs code: no other user may change it.

    Raises:
        InputError: where another user owns it or may write there, or it is a link.
    """
    folder = sweep / "slurm"
    sweep.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(folder):
        folder.mkdir(mode=0o700)
    for path, status in ((sweep, sweep.stat()), (folder, folder.lstat())):
        is_open = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), 0) or is_open:
            raise InputError(f"another user can change {path}, and so what its jobs run; choose another sweep.dir=")
    return folder


def submit_array(jobs: list[Job], folder: Path) -> None:
    """Submit an array of jobs with equal resources, and write the number and log of each to its submission.json."""
    import submitit

    asked = resources(jobs[0].work.cfg)
    asked["slurm_setup"] = [*asked["slurm_setup"], *import_lines(copy_code(Path(jobs[0].work.cfg.launch.code_dir)))]
    executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=asked.pop("slurm_max_num_timeout"))
    executor.update_parameters(stderr_to_stdout=True, **asked)
    for job in jobs:
        if job.run:
            write_submitted(job.run)
    try:
        with executor.batch():
            submitted = [executor.submit(job.work) for job in jobs]
    except submitit.core.utils.FailedJobError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[-1]
        raise InputError(
            f"the cluster refuses the job: {reason}; --cfg hydra shows the settings of hydra.launcher"
        ) from error
    for job, there in zip(jobs, submitted, strict=True):
        job.id, job.log, job.result = there.job_id, there.paths.stdout, there.paths.result_pickle
        if job.run:
            write_json(job.run / files.SUBMISSION, asdict(Submission(job.id, str(job.log))))


def queued_jobs() -> dict[str, str] | None:
    """Return the jobs of this user in the queue, {number: reason for waiting}; None if the cluster does not answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i %r", f"--user={getpass.getuser()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    jobs = (line.partition(" ") for line in answer.stdout.splitlines())
    return {number: reason for number, _, reason in jobs}
