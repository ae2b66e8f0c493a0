"""A network of the user, in a directory of the user, trains, resumes and is opened again."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cdmtrain import cli, load_run
from cdmtrain.errors import InputError
from tests.tasks.training import same_weights

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


BAD = """
import torch
from torch import nn


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 4)

    def forward(self, x):
        return self.linear(x)


class Shape(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = Layers()

    def forward(self, image):
        return self.layers(image.energy.flatten(1))


class Classes(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.linear = nn.Linear(256, num_classes)

    def forward(self, image):
        return self.linear(image.energy.flatten(1))


class Ten(Classes):
    def __init__(self):
        super().__init__(10)


class Pair(Classes):
    def forward(self, image):
        return super().forward(image), None


class Answer(Classes):
    def forward(self, image):
        return super().forward(image) > 0


class Detached(Classes):
    def forward(self, image):
        return super().forward(image).detach()


class Build(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = {}["no such key"]

    def forward(self, image):
        return image


class Silent(nn.Module):
    pass


def make(num_classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, num_classes))


def nothing():
    return nn.Flatten()
"""
EXPECTED = r"logits of shape \(2, 4\), for 2 events and 4 classes, are expected"
AS_MODULE = ["model=module", "model.module._target_=bad.nothing"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bad.Shape"], r"your model bad.Shape failed at bad.py:12: mat1 and mat2 shapes cannot be multiplied"),
        (["bad.Build"], r"your model bad.Build failed at bad.py:\d+: KeyError: 'no such key'"),
        (["bad.Silent"], r"model Silent: a torch.nn.Module with a method forward is expected"),
        (["bad.Ten"], rf"your model bad.Ten returned shape \(2, 10\); {EXPECTED}"),
        (["bad.Pair"], rf"your model bad.Pair returned a tuple; {EXPECTED}"),
        (["bad.Answer"], rf"your model bad.Answer returned torch.bool; floating-point {EXPECTED}"),
        (["bad.Detached"], r"your model bad.Detached returned logits that depend on no parameter"),
        (["bad.make"], r"model._target_=bad.make is not a class; model=module model.module._target_=bad.make takes"),
        (AS_MODULE, r"your model bad.nothing returned shape \(2, 256\); logits"),
        (["model=module"], r"model.module._target_ is missing; type for example: cdmtrain model=module"),
        (["~model"], "~model: every run needs a model; choose one with model=..."),
        (["model={_target_:mynet.MyNet}"], "an option is expected, one of those that cdmtrain --help model shows"),
        (["model._target_=mynet.MyNet"], "model: MyNet takes image_size, width, and not channels, kernel_size, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_found_before_training_and_told_in_a_sentence(
    cdmtrain: Command, here: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    (here / "my/bad.py").write_text(BAD)
    if words[0].startswith("bad."):
        (here / "my/model/bad.yaml").write_text(f"_target_: {words[0]}\n")
        words = ["model=bad"]
    rest = [word for word in TRAIN if not word.startswith("model")]
    assert cdmtrain(*rest, *words) == 1
    error = capsys.readouterr().err
    assert re.search(f"^error: .*{sentence}", error, re.MULTILINE)
    assert "Traceback" not in error
    assert not Path("run/metrics.csv").exists()
    sys.modules.pop("bad", None)


def test_the_lines_of_the_user_and_no_others_are_shown_and_the_status_keeps_the_sentence(
    cdmtrain: Command, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "my/bad.py").write_text(BAD)
    (here / "my/model/bad.yaml").write_text("_target_: bad.Shape\n")
    assert cdmtrain(*TRAIN, "model=bad") == 1
    shown, _, sentence = capsys.readouterr().err.partition("error: ")
    assert re.findall(r'File ".*/my/(.*)", line (\d+)', shown) == [("bad.py", "21"), ("bad.py", "12")]
    assert shown.count("File") == 2
    status = json.loads(Path("run/status.json").read_text())
    assert status["error"] == sentence.strip()
    sys.modules.pop("bad", None)


@pytest.mark.parametrize("words", [["model=bad"], ["model=module", "model.module._target_=bad.make"]], ids=" ".join)
def test_a_constructor_that_takes_num_classes_is_given_it(cdmtrain: Command, here: Path, words: list[str]) -> None:
    (here / "my/bad.py").write_text(BAD)
    (here / "my/model/bad.yaml").write_text("_target_: bad.Classes\n")
    assert cdmtrain(*TRAIN, *words, "trainer.max_epochs=1") == 0
    assert load_run("run", trust=["bad"]).predict(np.zeros((1, 16, 16))).probability.shape == (1, 4)
    assert "num_classes" not in Path("run/config.yaml").read_text()
    sys.modules.pop("bad", None)


def test_the_trial_of_a_network_changes_no_random_number_and_no_weight(
    cdmtrain: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "my/mynet.py").write_text(
        MYNET.replace("nn.Flatten()", "nn.Dropout(0.3), nn.Flatten(), nn.BatchNorm1d(256)")
    )
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr("cdmtrain.training.try_network", lambda *_, **__: None)
        assert cdmtrain(*TRAIN[:-1], f"run_dir={name}", "trainer.max_epochs=1", "augmentation=symmetries") == 0
    assert same_weights(Path("with"), Path("without"))


def test_a_model_in_a_directory_that_was_not_named_is_answered_with_the_flag(
    cdmtrain: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cdmtrain("model=mynet") == 1
    assert "model=mynet does not exist; did you mean --config-dir=my?" in capsys.readouterr().err
