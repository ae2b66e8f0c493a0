"""What a job is given at submission, looked at without a cluster; tests/cluster has one."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

import cdmtrain
from cdmtrain import cli
from cdmtrain.cluster.code import copy_code, import_lines
from cdmtrain.cluster.submission import Job, Work, arrays, freeze, pickles_folder, resources
from cdmtrain.cluster.waiting import failure
from cdmtrain.config.roots import using
from cdmtrain.errors import InputError

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        yield


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., DictConfig]:
    """The configuration of a job of a sweep, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def compose_job(*words: str) -> DictConfig:
        if not any(word.startswith("hydra/launcher") for word in words):
            words = ("hydra/launcher=slurm", *words)
        return compose("config", ["hydra.mode=MULTIRUN", *words], return_hydra_config=True)

    return compose_job


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"tasks_per_node": 1, "nodes": 1, "gpus_per_node": 1, "mem_gb": 16, "timeout_min": 240}),
        (["trainer=cpu"], {"tasks_per_node": 1, "gpus_per_node": None, "slurm_partition": None}),
        (["trainer=ddp", "trainer.devices=3", "trainer.accelerator=cpu"], {"tasks_per_node": 3, "gpus_per_node": None}),
        (
            ["hydra/launcher=slurm_node", "trainer=ddp", "trainer.devices=4"],
            {"tasks_per_node": 4, "nodes": 1, "gpus_per_node": 4, "mem_gb": 0, "slurm_exclusive": True},
        ),
        (
            ["hydra/launcher=slurm_nodes", "trainer=ddp", "trainer.devices=4", "trainer.num_nodes=2"],
            {"tasks_per_node": 4, "nodes": 2, "gpus_per_node": 4},
        ),
        (
            ["hydra.launcher.partition=gpu", "hydra.launcher.account=lar", "hydra.launcher.setup=[module load cuda]"],
            {"slurm_partition": "gpu", "slurm_account": "lar", "slurm_setup": ["module load cuda"]},
        ),
        (["hydra.launcher.cpus_per_task=7"], {"cpus_per_task": 7, "slurm_srun_args": ["--cpus-per-task=7"]}),
    ],
)
def test_what_is_asked_of_the_cluster_follows_the_trainer(
    composed: Callable[..., DictConfig], words: list[str], asked: dict[str, object]
) -> None:
    found = resources(composed(*words))
    assert {name: found.get(name) for name in asked} == asked


def test_a_number_of_devices_is_wanted(composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(InputError, match="devices=auto: a job on a cluster needs a number"):
        resources(composed("trainer.devices=auto"))


def test_runs_on_different_devices_are_different_arrays(composed: Callable[..., DictConfig]) -> None:
    jobs = [job_of(composed(*words.split())) for words in ("seed=1", "seed=2 trainer.devices=2", "seed=3")]
    assert [[job.work.cfg.seed for job in array] for array in arrays(jobs)] == [[1, 3], [2]]


def job_of(cfg: DictConfig, run: Path | None = None) -> Job:
    return Job(Work(cfg, cli.job, None, {}), run)  # type: ignore[arg-type]


def test_a_job_is_frozen_with_its_directory_when_it_is_submitted(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "-m", "seed=5"])
    cfg, run = freeze(composed("seed=5", "model=dnn", "logger=tensorboard", "sweep.dir=sweep"))
    assert run is not None
    assert run.parent == Path("sweep")
    assert run.name.startswith("dnn_seed5_")
    recorded = OmegaConf.load(run / "config.yaml")
    assert recorded.logger.tensorboard.save_dir == cfg.logger.tensorboard.save_dir == cfg.run_dir == str(run)
    assert "hydra" not in recorded
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["choices"]["model"] == "dnn"
    assert set(provenance["git"]) >= {"commit", "dirty"}
    text = OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, [name for name in cfg if name != "hydra"]))
    assert "${" not in text
    assert cfg.hydra.sweep.dir == "sweep"
    assert freeze(composed("seed=5", "model=dnn", "logger=tensorboard", "sweep.dir=sweep"))[1] == run


