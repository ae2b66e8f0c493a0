"""Calibration beside a run: made from validation events, used by evaluate, predict, load_run and export."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from cdmtrain import cli, load_run
from cdmtrain.calibration.likeness import Distance, fit_likeness, p_values
from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES, PDG_CODES
from cdmtrain.runs.calibration import read_calibrations

Capture = pytest.CaptureFixture[str]
Typed = Callable[..., int]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: SimpleNamespace, calibrated: Path) -> Typed:
    """Types the words after cdmtrain beside a copy of the calibrated run, `run`; the exit status."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(calibrated, "run")

    def typed(*words: str) -> int:
        more = [] if words[0] == "task=predict" else [f"data.cache_dir={trained.path.parent}"]
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words, *more])
        return cli.main()

    return typed


def calibration(run: str = "run", number: int = 0) -> dict:
    return json.loads(Path(run, "calibration.json").read_text())["calibrations"][number]


def scaled(probability: np.ndarray, one: dict) -> np.ndarray:
    z = np.log(probability.astype(float)) * one["scale"] + one["bias"]
    return np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))


@pytest.mark.page
def test_a_run_is_calibrated_and_every_use_of_it_has_the_same_probabilities(
    trained: SimpleNamespace, typed: Typed
) -> None:
    plain = load_run("run").predict(trained.images)
    one = calibration()
    assert one["classes"] == list(NAMES)
    assert sum(one["events"]) == 8
    page = Path("run/report/index.html").read_text()
    assert "Calibrated probabilities" in page
    assert Path("run/report/calibrated.png").is_file()

    expected = scaled(plain.probability, one)
    found = load_run("run", calibrated=True).predict(trained.images)
    np.testing.assert_allclose(found.probability, expected, atol=1e-5)
    np.testing.assert_array_equal(load_run("run").predict(trained.images).probability, plain.probability)

    assert typed("task=evaluate", "run=run", "calibrated=true", "run_dir=tested") == 0
    with h5py.File("tested/predictions.h5") as file:
        np.testing.assert_allclose(file["probability"][:], expected[92:], atol=1e-5)
    results = json.loads(Path("tested/results.json").read_text())
    for name, value in one["tested"]["after"].items():
        if isinstance(value, float) and name != "macro_f1":
            assert results[name] == pytest.approx(value, abs=1e-5), name
    assert {"coverage_90", "set_size_99", "class_coverage_95"} <= set(results["uncertainty"])
    assert "Prediction sets" in Path("tested/report/index.html").read_text()

    assert typed("task=predict", "run=run", f"input={trained.file}", "calibrated=true", "output=p.csv") == 0
    assert typed("task=predict", "run=run", f"input={trained.file}", "calibrated=true", "output=p.h5") == 0
    with open("p.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for level in ("90", "95", "99"):
        least = one["sets"][level]
        sets = [" ".join(np.array(NAMES)[inside]) for inside in found.probability >= least]
        assert [row[f"set_{level}"] for row in rows] == sets
        with h5py.File("p.h5") as file:
            assert list(file[f"set_{level}"].asstr()) == sets
    entropy = -(expected * np.log(expected)).sum(1)
    np.testing.assert_allclose([float(row["entropy"]) for row in rows], entropy, atol=1e-4)


def test_each_combination_of_networks_and_symmetries_has_its_own_calibration(
    trained: SimpleNamespace, typed: Typed, capsys: Capture
) -> None:
    shutil.copytree("run", "other")
    shutil.copy("run/checkpoints/last.ckpt", "other/checkpoints/best.ckpt")
    with h5py.File("new.h5", "w") as file:
        file["image"] = trained.images[:20]
    assert typed("task=predict", "run=run", "input=new.h5", "calibrated=true", "symmetries=true") == 1
    assert "cdmtrain task=calibrate run=run symmetries=true" in capsys.readouterr().err
    assert typed("task=calibrate", "run=run", "symmetries=true", "sets=class") == 0
    assert typed("task=calibrate", "run=[run,other]") == 0
    assert [calibration("run", number)["symmetries"] for number in range(3)] == [False, True, False]
    assert [calibration("run", number)["per_class"] for number in range(3)] == [False, True, False]
    assert typed("task=calibrate", "run=run") == 0  # in place of the first
    assert len(json.loads(Path("run/calibration.json").read_text())["calibrations"]) == 3
    runs = [load_run("run"), load_run("other")]
    mean = np.mean([run.predict(trained.images[:20]).probability for run in runs], axis=0)
    for order, output in (("[run,other]", "a.h5"), ("[other,run]", "b.h5")):
        words = [f"run={order}", "input=new.h5", f"output={output}", "calibrated=true"]
        assert typed("task=predict", *words) == 0
        with h5py.File(output) as file:
            np.testing.assert_allclose(file["probability"][:], scaled(mean, calibration("run", 1)), atol=1e-5)


def test_events_unlike_the_training_sample_have_small_p_values_and_predict_says_so(
    trained: SimpleNamespace, typed: Typed, capsys: Capture
) -> None:
    content = json.loads(Path("run/calibration.json").read_text())
    one = content["calibrations"][0]
    assert len(one["distances"]) == 8
    features = load_run("run").embed(trained.images[:84]).astype(float)
    far = Distance(fit_likeness(features, np.searchsorted(PDG_CODES, trained.pdg[:84])))
    one["distances"] = np.sort(np.repeat(far(features), 3)).tolist()
    Path("run/calibration.json").write_text(json.dumps(content))
    with h5py.File("loud.h5", "w") as file:
        file["image"] = 1000 * trained.images
    words = ["task=predict", "run=run", "calibrated=true"]
    assert typed(*words, f"input={trained.file}", "output=like.csv") == 0
    assert "unlike" not in "".join(capsys.readouterr())
    assert typed(*words, "input=loud.h5", "output=loud.csv") == 0
    sentence = "of the events are unlike the training sample (p_value below 0.01), so answers may mean little"
    assert sentence in "".join(capsys.readouterr())
    found = []
    for name in ("like.csv", "loud.csv"):
        with open(name, newline="") as stream:
            found.append([float(row["p_value"]) for row in csv.DictReader(stream)])
    np.testing.assert_allclose(found[0][:84], p_values(far(features), one["distances"]), atol=0.03)
    assert np.median(found[1]) < 0.01


@pytest.mark.page
@pytest.mark.parametrize("use", ["true", "false"])
def test_a_prior_reweights_probabilities_and_metrics(trained: SimpleNamespace, typed: Typed, use: str) -> None:
    words = ["prior={electron:1,photon:4,muon:1,proton:2}", f"calibrated={use}"]
    assert typed("task=predict", "run=run", f"input={trained.file}", "output=p.h5", *words) == 0
    assert typed("task=evaluate", "run=run", "run_dir=tested", *words) == 0
    mix = np.sum(json.loads(Path("run/results.json").read_text())["val_confusion_matrix"], axis=1)
    assert mix.tolist() == calibration()["events"]
    plain = load_run("run", calibrated=use == "true").predict(trained.images).probability.astype(float)
    weighted = plain * np.array([1, 1, 4, 2]) / np.where(mix > 0, mix / mix.sum(), np.array([1, 1, 4, 2]) / 8)
    with h5py.File("p.h5") as file, h5py.File("tested/predictions.h5") as tested:
        assert not any(name.startswith("set_") for name in file)
        np.testing.assert_allclose(file["probability"][:], weighted / weighted.sum(1, keepdims=True), atol=1e-5)
        np.testing.assert_allclose(tested["probability"][:], file["probability"][92:], atol=1e-6)
    results = json.loads(Path("tested/results.json").read_text())
    assert results["prior"] == {"electron": 0.125, "muon": 0.125, "photon": 0.5, "proton": 0.25}
    assert "for another mix of particles" in Path("tested/report/index.html").read_text()


def test_the_spread_is_that_of_the_networks(trained: SimpleNamespace, typed: Typed) -> None:
    shutil.copytree("run", "other")
    shutil.copy("run/checkpoints/last.ckpt", "other/checkpoints/best.ckpt")
    assert typed("task=predict", "run=[run,other]", f"input={trained.file}", "output=p.h5") == 0
    each = np.stack([load_run(name).predict(trained.images).probability for name in ("run", "other")])
    most = each.mean(0).argmax(1)
    with h5py.File("p.h5") as file:
        np.testing.assert_allclose(file["spread"][:], each.std(0, ddof=1)[np.arange(100), most], atol=1e-6)
        assert "p_value" not in file


def test_a_calibration_of_other_weights_is_not_used(trained: SimpleNamespace, typed: Typed) -> None:
    shutil.copy("run/checkpoints/last.ckpt", "run/checkpoints/best.ckpt")
    with pytest.raises(InputError, match="it has one of other weights"):
        load_run("run", calibrated=True).predict(trained.images[:1])
    Path("run/calibration.json").unlink()
    with pytest.raises(InputError, match=r"run has no calibration; make it with cdmtrain task=calibrate run=run$"):
        load_run("run", calibrated=True).predict(trained.images[:1])


@pytest.mark.page
def test_cuts_say_which_events_pass_and_what_they_keep(trained: SimpleNamespace, typed: Typed) -> None:
    cuts = {"electron": 0.3, "proton": 0.2}
    words = [f"cut.{name}={cut}" for name, cut in cuts.items()]
    assert typed("task=predict", "run=run", f"input={trained.file}", "output=p.csv", *words) == 0
    assert typed("task=evaluate", "run=run", "run_dir=tested", *words) == 0
    probability = load_run("run").predict(trained.images).probability
    results = json.loads(Path("tested/results.json").read_text())
    with open("p.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for name, cut in cuts.items():
        passed = probability[:, NAMES.index(name)] >= cut
        assert [int(row[f"passes_{name}"]) for row in rows] == passed.astype(int).tolist()
        true, last = trained.pdg[92:] == {"electron": 11, "proton": 2212}[name], passed[92:]
        assert results["cut_efficiency"][name] == (last & true).sum() / true.sum()
        assert results["cut_purity"][name] == ((last & true).sum() / last.sum() if last.any() else None)
        wrong = (last & ~true).sum()
        assert results["cut_rejection"][name] == ((~true).sum() / wrong if wrong else None)
        assert len(results["uncertainty"]["cut_rejection"][name]) == 2
    assert "What the cuts keep" in Path("tested/report/index.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["cut.pion=0.9"], "cut.pion: the network tells apart electron, muon, photon, proton; choose one of these"),
        (["cut.muon=90"], "cut.muon=90: a probability from 0 to 1 is expected"),
    ],
)
def test_a_cut_that_means_nothing_is_said_in_a_sentence(
    trained: SimpleNamespace, typed: Typed, capsys: Capture, words: list[str], sentence: str
) -> None:
    assert typed("task=predict", "run=run", f"input={trained.file}", *words) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sets=some"], "sets=some: one of all, class is expected"),
        (["model=dnn"], "with run= that run's own configuration is used; leave out model"),
    ],
)
def test_what_cannot_be_calibrated_is_said_in_a_sentence(
    typed: Typed, capsys: Capture, words: list[str], sentence: str
) -> None:
    assert typed("task=calibrate", "run=run", *words) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [("scale", [1.0]), ("scale", [1, 1, 1, float("nan")]), ("bias", "none"), ("sets", {"90": [0.1]}), ("networks", 3)],
)
def test_a_damaged_calibration_is_said_in_a_sentence(calibrated: Path, tmp_path: Path, key: str, value: object) -> None:
    content = json.loads((calibrated / "calibration.json").read_text())
    content["calibrations"][0][key] = value
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"calibration.json: .*{key}.* restore the file or remove it"):
        read_calibrations(tmp_path)
