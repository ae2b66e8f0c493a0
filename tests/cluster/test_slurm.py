"""Sweeps and single runs on a real SLURM cluster of this one machine: `python -m pytest -m cluster`."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "slurm.sh"
NUM_EVENTS = 2000
STEPS = 168  # of an epoch: 84 % of the events in tens
TRAIN = "data=hdf5 data.image_size=16 data.batch_size=10 trainer.accelerator=cpu print_config=false"
SLURM = "hydra/launcher=slurm hydra.launcher.mem_gb=null hydra.launcher.cpus_per_task=1"
LONG = "model=cnn model.channels=[2,4] trainer.max_epochs=8 callbacks.checkpoint.every_seconds=600"
TWO = "trainer=ddp trainer.devices=2"


@pytest.fixture(scope="module")
def here() -> Iterator[Path]:
    """A directory with a running cluster and with events, and the environment to use them in."""
    if not shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin"):
        reason = f"SLURM is not installed: {SCRIPT.relative_to(ROOT)} install"
        assert "CI" not in os.environ, reason
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="cluster_") as name, pytest.MonkeyPatch.context() as patch:
        folder, cluster = Path(name).resolve(), Path(name).resolve() / "slurm"
        folder.chmod(0o755)  # munge wants its socket where others may go
        patch.chdir(folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("SLURM_CONF", str(cluster / "slurm.conf"))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        write_events(folder / "events.h5")
        subprocess.run([SCRIPT, "start", cluster], check=True, timeout=60)
        yield folder
        subprocess.run([SCRIPT, "stop", cluster], check=True, timeout=60)
        assert not cluster.exists()
        assert str(cluster) not in subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout


def write_events(path: Path) -> None:
    """Images of noise, brighter for one class than for the next."""
    random = np.random.default_rng(1)
    which = random.integers(0, 4, NUM_EVENTS)
    images = random.gamma(2.0, 1.0 + which[:, None, None], (NUM_EVENTS, 16, 16)) * (random.random((16, 16)) < 0.2)
    with h5py.File(path, "w") as file:
        file["image"] = images.astype(np.float32)
        file["pdg"] = np.array([11, 13, 22, 2212], np.int32)[which]
        file["index"] = np.arange(NUM_EVENTS, dtype=np.int32)


def typed(*words: str) -> list[str]:
    return ["cdmtrain", *" ".join(words).split()]


def cdmtrain(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(typed(*words), capture_output=True, text=True, timeout=150, check=False)


def told(place: str) -> str:
    """What task=status says of the runs there."""
    return cdmtrain(f"task=status runs={place}").stdout


def submit(*words: str) -> list[str]:
    """Submit a sweep without waiting for it; the numbers of its jobs."""
    done = cdmtrain("-m", SLURM, TRAIN, "launch.wait=false data.files=[events.h5]", *words)
    assert done.returncode == 0, done.stderr
    return re.findall(r": job (\S+)", done.stderr + done.stdout)


def status(run: Path) -> dict[str, Any]:
    path = run / "status.json"
    return json.loads(path.read_text()) if path.exists() else {"state": "", "epoch": None}


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.2)


def in_third_epoch(*runs: Path) -> Callable[[], bool]:
    return lambda: all((status(run)["epoch"] or 0) >= 2 for run in runs)


def all_are(state: str, *runs: Path) -> Callable[[], bool]:
    def condition() -> bool:
        failed = [status(run)["error"] for run in runs if status(run)["state"] == "failed"]
        assert state == "failed" or not failed, failed
        return all(status(run)["state"] == state for run in runs)

    return condition


def last_checkpoint(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)


def assert_same_result(one: Path, other: Path) -> None:
    first, second = last_checkpoint(one)["state_dict"], last_checkpoint(other)["state_dict"]
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    with h5py.File(one / "predictions.h5") as ours, h5py.File(other / "predictions.h5") as theirs:
        np.testing.assert_array_equal(ours["probability"], theirs["probability"])
    assert epochs(one, "val_loss") == epochs(other, "val_loss")


def epochs(run: Path, figure: str) -> list[str]:
    with (run / "metrics.csv").open() as stream:
        return [row[figure] for row in csv.DictReader(stream)]


def test_jobs_preempted_in_mid_epoch_end_as_undisturbed_ones(here: Path) -> None:
    with subprocess.Popen(
        typed("-m data.files=[events.h5] seed=1,2 sweep.dir=undisturbed", TRAIN, LONG), stdout=subprocess.DEVNULL
    ) as undisturbed:
        jobs = submit("seed=1,2 sweep.dir=preempted", LONG)
        runs = sorted((here / "preempted").glob("cnn_seed*"))
        assert len(jobs) == len(runs) == 2
        assert all({"config.yaml", "provenance.json"} <= {file.name for file in run.iterdir()} for run in runs)
        assert [json.loads((run / "submission.json").read_text())["job"] for run in runs] == jobs

        wait_for(in_third_epoch(*runs), 90, "the third epoch")
        subprocess.run(["scontrol", "requeue", jobs[0]], check=True)  # as when a more important job wants the node
        subprocess.run(["scancel", "--signal=USR2", jobs[1]], check=True)  # as before a time limit
        wait_for(all_are("preempted", *runs), 30, "preemption")
        assert all(last_checkpoint(run)["global_step"] % STEPS for run in runs)
        assert "2 runs: 2 preempted" in told("preempted")

        wait_for(all_are("finished", *runs), 120, "the end of preempted runs")
        assert undisturbed.wait(60) == 0
    for run in runs:
        assert_same_result(run, here / "undisturbed" / run.name)
        assert epochs(run, "train_loss") == epochs(here / "undisturbed" / run.name, "train_loss")
    assert "2 runs: 2 finished" in told("preempted")


def test_a_pretraining_preempted_in_mid_epoch_ends_as_an_undisturbed_one(here: Path) -> None:
    small = "model=sparse_resnet model.channels=[4,8] model.blocks=[1,1] objective.patch=4"
    words = f"task=pretrain {small} trainer.max_epochs=6 callbacks.checkpoint.every_seconds=600"
    with subprocess.Popen(
        typed("-m data.files=[events.h5] sweep.dir=unlabelled_alone", TRAIN, words), stdout=subprocess.DEVNULL
    ) as undisturbed:
        (job,) = submit("sweep.dir=unlabelled", words)
        (run,) = (here / "unlabelled").glob("sparse_resnet_seed1_*")
        wait_for(in_third_epoch(run), 90, "the third epoch")
        subprocess.run(["scontrol", "requeue", job], check=True)
        wait_for(all_are("preempted", run), 30, "preemption")
        assert last_checkpoint(run)["global_step"] % STEPS
        wait_for(all_are("finished", run), 120, "the end of the run")
        assert undisturbed.wait(60) == 0
    alone = here / "unlabelled_alone" / run.name
    first, second = last_checkpoint(run)["state_dict"], last_checkpoint(alone)["state_dict"]
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert epochs(run, "val_loss") == epochs(alone, "val_loss")


def test_a_sweep_is_an_array_that_goes_on_past_failed_jobs_and_ends_in_a_leaderboard(here: Path) -> None:
    swept = "model=cnn,dnn data.files=[events.h5],[gone.h5] trainer.max_epochs=2 sweep.dir=array"
    done = cdmtrain("-m", SLURM, TRAIN, swept)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all("gone.h5" in line and "_log.out)" in line for line in errors)
    assert "Traceback" not in done.stderr
    runs = {path.parent.name: json.loads(path.read_text()) for path in (here / "array").glob("*/status.json")}
    assert sorted(run["state"] for run in runs.values()) == ["failed", "failed", "finished", "finished"]
    submissions = [json.loads(path.read_text()) for path in (here / "array").glob("*/submission.json")]
    assert len({one["job"].split("_")[0] for one in submissions}) == 1
    assert "4 runs: 2 failed, 2 finished" in told("array")
    assert (here / "array/leaderboard.html").exists()
    logs = [Path(one["log"]).read_text() for one in submissions]
    assert sorted(len(re.findall(r"^epoch \d/2  train_loss", log, re.MULTILINE)) for log in logs) == [0, 0, 2, 2]
    assert not any("\r" in log or "it/s" in log for log in logs)  # no bars


def test_a_job_runs_the_program_and_settings_of_its_submission(here: Path) -> None:
    own = "launch.code_dir=edited +hydra.launcher.additional_parameters.hold=true"  # other sweeps would refuse its copy
    (job,) = submit("model=dnn trainer.max_epochs=1 sweep.dir=frozen", own)
    (run,) = (here / "frozen").glob("dnn_seed1_*")
    before = (run / "config.yaml").read_bytes(), json.loads((run / "provenance.json").read_text())["git"]
    assert "1 run: 1 submitted" in told("frozen")
    (script,) = (here / "frozen/slurm").glob("*/*_submission.sh")
    (copy,) = re.findall(r"PYTHONPATH=([^$]+)", script.read_text())
    with (Path(copy) / "cdmtrain/tasks/train.py").open("a") as program:  # an edit there does reach the job
        program.write("\nprint('this copy was run')\n")
    subprocess.run(["scontrol", "release", job], check=True)
    wait_for(all_are("finished", run), 60, "the end of the run")
    log = json.loads((run / "submission.json").read_text())["log"]
    assert "this copy was run" in Path(log).read_text()
    assert ((run / "config.yaml").read_bytes(), json.loads((run / "provenance.json").read_text())["git"]) == before


MYNET = """
from torch import nn


