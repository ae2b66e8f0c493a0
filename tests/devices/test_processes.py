"""Processes know which of them is the first, and a strategy that would pickle the training is refused."""

import os
from pathlib import Path

import pytest

from cdmtrain.devices.processes import Processes
from cdmtrain.devices.trainer import Trainer
from cdmtrain.errors import InputError
from cdmtrain.runs.process import is_first_process


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # torchrun on a second node
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "3"}, True),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "1"}, False),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, False),  # started by this program in an interactive job
    ],
)
def test_the_first_process_is_known_by_the_numbers_of_whatever_started_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], first: bool
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_fork_find_unused_parameters_true"])
def test_a_strategy_that_would_pickle_the_training_is_refused(strategy: str) -> None:
    with pytest.raises(InputError, match=f"trainer.strategy={strategy}: a run cannot be pickled"):
        Trainer(strategy=strategy, accelerator="cpu", devices=2)


def test_a_training_on_one_device_starts_no_process(tmp_path: Path) -> None:
    before = dict(os.environ)
    processes = Processes(tmp_path)
    processes.join(Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False))
    assert processes.started == []
    assert dict(os.environ) == before
