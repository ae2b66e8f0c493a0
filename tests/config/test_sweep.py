"""Hydra composes every job of a sweep once."""

import pickle
from collections import Counter
from types import SimpleNamespace

import pytest
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config import sweep


class Loader:
    """Composes from the words alone, and counts how often."""

    def __init__(self) -> None:
        self.composed: Counter[tuple[str, ...]] = Counter()

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        self.composed[tuple(sweep_overrides)] += 1
        config = OmegaConf.from_dotlist([*sweep_overrides, "when=${random:}"])
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config


@pytest.fixture
def sweeper() -> SimpleNamespace:
    master = OmegaConf.create({"when": "${random:}"})
    return SimpleNamespace(config=master, hydra_context=SimpleNamespace(config_loader=Loader()))


def run(sweeper: SimpleNamespace, words: list[str]) -> DictConfig:
    return sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, words)


def test_a_job_runs_with_the_configuration_that_was_checked(sweeper: SimpleNamespace) -> None:
    loader = sweeper.hydra_context.config_loader
    sweep.validate_batch_is_legal(sweeper, [["seed=1"], ["seed=2"]])
    assert [run(sweeper, [f"seed={seed}"]).seed for seed in (1, 2)] == [1, 2]
    assert loader.composed == {("seed=1",): 1, ("seed=2",): 1}


def test_a_job_has_what_was_resolved_after_the_check(sweeper: SimpleNamespace) -> None:
    sweep.validate_batch_is_legal(sweeper, [["seed=1"]])
    resolved = sweeper.config.when
    assert run(sweeper, ["seed=1"]).when == resolved


def test_equal_jobs_have_configurations_of_their_own(sweeper: SimpleNamespace) -> None:
    sweep.validate_batch_is_legal(sweeper, [["seed=1"], ["seed=1"]])
    first, second, third = (run(sweeper, ["seed=1"]) for _ in range(3))
    assert first is not second is not third is not first


def test_a_long_sweep_keeps_a_limited_number_of_configurations(
    sweeper: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "MOST_KEPT", 2)
    loader, jobs = sweeper.hydra_context.config_loader, [[f"seed={seed}"] for seed in range(3)]
    sweep.validate_batch_is_legal(sweeper, jobs)
    for words in jobs:
        run(sweeper, words)
    assert list(loader.composed.values()) == [1, 1, 2]


def test_the_configurations_are_not_sent_to_another_process(sweeper: SimpleNamespace) -> None:
    sweep.validate_batch_is_legal(sweeper, [["seed=1"]])
    sent = pickle.loads(pickle.dumps(sweeper.hydra_context.config_loader))
    assert not sent.checked
    assert sent.composed == {("seed=1",): 1}
