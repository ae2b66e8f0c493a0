"""The names of a run's files are written in one module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cdmtrain
from cdmtrain.runs import files

PACKAGE = Path(cdmtrain.__file__).parent
NAMES = {Path(value).name for value in vars(files).values() if isinstance(value, str) and "." in value}
FILES = NAMES - {files.LOCK, Path(files.PAGE).name, *(name for name in NAMES if name.startswith("__"))} - {"files.py"}
FOLDERS = {files.CHECKPOINTS, files.REPORT}


def sources() -> list[str]:
    paths = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]
    return [path for path in paths if path != "runs/files.py" and not path.startswith("conf/")]


def spelled_names(source: str) -> Iterator[str]:
    """File names of a run directory in strings that are no docstrings, and folders of it that are joined to a path."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from (name for name in FILES if name in node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield from (name for name in FOLDERS if name == node.right.value)


@pytest.mark.parametrize("source", sources())
def test_no_other_module_spells_the_name_of_a_file_of_a_run(source: str) -> None:
    found = set(spelled_names((PACKAGE / source).read_text("utf-8")))
    if source.startswith("config/"):
        found.discard(files.CONFIG)  # the program's own conf/config.yaml
    assert not found


def test_spelled_names_are_found() -> None:
    assert {"config.yaml", "best.ckpt", "predictions.h5", "results.json"} <= FILES
    assert list(spelled_names('"""results.json"""\nx = run / "results.json"')) == ["results.json"]
    assert list(spelled_names('f"{run}/checkpoints/last.ckpt"')) == ["last.ckpt"]
    assert list(spelled_names('run / "report"')) == ["report"]
