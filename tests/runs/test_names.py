"""A job of a sweep has the same name in every version of the program."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain import cli
from cdmtrain.runs.legacy import as_in_0_1, translate
from cdmtrain.runs.names import job_hash, job_name, new_name

pytestmark = pytest.mark.usefixtures("without_page")

SWEEP = Path(__file__).parents[1] / "fixtures/sweep_0_1"
DATA = ["data=hdf5", "data.files=[events.h5]", "data.cache_dir=cache", "data.image_size=16", "data.batch_size=50"]

# words -> hash, as version 0.1 computed it
HASHES_OF_0_1 = json.loads((SWEEP / "hashes.json").read_text())
# words that train another network today -> those that train the network of 0.1
TODAY = {
    "model=message_passing": "model=message_passing model.self_messages=true model.layer_norm=true model.activated=true"
}


def config(*words: str) -> DictConfig:
    """The configuration of a job with these words."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", list(words), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


@pytest.mark.parametrize("words", HASHES_OF_0_1)
def test_a_configuration_has_the_hash_that_0_1_gave_it(words: str) -> None:
    today = TODAY.get(words, words)
    assert job_hash(config(*today.split())) == HASHES_OF_0_1[words]
    assert today == words or job_hash(config(*words.split())) != HASHES_OF_0_1[words]


def test_a_changed_value_changes_the_hash_but_not_a_directory() -> None:
    one = job_hash(config("model=dnn", "logger=tensorboard"))
    same = ["run_dir=elsewhere", "sweep.dir=other", "print_config=false", "launch.wait=false"]
    assert job_hash(config("model=dnn", "logger=csv")) == job_hash(config("model=dnn", "logger=csv", *same))
    assert one != job_hash(config("model=dnn", "logger=tensorboard", "optimizer.lr=0.5"))
    assert one != job_hash(config("model=gnn", "representation/event_features=[energy]", "logger=tensorboard"))


def test_a_job_is_named_by_model_seed_and_hash() -> None:
    name = job_name(config("model=gnn", "seed=1", *DATA, "trainer=cpu", "trainer.max_epochs=1"))
    assert name == "gnn_seed1_5570bab3"


@pytest.mark.parametrize("job", sorted(path.name for path in SWEEP.iterdir() if path.is_dir()))
def test_a_translated_configuration_is_translated_back(job: str) -> None:
    old = OmegaConf.to_container(OmegaConf.load(SWEEP / job / "config.yaml"))
    assert isinstance(old, dict)
    assert translate(old) != old
    assert as_in_0_1(translate(old)) == old
    assert as_in_0_1(old) == old
    assert translate(translate(old)) == translate(old)


def test_a_finished_sweep_of_0_1_is_passed_over_when_its_command_is_typed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SWEEP, "sweep")  # there are no events: whatever is trained fails
    words = [*DATA, "trainer=cpu", "trainer.max_epochs=1", "sweep.dir=sweep", "print_config=false"]
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "-m", "model=gnn,sparse_resnet", *words])
    assert cli.main() == 0
    shown = capsys.readouterr().out
    assert shown.count("is finished; nothing is left to train") == 2
    assert "2 runs: 2 finished" in shown


def test_new_names_do_not_collide() -> None:
    assert len({new_name() for _ in range(100)}) == 100
