"""The C++ program of docs/cpp says of events what the run says.

tests/export/onnxruntime.sh DIR && ONNXRUNTIME_DIR=DIR python -m pytest tests/export/test_cpp.py
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cdmtrain import cli, load_run

SOURCE = Path(__file__).parents[2] / "docs" / "cpp"
pytestmark = pytest.mark.skipif("ONNXRUNTIME_DIR" not in os.environ, reason="needs tests/export/onnxruntime.sh")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("build")
    for words in (["-S", SOURCE, "-B", build], ["--build", build]):
        subprocess.run(["cmake", *words], check=True, capture_output=True, timeout=120)
    return build / "classify"


@pytest.fixture
def network(trained: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    words = ["task=export", f"run={trained.path}", "takes=hits", "output=network.onnx"]
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    monkeypatch.chdir(tmp_path)
    assert cli.main() == 0
    return tmp_path / "network.onnx"


def run(program: Path, network: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, network], input=text, capture_output=True, text=True, timeout=60)


def test_the_program_prints_what_predict_says(program: Path, network: Path, trained: SimpleNamespace) -> None:
    images = trained.images
    hits = [f"{event} {row} {column} {images[event, row, column]!s}" for event, row, column in np.argwhere(images)]
    told = run(program, network, "\n".join(hits))
    rows = [line.split() for line in told.stdout.splitlines()]
    expected = load_run(trained.path).predict(images)
    np.testing.assert_allclose(np.array([row[2:] for row in rows], float), expected.probability, atol=1e-5)
    assert [row[1] for row in rows] == expected.name.tolist()


@pytest.mark.parametrize(("text", "sentence"), [("0 1 99 1.0", "outside the image"), ("0 1 x", "four numbers a line")])
def test_wrong_lines_are_one_sentence(program: Path, network: Path, text: str, sentence: str) -> None:
    told = run(program, network, text)
    assert told.returncode == 1
    assert told.stderr.startswith("error: ")
    assert sentence in told.stderr