class MyNet(nn.Module):
    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, num_classes))

    def forward(self, image):
        return self.layers(image.energy)
"""
MYNET_YAML = """
defaults:
  - override /representation@_global_.representation: image
_target_: mynet.MyNet
"""


def test_a_job_trains_the_network_of_ones_own_that_was_submitted(here: Path) -> None:
    (here / "my/model").mkdir(parents=True)
    (here / "my/mynet.py").write_text(MYNET)
    (here / "my/model/mynet.yaml").write_text(MYNET_YAML)
    held = "+hydra.launcher.additional_parameters.hold=true"
    (job,) = submit("--config-dir=my model=mynet trainer.max_epochs=1 sweep.dir=own", held)
    (run,) = (here / "own").glob("mynet_seed1_*")
    (here / "my/mynet.py").write_text("raise RuntimeError('an edit after the submission')")
    subprocess.run(["scontrol", "release", job], check=True)
    wait_for(all_are("finished", run), 60, "the end of the run")


def documented_script() -> str:
    """The batch script of docs/cluster.md."""
    page = (ROOT / "docs/cluster.md").read_text("utf-8")
    found = re.search(r"<!-- sbatch -->\n```bash\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def test_two_processes_under_srun_are_one_run_preempted_or_not(here: Path) -> None:
    submit("sweep.dir=two", LONG, TWO)  # one task a device, by the launcher
    (undisturbed,) = (here / "two").glob("cnn_seed1_*")
    script, command = documented_script(), " ".join(typed(LONG, TWO, TRAIN, "data.files=[events.h5]"))
    (here / "job.sh").write_text(re.sub(r"(?m)^srun cdmtrain .*", f"srun {command}", script))
    options = ["--ntasks-per-node=2", "--gpus-per-node=0", "--cpus-per-task=1", "--mem=0"]
    job = subprocess.run(["sbatch", "--parsable", *options, "job.sh"], capture_output=True, text=True, check=True)
    run = here / "outputs/train/cnn" / f"slurm_{job.stdout.strip()}_0"

    wait_for(in_third_epoch(run), 90, "the third epoch")
    subprocess.run(["scancel", "--signal=USR2", job.stdout.strip()], check=True)
    wait_for(all_are("preempted", run), 30, "preemption")
    assert last_checkpoint(run)["global_step"] % STEPS
    wait_for(all_are("finished", run, undisturbed), 120, "the end of both runs")
    assert_same_result(run, undisturbed)
    losses = [[float(loss) for loss in epochs(one, "train_loss")] for one in (run, undisturbed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # of all processes, in the broken epoch too
    with h5py.File(run / "predictions.h5") as predictions:  # each event once
        np.testing.assert_array_equal(predictions["index"], np.arange(NUM_EVENTS * 92 // 100, NUM_EVENTS))
