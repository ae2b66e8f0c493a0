"""Tests of the tasks run the command in a directory of their own."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cdmtrain import cli


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def calibrated(trained: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run with a calibration of its probabilities; made once and only to be read."""
    path = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(trained.path, path)
    words = ["task=calibrate", f"run={path}", f"data.cache_dir={trained.path.parent}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cdmtrain", *words])
        assert cli.main() == 0
    return path


@pytest.fixture(autouse=True)
def quick(without_page: None) -> None:
    """No page but in tests marked `page`."""
