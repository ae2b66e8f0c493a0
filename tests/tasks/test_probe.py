"""A probe of a run leaves a table, a picture and the numbers, and names what does not apply."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cdmtrain import cli, load_run

Capture = pytest.CaptureFixture[str]
QUANTITIES = ("accuracy", "changed", "calibration_error", "efficiency")


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path | None]:
    """Types the words after task=probe; the directory that is left, None where the command failed."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> Path | None:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=probe", *words])
        status = cli.main()
        left = sorted(tmp_path.glob("outputs/probe/*"))
        assert len(left) == (status == 0)
        return left[0] if left else None

    return typed


def test_a_probe_leaves_its_numbers_its_picture_and_a_table(
    trained: SimpleNamespace, probe: Callable[..., Path | None], capsys: Capture
) -> None:
    folder = probe(f"run={trained.path}")
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == {
        *("probe.json", "probe.csv", "probe.png"),
        *("learned.h5", "kernels.csv", "kernels.png", "contributions.csv", "contributions.png"),
        *(f"effects_{name}.{kind}" for name in QUANTITIES for kind in ("csv", "png")),
    }
    assert (folder / "probe.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((folder / "probe.json").read_text())
    assert (told["run"], told["model"]) == (str(trained.path), "CNN")
    rows = list(csv.DictReader((folder / "probe.csv").read_text().splitlines()))
    assert [row["perturbation"] for row in rows] == [one["perturbation"] for one in told["movements"]]
    found = {one["perturbation"]: one for one in told["movements"]}
    said = load_run(trained.path).predict(trained.images[-8:])
    mirrored = load_run(trained.path).predict(trained.images[-8:, :, ::-1].copy())
    assert found["mirror columns"]["events"] == 8
    assert found["mirror columns"]["changed"] == np.mean(said.name != mirrored.name)
    variation = np.abs(said.probability - mirrored.probability).sum(1).mean() / 2
    assert found["mirror columns"]["total_variation"] == pytest.approx(variation, rel=1e-4)  # float32 probabilities
    assert found["nodes renumbered"]["note"] == "the network takes Hits, this is for graphs"
    assert found["nodes renumbered"]["changed"] is None
    shown = capsys.readouterr().out
    assert "mirror columns" in shown
    assert "nodes renumbered: the network takes Hits, this is for graphs" in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_several_runs_are_compared_under_the_same_detector_effects(
    trained: SimpleNamespace, probe: Callable[..., Path | None], tmp_path: Path, capsys: Capture
) -> None:
    other = shutil.copytree(trained.path, tmp_path / "other")
    folder = probe(f"run=[{trained.path},{other}]")
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == {
        "probe.json",
        *(f"effects_{name}.{kind}" for name in QUANTITIES for kind in ("csv", "png")),
    }
    first, second = json.loads((folder / "probe.json").read_text())["runs"]
    assert (first["run"], second["run"]) == (str(trained.path), str(other))
    assert first["effects"] == second["effects"]  # the same network sees the same draws
    rows = list(csv.DictReader((folder / "effects_accuracy.csv").read_text().splitlines()))
    assert len(rows) == 2 * len(first["effects"])
    assert {row["network"] for row in rows} == {str(trained.path), str(other)}
    assert "lost region" in capsys.readouterr().out


def test_fewer_events_are_probed_on_request(trained: SimpleNamespace, probe: Callable[..., Path | None]) -> None:
    folder = probe(f"run={trained.path}", "events=3")
    assert folder is not None
    told = json.loads((folder / "probe.json").read_text())
    assert next(one for one in told["movements"] if one["perturbation"] == "mirror rows")["events"] == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run=nowhere"], "run=nowhere: there is no config.yaml in it"),
        (["run=[a,a]"], "run=['a', 'a']: one run directory, or a list of different ones, is expected"),
        (["events=0"], "events=0: at least 1 event is expected"),
        (["model=dnn"], "leave out model"),
    ],
)
def test_what_cannot_be_probed_is_one_sentence(
    trained: SimpleNamespace, probe: Callable[..., Path | None], capsys: Capture, words: list[str], sentence: str
) -> None:
    run = [] if words[0].startswith("run=") else [f"run={trained.path}"]
    assert probe(*run, *words) is None
    assert sentence in capsys.readouterr().err
