"""Every command ends in one sentence if a file is bad, and leaves no more than a run that says so."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain import cli
from cdmtrain.config import check
from cdmtrain.data import cache, hdf5_datasets
from cdmtrain.runs import provenance
from tests.data.bad_files import CASES, write

TASKS = {
    "train": "run_dir=run model.channels=[2] data.image_size=16 trainer=cpu print_config=false "
    "data=hdf5 data.files=[bad.h5]",
    "evaluate": "run={run} trainer=cpu data=hdf5 data.files=[bad.h5]",
    "predict": "run={run} trainer=cpu input=bad.h5",
    "inspect": "data=hdf5 data.files=[bad.h5]",
}
Refused = Callable[[str], str]


@pytest.fixture(scope="module")
def composed(trained: SimpleNamespace) -> Iterator[dict[str, tuple[DictConfig, DictConfig]]]:
    """The configuration of each task, Hydra's own and the job's, composed and checked once."""
    made = {}
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        for task, words in TASKS.items():
            typed = [f"task={task}", *words.format(run=trained.path).split()]
            whole = compose("config", overrides=typed, return_hydra_config=True)
            made[task] = whole, OmegaConf.masked_copy(whole, [key for key in whole if key != "hydra"])
            HydraConfig.instance().set_config(whole)
            check.check(made[task][1])
        yield made


@pytest.fixture
def refused(
    composed: dict[str, tuple[DictConfig, DictConfig]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refused:
    """Runs a task's command on bad.h5 in this process, sees that it leaves what it may; the sentence it ends in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "check", lambda cfg: None)
    monkeypatch.setattr(provenance, "git_state", lambda source: {})

    def command(task: str) -> str:
        whole, cfg = composed[task]
        HydraConfig.instance().set_config(whole)
        monkeypatch.setattr(cli, "run_command", lambda: cli.job(cfg.copy()))
        monkeypatch.setattr(sys, "argv", ["cdmtrain", f"task={task}"])
        before = set(tmp_path.rglob("*"))
        assert cli.main() == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        sentence = error.removeprefix("error: ").rstrip("\n")
        left = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / "run")}
        assert left - {tmp_path / "run"} == set()
        assert (tmp_path / "run").exists() == (task == "train")
        if task == "train":
            assert {path.name for path in (tmp_path / "run").iterdir()} <= {
                *("config.yaml", "provenance.json", "status.json", ".lock"),
            }
            status = json.loads((tmp_path / "run/status.json").read_text())
            assert (status["state"], status["error"]) == ("failed", sentence)
        return sentence

    return command


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("case", CASES)
def test_a_command_on_a_bad_file_is_one_sentence_and_leaves_no_more_than_a_run_that_says_so(
    case: str, task: str, tmp_path: Path, refused: Refused
) -> None:
    make, words = CASES[case]
    make(tmp_path / "bad.h5")
    if task == "predict" and not (tmp_path / "bad.h5").is_file():
        words = ["input=", "is not a file"]
    if (task, case) == ("predict", "compressed_a_thousandfold"):  # known before any pixel is read
        words = ["images of 64 x 64 pixels"]
    sentence = refused(task)
    for word in ["bad.h5", *words]:
        assert word in sentence


@pytest.mark.parametrize("task", TASKS)
def test_a_command_on_a_file_that_may_not_be_read_is_one_sentence(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    write(tmp_path / "bad.h5")
    (tmp_path / "bad.h5").chmod(0)
    opened = h5py.File

    def as_nobody(path: Path, *args: object, **options: object) -> h5py.File:
        user = os.geteuid()
        if user == 0:  # who may read everything
            os.seteuid(65534)
        try:
            return opened(path, *args, **options)
        finally:
            os.seteuid(user)

    monkeypatch.setattr(hdf5_datasets.h5py, "File", as_nobody)
    assert "bad.h5 may not be read by this user" in refused(task)


@pytest.mark.parametrize(
    ("task", "place", "words"),
    [(task, (hdf5_datasets, "_open"), "bad.h5 does not exist") for task in TASKS]
    + [(task, (cache, "file_fingerprint"), "bad.h5 can no longer be read") for task in TASKS if task != "predict"],
)
def test_a_command_on_a_file_that_vanishes_between_start_and_read_is_one_sentence(
    task: str,
    place: tuple[object, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    write(tmp_path / "bad.h5")
    read = getattr(*place)

    def vanished(path: Path) -> object:
        path.unlink()
        return read(path)

    monkeypatch.setattr(*place, vanished)
    assert words in refused(task)


def test_the_command_itself_on_a_bad_file(tmp_path: Path) -> None:
    make, words = CASES["pixel_nan"]
    make(tmp_path / "bad.h5")
    main = "import sys; from cdmtrain import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", main, *TASKS["train"].split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in ["bad.h5", *words])
    assert {path.name for path in tmp_path.iterdir()} == {"bad.h5", "run"}
