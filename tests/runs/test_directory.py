"""A run has a directory of its own, which one process trains at a time."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain.errors import InputError
from cdmtrain.lock import Lock
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
    lock = Lock(run.path / files.LOCK)
    assert lock.try_acquire()
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


@pytest.mark.parametrize("words", [(), ("run=run",)])
@pytest.mark.parametrize("checkpoint", [files.LAST_CHECKPOINT, files.PREVIOUS_CHECKPOINT, None])
def test_a_failed_run_begins_anew_only_if_it_has_no_checkpoint(
    config: Config, checkpoint: str | None, words: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    path = reserve_run_dir(config())
    names = [files.METRICS, *([checkpoint] if checkpoint else [])]
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    (path / files.STATUS).write_text(json.dumps({"state": "failed"}))
    caplog.set_level("INFO")
    with open_run(config(*words)):
        assert all((path / name).exists() == (checkpoint is not None) for name in names)
        assert (path / files.STATUS).exists() == (checkpoint is not None)
    expected = "goes on from its last checkpoint" if checkpoint else "its first checkpoint and begins anew"
    assert expected in caplog.text


@pytest.mark.parametrize("state", ["interrupted", "preempted", "running"])
def test_a_run_that_did_not_fail_keeps_its_files(config: Config, state: str) -> None:
    path = reserve_run_dir(config())
    (path / files.METRICS).write_text("epoch\n1\n")
    (path / files.STATUS).write_text(json.dumps({"state": state}))
    with open_run(config()):
        assert (path / files.METRICS).read_text() == "epoch\n1\n"


@pytest.mark.parametrize(
    "content", [b"", b'{"state": "fin', bytes(300), b"[1]"], ids=["empty", "half", "zeros", "list"]
)
@pytest.mark.parametrize(
    "name", [files.STATUS, files.PROVENANCE, files.RESULTS, files.SUBMISSION, files.PREDICTIONS, files.MISTAKES]
)
def test_a_file_that_cannot_be_read_is_kept_under_another_name(
    config: Config, name: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = reserve_run_dir(config())
    (path / name).write_bytes(content)
    with open_run(config("run=run")):
        assert not (path / name).exists()
    assert (path / f"{name}.damaged-1").read_bytes() == content
    assert f"it is kept as {name}.damaged-1, and the run goes on without it" in caplog.text
    assert "restore the file" not in caplog.text


def test_an_empty_configuration_is_written_again_by_the_command_that_began_the_run(config: Config) -> None:
    path = reserve_run_dir(config())
    written = OmegaConf.load(path / files.CONFIG)
    (path / files.CONFIG).write_text("")
    expected = "is empty; type the command that began the run again, with run_dir=run"
    with pytest.raises(InputError, match=expected), open_run(config("run=run")):
        pass
    with open_run(config()):
        assert OmegaConf.load(path / files.CONFIG).model == written.model
    assert (path / f"{files.CONFIG}.damaged-1").read_text() == ""


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


def test_a_run_of_another_user_is_copied_first(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve_run_dir(config())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"run is a directory in which you may not write; copy it .*cp -r run mine"):
        reserve_run_dir(config("run=run"))


def test_another_process_of_a_run_finds_its_directory(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    path = reserve_run_dir(config("seed=3"))
    monkeypatch.setenv(RUN_DIR_ENV, str(path))
    monkeypatch.setattr("sys.stdin", io.StringIO("seed: 4"))  # what the first process builds, whatever lies there now
    with open_run(config()) as run:
        assert (run.path, run.cfg.seed) == (path, 4)
