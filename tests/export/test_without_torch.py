"""The Python of docs/deploy.md runs where neither torch nor cdmtrain can be imported."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from cdmtrain import cli, load_run
from tests.test_docs import fences

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
SAVE = """
images = np.load("images.npy")
probabilities, names = classify(images)
np.savez("said.npz", probabilities=probabilities, names=names)
"""


def test_twenty_lines_of_python_say_what_the_run_says(
    trained: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=export", f"run={trained.path}", "takes=hits"])
    assert cli.main() == 0
    np.save("images.npy", trained.images)
    (code,) = fences(PAGE, "python")
    assert len(code.splitlines()) <= 20
    (tmp_path / "site").mkdir()
    for name in ("numpy", "numpy.libs", "onnxruntime"):
        package = Path(onnxruntime.__file__).parents[1] / name
        if package.exists():
            (tmp_path / "site" / name).symlink_to(package)
    script = f"import sys\nsys.path.append({str(tmp_path / 'site')!r})\n{code}{SAVE}assert 'torch' not in sys.modules\n"
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, timeout=120)
    said, expected = np.load("said.npz"), load_run(trained.path).predict(trained.images)
    np.testing.assert_allclose(said["probabilities"], expected.probability, atol=1e-5)
    assert said["names"].tolist() == expected.name.tolist()
