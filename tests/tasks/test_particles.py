"""Runs of 2, 4, 5 and 9 classes: trained, shown, exported, compared, and used on events of other particles."""

import csv
import json
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import cdmtrain
from cdmtrain import cli
from cdmtrain.runs.predictions import read_predictions

WORDS = ("e-", "mu-", "gamma", "p", "pi+", "pi-", "K+", "positron", "deuteron", "neutron")
LISTS = {"two": WORDS[3:5], "four": None, "five": WORDS[:5], "nine": WORDS[:9]}
NAMES = {"four": ("electron", "muon", "photon", "proton")}
PAIRS = {"four": ["electron_photon_auc"], "five": ["e-_gamma_auc"], "nine": ["pi+_pi-_auc", "K+_p_auc"]}


def typed(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cdmtrain", *words])
        return cli.main()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a.h5, events of ten particles, and a run for each list, which is its name."""
    folder = tmp_path_factory.mktemp("particles")
    rng = np.random.default_rng(1)
    kind = np.arange(400) % 10
    images = np.zeros((400, 8, 8), np.float32)
    for image, one in zip(images, kind, strict=True):
        image.flat[rng.choice(64, 4 + 3 * one, replace=False)] = rng.gamma(2, 1 + one, 4 + 3 * one)
    cdmtrain.write_events(folder / "a.h5", images, particles=np.array(WORDS)[kind])
    data = ["data=hdf5", f"data.files=[{folder}/a.h5]", "data.image_size=8", f"data.cache_dir={folder}/cache"]
    settings = ["model=dnn", "trainer=cpu", "trainer.max_epochs=1", "print_config=false", "data.others=drop"]
    for name, words in LISTS.items():
        particles = [f"data.particles=[{','.join(words)}]"] if words else []
        pairs = ["metrics.pairs=[[pi+,pi-],[K+,proton]]"] if name == "nine" else []
        assert typed(*data, *settings, *particles, *pairs, f"run_dir={folder / name}") == 0
    return folder


@pytest.mark.parametrize("name", LISTS)
def test_everything_of_a_run_follows_from_its_list(folder: Path, name: str) -> None:
    names = NAMES.get(name) or LISTS[name]
    results = json.loads((folder / name / "results.json").read_text())
    assert [*results["efficiency"]] == [*results["roc_auc"]] == list(names)
    assert np.shape(results["confusion_matrix"]) == (len(names), len(names))
    assert sum(map(sum, results["confusion_matrix"])) == round(400 * len(names) / 10 * 0.08)  # of the events kept
    assert [key for key in results if key.endswith("_auc") and "roc" not in key and "val" not in key] == PAIRS.get(
        name, []
    )
    run = cdmtrain.load_run(folder / name)
    assert run.classes == tuple(names)
    assert run.predict(np.ones((3, 8, 8))).probability.shape == (3, len(names))
    assert set(names) <= run.predictions.keys()
    page = (folder / name / "report/index.html").read_text()
    assert all(f"</span>{one}<" in page for one in names)
    with h5py.File(folder / name / "predictions.h5") as file:
        assert list(file.attrs["classes"]) == list(names)


@pytest.mark.parametrize("name", LISTS)
def test_an_exported_network_names_its_classes(folder: Path, name: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    assert typed("task=export", f"run={folder / name}", f"output={tmp_path}/a.onnx") == 0
    about = {one.key: one.value for one in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert json.loads(about["classes"]) == list(NAMES.get(name) or LISTS[name])


def test_runs_of_different_lists_stand_in_one_leaderboard(folder: Path, tmp_path: Path) -> None:
    runs = ",".join(str(folder / name) for name in LISTS)
    assert typed("task=report", f"runs=[{runs}]", f"output={tmp_path}") == 0
    page = (tmp_path / "leaderboard.html").read_text()
    assert "The runs tell different particles apart" in page
    rows = list(csv.DictReader((tmp_path / "leaderboard.csv").read_text().splitlines()))
    assert sum(bool(row["e-_gamma_auc_mean"]) for row in rows) == 1
    assert sum(bool(row["electron_photon_auc_mean"]) for row in rows) == 1
    assert len(cdmtrain.leaderboard([folder / name for name in LISTS], rank="e-_gamma_auc")["rank"]) == 4


def test_predict_and_evaluate_name_events_of_other_particles(folder: Path, tmp_path: Path) -> None:
    assert typed("task=predict", f"run={folder / 'two'}", f"input={folder}/a.h5", f"output={tmp_path}/a.csv") == 0
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    expected = {"e-": "electron", "mu-": "muon", "gamma": "photon"}
    assert [row["truth"] for row in rows[:10]] == [expected.get(one, one) for one in WORDS]
    words = ("data=hdf5", f"data.files=[{folder}/a.h5]", f"run_dir={tmp_path}/all", f"data.cache_dir={folder}/cache")
    assert typed("task=evaluate", f"run={folder / 'two'}", *words) == 0
    with h5py.File(tmp_path / "all/predictions.h5") as file:
        assert (len(file["pdg"]), int((file["class_index"][:] >= 0).sum())) == (400, 80)
    events = read_predictions(tmp_path / "all", 2)
    assert events is not None
    assert len(events.class_index) == 80


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.particles=[electron,photn]"], "did you mean photon"),
        (["data.particles=[electron,e-]"], "as electron and as e-"),
        (["data.particles=[electron]"], "at least two particles"),
        (["data.others=keep"], "data.others=keep: refuse, drop, test is expected"),
        (["data.particles=[e-,gamma]"], "320 of 400 events are of other particles than e-,gamma: 40 "),
        (["metrics.pairs=[[electron,pi+]]"], "metrics.pairs has"),
        (["data=simulated", "data.particles=[electron,pi+]"], "the simulation makes .* and not pi"),
        (["loss.class_weights=[1,2]", "data.others=drop"], "4 numbers are expected"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_sentence(
    folder: Path, words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["data=hdf5", f"data.files=[{folder}/a.h5]", "data.image_size=8"] if words[0] != "data=simulated" else []
    assert typed(*data, *words, f"data.cache_dir={tmp_path}", "model=dnn", f"run_dir={tmp_path}/run") == 1
    assert re.search(sentence, capsys.readouterr().err)
