import sys
from pathlib import Path

import pytest

from cdmtrain import cli


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hydra/launcher=slurm"], "hydra/launcher=slurm is for sweeps; add -m (a sweep may be of one run)"),
        (["-m", "hydra/launcher=slurm"], "this machine has no sbatch; submit from a login node of the cluster"),
    ],
)
def test_a_launcher_that_cannot_submit_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    assert cli.main() == 1
    assert sentence in capsys.readouterr().err
