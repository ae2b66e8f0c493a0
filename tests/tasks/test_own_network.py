"""A network of the user, in a directory of the user, trains, resumes and is opened again."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdmtrain import cli, load_run
from cdmtrain.errors import InputError

MYNET = """
from torch import nn


class MyNet(nn.Module):
    def __init__(self, image_size, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(image_size**2, width), nn.Linear(width, 4))

    def forward(self, image):
        return self.layers(image.energy)
"""
OPTION = "_target_: mynet.MyNet\nimage_size: ${data.image_size}\nwidth: 3\n"
Command = Callable[..., int]


@pytest.fixture
def cdmtrain(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """Runs a command beside events.h5 and the directory my/ with a network; returns the exit status."""
    challenge_file(num_events=100)
    (here / "my/model").mkdir(parents=True)
    (here / "my/mynet.py").write_text(MYNET)
    (here / "my/model/mynet.yaml").write_text(OPTION)

    def run(*words: str) -> int:
        with monkeypatch.context() as patched:  # as in a new process
            patched.setattr(sys, "path", list(sys.path))
            patched.setattr(sys, "argv", ["cdmtrain", *words])
            sys.modules.pop("mynet", None)
            return cli.main()

    yield run
    sys.modules.pop("mynet", None)


TRAIN = ["--config-dir=my", "model=mynet", "data=hdf5", "data.files=[events.h5]", "data.image_size=16"]
TRAIN += ["trainer=cpu", "data.batch_size=20", "run_dir=run"]


def test_it_is_opened_again_only_where_the_user_names_or_trusts_it(
    cdmtrain: Command, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cdmtrain(*TRAIN, "trainer.max_epochs=1") == 0
    assert json.loads(Path("run/provenance.json").read_text())["config_dirs"] == [str(here / "my")]
    assert "my" not in Path("run/config.yaml").read_text().replace("mynet", "")
    for words in (["run=run"], ["task=evaluate", "run=run"], ["task=predict", "run=run", "input=events.h5"]):
        assert cdmtrain(*words) == 1
        assert "which is not part of cdmtrain; if you trust it, add trust=mynet" in capsys.readouterr().err
        assert "mynet" not in sys.modules
    predict = ["task=predict", "run=run", "input=events.h5"]
    assert cdmtrain(*predict, "trust=mynet", "output=a.csv") == 0
    assert cdmtrain(*predict, "--config-dir=my", "output=b.csv") == 0
    assert cdmtrain("task=evaluate", "run=run", "trust=[mynet]") == 0
    assert Path("a.csv").read_text() == Path("b.csv").read_text()


def test_a_recorded_directory_is_used_only_for_a_trusted_module_that_is_nowhere_else(
    cdmtrain: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cdmtrain(*TRAIN, "trainer.max_epochs=1") == 0
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("mynet", None)
    with pytest.raises(InputError, match="add trust=mynet"):
        load_run("run", trust=["another_package", "torch"])
    assert str(here / "my") not in sys.path
    (here / "mine").mkdir()
    (here / "mine/mynet.py").write_text(MYNET.replace("MyNet", "MineToo"))
    monkeypatch.syspath_prepend(here / "mine")
    with pytest.raises(InputError, match="of the trusted package mynet, which has no such class here"):
        load_run("run", trust=["mynet"])
    assert str(here / "my") not in sys.path


def test_a_sweep_passes_over_what_is_finished_wherever_the_directory_was_moved(
    cdmtrain: Command, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["-m", *TRAIN[1:-1], "trainer.max_epochs=1", "seed=1,2", "sweep.dir=sweep"]
    assert cdmtrain("--config-dir=my", *sweep) == 0
    before = {file: file.stat().st_mtime_ns for file in Path("sweep").glob("mynet_*/results.json")}
    (here / "my").rename(here / "code")
    assert cdmtrain("--config-dir=code", *sweep) == 0
    assert {file: file.stat().st_mtime_ns for file in Path("sweep").glob("mynet_*/results.json")} == before
    assert len(before) == 2


def test_a_model_in_a_directory_that_was_not_named_is_answered_with_the_flag(
    cdmtrain: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cdmtrain("model=mynet") == 1
    assert "model=mynet does not exist; did you mean --config-dir=my?" in capsys.readouterr().err
