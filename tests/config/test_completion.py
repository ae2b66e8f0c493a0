from pathlib import Path

import pytest

from cdmtrain.config.completion import complete


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a run, two event files and a hidden file."""
    monkeypatch.chdir(tmp_path)
    Path("outputs/train/gnn").mkdir(parents=True)
    for name in ("a.h5", "ab.h5", ".a.h5"):
        Path(name).touch()


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("cdmtrain mod", "model="),  # and not model., between which the shell would stop
        ("cdmtrain model=gnn model.co", "model.convolution="),
        ("cdmtrain model=dn", "model=dnn"),
        ("cdmtrain -m model=cnn,dn", "model=cnn,dnn"),
        ("cdmtrain data/", "data/split="),
        ("cdmtrain ~exp", "~experiment="),
        ("cdmtrain lau", "launch."),
        ("cdmtrain launch.wait=", "launch.wait=false launch.wait=true"),
        ("cdmtrain optimizer.lr=", "optimizer.lr=0.001"),
        ("cdmtrain optimizer=adamw optimizer.lr=1", ""),
        ("cdmtrain task=predict inp", "input="),
    ],
)
def test_the_tab_key_completes_groups_options_keys_and_values(line: str, answers: str) -> None:
    assert complete(line) == answers.split()


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("cdmtrain run=o", "run=outputs/"),
        ("cdmtrain run=outputs/train/", "run=outputs/train/gnn/"),
        ("cdmtrain run=a", ""),  # a run is a directory
        ("cdmtrain task=evaluate run=[outputs/train/gnn,out", "run=[outputs/train/gnn,outputs/"),
        ("cdmtrain task=predict input=a", "input=a.h5 input=ab.h5"),
        ("cdmtrain task=predict input=.a", "input=.a.h5"),
        ("cdmtrain data=hdf5 data.files=[a.h5,ab", "data.files=[a.h5,ab.h5"),
        ("cdmtrain task=predict input=nowhere/", ""),
    ],
)
def test_the_tab_key_completes_files_and_directories(line: str, answers: str) -> None:
    assert complete(line) == answers.split()


def test_options_of_a_directory_of_ones_own_are_completed_too() -> None:
    Path("my/model").mkdir(parents=True)
    Path("my/model/dnn_of_mine.yaml").touch()
    assert complete("cdmtrain --config-dir my model=dnn") == ["model=dnn", "model=dnn_of_mine"]


def test_the_tab_key_knows_the_options_in_a_directory_of_the_user() -> None:
    Path("my/model").mkdir(parents=True)
    Path("my/model/mynet.yaml").write_text("width: 3\n")
    assert complete("cdmtrain --config-dir=m") == ["--config-dir=my/"]
    assert complete("cdmtrain --config-dir=my model=my") == ["model=mynet"]
    assert complete("cdmtrain --config-dir my/ model=mynet model.w") == ["model.width="]
    assert complete("cdmtrain --config-dir=nowhere mod") == []
