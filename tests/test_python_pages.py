"""What docs/python.md and docs/tutorial.ipynb show in Python runs, with fewer events than they say."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import cdmtrain
from cdmtrain import cli

DOCS = Path(__file__).parents[1] / "docs"
TUTORIAL = json.loads((DOCS / "tutorial.ipynb").read_text("utf-8"))
CODE = ["".join(cell["source"]) for cell in TUTORIAL["cells"] if cell["cell_type"] == "code"]


def fewer(code: str) -> str:
    """The code with a tenth of its events and two epochs, and its commands in this process."""
    code = code.replace("subprocess.run(command, check=True, capture_output=True)", "typed(command)")
    code = re.sub(r"events=(\d+)0\b", r"events=\1", code)
    return re.sub(r"max_epochs=\d", "max_epochs=2", code)


def typed(command: list[str]) -> None:
    """Run a command of the notebook in this process, which has imported everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command[2:])
        assert cli.main() == 0


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of a new notebook in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("cdmtrain.api.write_report", lambda run: run / "report/index.html")
    return {"__name__": "notebook", "typed": typed}


def test_the_page_on_python_runs_from_top_to_bottom(names: dict[str, Any]) -> None:
    for fence in re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text("utf-8"), re.DOTALL):
        exec(fewer(fence), names)
    assert names["run"].state == names["mine"].state == "finished"
    assert len(names["runs"]) == 1
    assert names["features"].shape[0] == len(names["name"]) == 3


def test_the_tutorial_runs_from_top_to_bottom(names: dict[str, Any]) -> None:
    for code in CODE:
        exec(fewer(code), names)
    tuned = names["tuned"]
    assert tuned.state == names["scratch"].state == "finished"
    assert json.loads((tuned.path / "provenance.json").read_text())["weights"]
    assert names["again"].predict(names["images"]).probability.shape == (80, 4)
    assert cdmtrain.load_runs(".")


def test_the_tutorial_is_kept_with_what_it_printed_and_without_an_error() -> None:
    cells = [cell for cell in TUTORIAL["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert "/tmp/" not in json.dumps(TUTORIAL)
