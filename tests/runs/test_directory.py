"""A run has a directory of its own, which one process trains at a time."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.directory import RUN_DIR_ENV, open_run, reserve_run_dir

Config = Callable[..., DictConfig]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The configuration of a perceptron's run in the directory run/, with more words."""
    monkeypatch.chdir(tmp_path)

    def make(*words: str) -> DictConfig:
        typed = list(words) if words and words[0].startswith("run=") else ["model=perceptron", "run_dir=run", *words]
        with initialize_config_module("cdmtrain.conf", version_base="1.3"):
            cfg = compose("config", typed, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])

    return make


def test_a_run_is_locked_while_it_is_open(config: Config) -> None:
    with open_run(config()) as run:
        assert run.path == Path("run")
        assert os.environ[RUN_DIR_ENV] == "run"
        os.environ.pop(RUN_DIR_ENV)
        with pytest.raises(InputError, match="run is being trained by another process"), open_run(config()):
            pass
    assert RUN_DIR_ENV not in os.environ
    lock = FileLock(run.path / files.LOCK)
    lock.acquire(blocking=False)
    lock.release()


def test_the_configuration_is_written_once_and_resolved(config: Config) -> None:
    with open_run(config("logger=tensorboard")) as run:
        written = (run.path / files.CONFIG).read_text()
    assert "${" not in written
    assert OmegaConf.load(run.path / files.CONFIG) == run.cfg
    with open_run(config("logger=tensorboard")):  # the same run, though a logger writes into its directory
        pass
    assert (run.path / files.CONFIG).read_text() == written
    run.path.rename("moved")
    with open_run(config("logger=tensorboard", "run_dir=moved")) as moved:
        assert moved.cfg.run_dir == "moved"
    Path("moved").rename(run.path)
    with pytest.raises(InputError, match="run holds a run with other settings"), open_run(config("seed=5")):
        pass


def test_a_failed_run_starts_from_the_beginning_and_others_do_not(config: Config) -> None:
    path = reserve_run_dir(config())
    for state, expected in (("interrupted", True), ("failed", False)):
        for name in (files.LAST_CHECKPOINT, files.METRICS, files.MISTAKES):
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).touch()
        (path / files.STATUS).write_text(json.dumps({"state": state}))
        with open_run(config()) as run:
            assert (run.last_checkpoint is not None) == expected
            assert (path / files.METRICS).exists() == expected
            assert (path / files.MISTAKES).exists() == expected
    (path / files.LAST_CHECKPOINT).parent.mkdir()
    (path / files.LAST_CHECKPOINT).touch()
    (path / files.STATUS).write_text(json.dumps({"state": "failed"}))
    with open_run(config("run=run")) as run:  # asked for by its name, it continues
        assert run.last_checkpoint is not None


def test_temporary_files_of_killed_processes_are_removed(config: Config) -> None:
    path = reserve_run_dir(config())
    left = path / f".{files.RESULTS}.123.tmp"
    left.touch()
    with open_run(config()):
        assert not left.exists()


def test_a_run_that_is_continued_takes_no_other_settings(config: Config) -> None:
    reserve_run_dir(config())
    with pytest.raises(InputError, match="continues with that run's own configuration; leave out seed=2"):
        reserve_run_dir(config("run=run", "seed=2"))


def test_another_process_of_a_run_finds_its_directory(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    path = reserve_run_dir(config("seed=3"))
    monkeypatch.setenv(RUN_DIR_ENV, str(path))
    monkeypatch.setattr("sys.stdin", io.StringIO("seed: 4"))  # what the first process builds, whatever lies there now
    with open_run(config()) as run:
        assert (run.path, run.cfg.seed) == (path, 4)
