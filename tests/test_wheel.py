"""The wheel in a new environment, used in an empty directory: networks of one's own as docs/your_model.md has them."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.your_model import commands, write_files

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[1]
SMALL = ["data=hdf5", "data.files=[new.h5]", "data.image_size=16", "data.batch_size=20", "trainer.accelerator=cpu"]
Run = Callable[..., subprocess.CompletedProcess[str]]
PACKAGE = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "theirs"
version = "1"
[project.entry-points.cdmtrain]
theirs = "theirs.conf"
[tool.setuptools]
packages = ["theirs", "theirs.conf"]
[tool.setuptools.package-data]
"theirs.conf" = ["**/*.yaml"]
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, which finds the dependencies where these tests do."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("environment")
    for name in ("cdmtrain", "conf", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(one for one in sys.path if one.endswith("-packages")))
    install(folder / "bin/python", source)
    return folder / "bin/python"


def install(python: Path, source: Path) -> None:
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site, source]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)


@pytest.fixture
def cdmtrain(python: Path, tmp_path: Path) -> Run:
    """Runs the installed command in a directory that holds my/ and new.h5 alone."""
    write_files(tmp_path)
    random = np.random.default_rng(1)
    which = random.integers(0, 4, 100)
    with h5py.File(tmp_path / "new.h5", "w") as file:
        images = random.gamma(2.0, 1.0 + which[:, None, None], (100, 16, 16)) * (random.random((16, 16)) < 0.2)
        file["image"], file["pdg"] = images.astype(np.float32), np.array([11, 13, 22, 2212], np.int32)[which]

    def run(*words: str, program: str = "") -> subprocess.CompletedProcess[str]:
        command = [python, "-P", "-c", program] if program else [python, "-P", "-m", "cdmtrain", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    return run


def test_every_command_of_the_page_runs(cdmtrain: Run, tmp_path: Path) -> None:
    cdmtrain("--config-dir=my", "model=mynet", *SMALL, "trainer.max_epochs=1", "run_dir=RUN")
    for words in (shlex.split(line)[1:] for line in commands()):
        trains = not any(word.startswith(("task=", "run=", "--help")) for word in words)
        more = [*SMALL, "trainer.max_epochs=1"] if trains else []
        cdmtrain(*words, *more, *["hydra/launcher=joblib"] * ("-m" in words))
    assert (tmp_path / "network.pt2").exists()
    origin = cdmtrain(program="import cdmtrain; print(cdmtrain.__file__)").stdout
    assert str(ROOT) not in origin
    load = "import cdmtrain, numpy; run = cdmtrain.load_run('RUN', trust=['mynet']); x = numpy.ones((3, 16, 16))"
    shapes = cdmtrain(program=f"{load}; print(run.predict(x).probability.shape, run.embed(x).shape)").stdout
    assert shapes.strip() == "(3, 4) (3, 32)"


def test_it_is_killed_resumed_and_trained_by_two_processes(cdmtrain: Run, python: Path, tmp_path: Path) -> None:
    words = ["--config-dir=my", "model=mynet", *SMALL, "trainer.max_epochs=2000", "run_dir=killed"]
    with subprocess.Popen([python, "-P", "-m", "cdmtrain", *words], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not (tmp_path / "killed/metrics.csv").exists() and time.monotonic() < until:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    cfg = (tmp_path / "killed/config.yaml").read_text()
    few_more = len((tmp_path / "killed/metrics.csv").read_text().splitlines()) + 5
    (tmp_path / "killed/config.yaml").write_text(cfg.replace("max_epochs: 2000", f"max_epochs: {few_more}"))
    cdmtrain("run=killed", "trust=mynet")
    ddp = ["trainer=ddp", "trainer.devices=2", "trainer.max_epochs=1", "run_dir=two"]
    cdmtrain("--config-dir=my", "model=mynet", *SMALL, *ddp)
    for run in ("killed", "two"):
        assert json.loads((tmp_path / run / "status.json").read_text())["state"] == "finished"


def test_a_package_of_ones_own_needs_no_flag_and_no_trust(cdmtrain: Run, python: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "theirs/conf/model").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PACKAGE)
    for name in ("theirs/__init__.py", "theirs/conf/__init__.py"):
        (source / name).touch()
    shutil.copy(tmp_path / "my/mynet.py", source / "theirs/net.py")
    option = (tmp_path / "my/model/mynet.yaml").read_text().replace("mynet.MyNet", "theirs.net.MyNet")
    (source / "theirs/conf/model/theirnet.yaml").write_text(option)
    install(python, source)
    shutil.rmtree(source)
    assert "theirnet" in cdmtrain("--help", "model").stdout
    cdmtrain("model=theirnet", *SMALL, "trainer.max_epochs=1", "run_dir=theirs")
    cdmtrain("task=evaluate", "run=theirs")
    assert os.path.exists(tmp_path / "outputs/evaluate")
