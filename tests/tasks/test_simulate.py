"""cdmtrain task=simulate from the command to its file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cdmtrain import cli
from cdmtrain.particles import PDG_CODES

WORDS = ["task=simulate", "events=2100", "seed=7", "simulation.image_size=32", "print_config=false"]
ON_CORES = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv.pop(1))])
from cdmtrain import cli
sys.exit(cli.main())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose its cores")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="this machine has one core")
def test_the_same_seed_gives_the_same_bytes_on_one_core_and_on_two(tmp_path: Path) -> None:
    for cores in ("1", "2"):
        words = [sys.executable, "-c", ON_CORES, cores, *WORDS, f"output={cores}.h5"]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_the_file_says_what_is_in_it_and_how_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *WORDS, "simulation.voxel_threshold_mev=0.2", "output=a.h5"])
    assert cli.main() == 0
    assert re.search(
        r"2100 events in a\.h5: \d+ events/s after the first block, peak memory \d", capsys.readouterr().out
    )
    with h5py.File("a.h5") as file:
        image, made_by = file["image"][:], json.loads(file.attrs["settings"])
        assert np.bincount(file["pdg"][:])[list(PDG_CODES)].tolist() == [525] * 4
        assert file["index"][:].tolist() == list(range(2100))
        assert file["mean"][0] == pytest.approx(image.mean(dtype=np.float64), rel=1e-9)
        assert file["std"][0] == pytest.approx(image.std(dtype=np.float64), rel=1e-9)
        np.testing.assert_allclose(np.linalg.norm(file["direction"][:], axis=1), 1, rtol=1e-5)
        assert file["kinetic_energy_mev"].shape == (2100,)
        assert file["vertex_px"].shape == (2100, 2)
    assert image.shape == (2100, 32, 32)
    assert image[image > 0].min() >= np.float32(0.2)
    assert (made_by["events"], made_by["seed"], made_by["voxel_threshold_mev"]) == (2100, 7, 0.2)