def test_a_wrong_value_is_refused_before_anything_is_written(composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(InputError, match="seed=x: a whole number is expected"):
        freeze(composed("seed=x", "sweep.dir=sweep"))
    assert not Path("sweep").exists()


def test_jobs_import_a_copy_of_the_program_named_by_its_content(tmp_path: Path) -> None:
    copy = copy_code(tmp_path)
    assert copy_code(tmp_path) == copy
    program = "import cdmtrain, cdmtrain.conf; print(cdmtrain.__file__, cdmtrain.conf.__file__)"
    script = "\n".join([*import_lines(copy), shlex.join([sys.executable, "-c", program])])
    checkout = Path(cdmtrain.__file__).parents[1]
    done = subprocess.run(["bash", "-c", script], cwd=checkout, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{copy}/cdmtrain/__init__.py", f"{copy}/cdmtrain/conf/__init__.py"]


def test_the_copy_holds_the_code_and_the_options_of_the_user_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    my = tmp_path / "my"
    for name in ("mynet.py", "model/mynet.yaml", "parts/__init__.py", "parts/table.txt", "outputs/a.py", "data.h5"):
        (my / name).parent.mkdir(parents=True, exist_ok=True)
        (my / name).touch()
    with using([f"--config-dir={my}"]):
        copy = copy_code(tmp_path / "code")
        assert copy_code(tmp_path / "code") == copy
        program = (
            "import cdmtrain.cli, mynet; from cdmtrain.config.roots import roots; print(mynet.__file__, roots()[1])"
        )
        script = "\n".join([*import_lines(copy), shlex.join([sys.executable, "-c", program])])
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        copied = copy / "config_dirs/0"
        assert done.stdout.split() == [f"{copied}/mynet.py", str(copied)]
        files = {str(file.relative_to(copied)) for file in copied.rglob("*") if file.is_file()}
        assert files == {"mynet.py", "model/mynet.yaml", "parts/__init__.py", "parts/table.txt"}
        (copied / "mynet.py").write_text("print('changed')")
        with pytest.raises(InputError, match="is not what the program wrote"):
            copy_code(tmp_path / "code")


@pytest.mark.parametrize(
    "change",
    [
        lambda copy: (copy / "cdmtrain/cli.py").write_text("print('changed')"),
        lambda copy: (copy / "torch.py").touch(),
        lambda copy: (copy / "cdmtrain/errors.py").unlink(),
        lambda copy: (
            (copy / "cdmtrain/__pycache__").mkdir() or (copy / "cdmtrain/__pycache__/cli.cpython-311.pyc").touch()
        ),
        lambda copy: (copy / "sitecustomize.py").symlink_to("/dev/null"),
        lambda copy: copy.chmod(0o777),
    ],
)
def test_a_copy_that_was_changed_is_not_imported(tmp_path: Path, change: Callable[[Path], object]) -> None:
    change(copy_code(tmp_path))
    with pytest.raises(InputError, match="is not what the program wrote"):
        copy_code(tmp_path)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"state": "finished"}, None),
        ({"state": "failed", "error": "no such file"}, "no such file (log: 7.out)"),
        ({"state": "running", "error": None}, "the job ended while its run was running (log: 7.out)"),
    ],
)
def test_how_a_job_ended_is_read_from_the_status_of_its_run(
    composed: Callable[..., DictConfig], tmp_path: Path, status: dict[str, object], sentence: str | None
) -> None:
    (tmp_path / "status.json").write_text(json.dumps(status))
    job = job_of(composed(), tmp_path)
    job.log = Path("7.out")
    found = failure(job)
    assert (str(found) if found else None) == sentence


def linked(sweep: Path) -> None:
    (sweep.parent / "elsewhere").mkdir()
    (sweep / "slurm").symlink_to(sweep.parent / "elsewhere")


def written_by_all(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(0o777)


@pytest.mark.parametrize(
    "plant",
    [
        linked,
        written_by_all,
        lambda sweep: written_by_all(sweep / "slurm"),
        lambda sweep: (sweep / "slurm").write_text("x"),
        pytest.param(lambda sweep: os.chown(sweep, 1234, -1), marks=ROOT),
        pytest.param(lambda sweep: ((sweep / "slurm").mkdir(), os.chown(sweep / "slurm", 1234, -1)), marks=ROOT),
    ],
    ids=["a link", "a sweep open to all", "a folder open to all", "a file", "another's sweep", "another's folder"],
)
def test_jobs_unpickle_nothing_that_another_user_can_change(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    plant(sweep)
    with pytest.raises(InputError, match=r"another user can change .*, and so what its jobs run"):
        pickles_folder(sweep)


def test_the_folder_that_jobs_unpickle_from_is_private(tmp_path: Path) -> None:
    folder = pickles_folder(tmp_path / "new/sweep")
    assert folder.stat().st_mode & 0o077 == 0
    assert pickles_folder(tmp_path / "new/sweep") == folder
