"""`task=convert` and `write_events`: from arrays to a file that trains."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import cdmtrain
from cdmtrain.errors import InputError
from tests.tasks.training import cdmtrain as command

IMAGES = np.where(np.random.default_rng(1).random((40, 16, 16)) < 0.2, 3.0, 0.0)
KINDS = np.arange(40) % 4


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_counts_and_indices_become_a_file_that_trains(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez("a.npz", pictures=(100 * IMAGES).astype(np.int16), kind=KINDS)
    words = ["task=convert", "input=a.npz", "output=a.h5", "keys.image=pictures", "keys.label=kind", "scale=0.01"]
    assert command(monkeypatch, *words, "labels=[electron,muon,photon,proton]") == 0
    said = capsys.readouterr().out
    assert "40 events of 16 x 16 pixels in a.h5: 10 electron, 10 muon, 10 photon, 10 proton" in said
    train = ["data=hdf5", "data.files=[a.h5]", "data.image_size=16", "model=dnn", "trainer=debug"]
    assert command(monkeypatch, *train) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["input=none.npz"], "input=none.npz is not a file"),
        (["square=bend"], "square=bend: pad, crop, refuse is expected"),
        (["scale=0"], "a scale above 0"),
        (["crop=[1,2]"], "[first row,first column,rows,columns] is expected"),
        (["labels=electron"], "a list of particles in brackets is expected"),
        (["output=a.npz"], "output=a.npz exists; choose another name or remove it"),
        (["plane=2"], "plane=2: the images have 2 planes"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez("a.npz", images=np.stack([IMAGES, IMAGES], 1))
    assert command(monkeypatch, "task=convert", "input=a.npz", "output=b.h5", *words) == 1
    assert sentence in capsys.readouterr().err
    assert not Path("b.h5").exists()


def test_write_events_writes_what_python_holds() -> None:
    names = np.array(["electron", "mu-", "gamma", "2212"])[KINDS]
    cdmtrain.write_events("a.h5", torch.from_numpy(IMAGES), particles=names, kinetic_energy_mev=np.full(40, 50))
    with h5py.File("a.h5") as file:
        assert np.array_equal(file["image"][:], IMAGES)
        assert file["pdg"][:4].tolist() == [11, 13, 22, 2212]
        assert file["kinetic_energy_mev"][0] == 50
    with pytest.raises(InputError, match=r"a\.h5 exists"):
        cdmtrain.write_events("a.h5", IMAGES)
    with pytest.raises(InputError, match="there are 40 images"):
        cdmtrain.write_events("b.h5", IMAGES, particles=names[:3])
    with pytest.raises(InputError, match="colour is no truth that the format has"):
        cdmtrain.write_events("b.h5", IMAGES, colour=names)
