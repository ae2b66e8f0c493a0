"""The faults that `try_mutants.py` makes can be made, so that none of them passes for noticed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _mutants() -> list[Any]:
    spec = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MUTANTS


def test_there_are_at_least_forty_mutants() -> None:
    assert len(_mutants()) >= 40


@pytest.mark.parametrize("mutant", _mutants(), ids=lambda mutant: f"{mutant.file}: {mutant.old[:30]}")
def test_a_mutant_changes_one_place_and_compiles_and_has_tests(mutant: Any) -> None:
    source = (ROOT / "cdmtrain" / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert all((ROOT / name).is_file() for name in mutant.test_files)
