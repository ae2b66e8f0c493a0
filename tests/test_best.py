"""The network that comes with the package: wherever a run is named, `best` is one, and it has the figures it claims."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from cdmtrain import cli, load_run
from cdmtrain.runs.find import SHIPPED, run_directory

BEST = SHIPPED / "best"
SLICE = Path(__file__).parent / "fixtures/geant4.h5"  # 1 000 events
ACCURACY = {False: 0.944, True: 0.947}  # on these, without and with symmetries


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    return cli.main()


def results(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, "results.json").read_text())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_takes_at_most_4_mb() -> None:
    assert sum(path.stat().st_size for path in BEST.rglob("*")) <= 4_000_000


def test_one_experiment_has_its_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "cdmtrain", "experiment=shipped", "--cfg", "job", "--resolve"]
    composed = yaml.safe_load(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    recorded = yaml.safe_load((BEST / "config.yaml").read_text())
    for part in ("seed", "model", "representation", "augmentation", "loss", "optimizer", "scheduler", "data"):
        assert composed[part] == recorded[part]
    assert composed["trainer"]["max_epochs"] == recorded["trainer"]["max_epochs"]


@pytest.mark.parametrize("symmetries", [False, True])
def test_it_has_its_figures_on_geant4_events(symmetries: bool, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("data=hdf5", f"data.files=[{SLICE}]", f"symmetries={symmetries}", "run_dir=tested")
    assert typed(monkeypatch, "task=evaluate", "run=best", *words) == 0
    assert results("tested")["accuracy"] == pytest.approx(ACCURACY[symmetries], abs=0.0021)  # rounding may turn two


def test_without_data_it_is_tested_on_new_simulated_events(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(monkeypatch, "task=evaluate", "run=best", "data.events=400", "run_dir=tested") == 0
    assert np.sum(results("tested")["confusion_matrix"]) == 400
    data = yaml.safe_load(Path("tested/config.yaml").read_text())["data"]
    assert data["sample_seed"] != yaml.safe_load((BEST / "config.yaml").read_text())["data"]["sample_seed"]
    assert results("tested")["accuracy"] > 0.9


def test_it_predicts_a_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (f"input={SLICE}", "output=a.csv", "calibrated=true")
    assert typed(monkeypatch, "task=predict", "run=best", *words) == 0
    lines = Path("a.csv").read_text().splitlines()
    assert len(lines) == 1001
    assert {"set_90", "p_value"} <= set(lines[0].split(","))


def test_it_is_opened_in_python() -> None:
    with h5py.File(SLICE) as file:
        images, pdg = file["image"][:50], file["pdg"][:50]
    run = load_run("best", calibrated=True)
    names = np.array(["electron", "muon", "photon", "proton"])[np.searchsorted([11, 13, 22, 2212], pdg)]
    assert (run.predict(images).name == names).mean() > 0.8


def test_a_training_begins_with_its_weights(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("experiment=best", "data.events=60", "trainer=debug", "weights=best", "print_config=false", "run_dir=new")
    assert typed(monkeypatch, *words) == 0
    assert json.loads(Path("new/provenance.json").read_text())["weights"]["new"] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run=best",), "begin a new run with its weights: weights=best"),
        (("run=best", "trainer.max_epochs=99"), "begin a new run with its weights"),
        (("task=calibrate", "run=best"), "run=best comes calibrated"),
    ],
)
def test_it_stays_as_it_is(
    words: tuple[str, ...],
    sentence: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(monkeypatch, *words) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_directory_of_that_name_is_called_by_its_path() -> None:
    assert run_directory("./best") == Path("best")
    assert run_directory("best") == BEST


def test_no_file_of_it_names_a_machine_or_a_place_outside() -> None:
    for path in BEST.rglob("*.*"):
        if path.suffix in (".json", ".yaml", ".csv", ".md"):
            assert "/tmp" not in path.read_text(), path
    assert not json.loads((BEST / "provenance.json").read_text())["host"]


def test_it_is_opened_in_the_folder_of_a_checkout_beside_an_ordinary_installation() -> None:
    root = Path(__file__).parents[1]
    alone = "import sys; sys.meta_path[:] = [one for one in sys.meta_path if 'ditable' not in str(one)]"
    command = [sys.executable, "-c", f"{alone}; import cdmtrain; print(cdmtrain.load_run('best').classes)"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('electron', 'muon', 'photon', 'proton')"
