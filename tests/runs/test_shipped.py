"""A stranger's run that is continued writes, removes and sends nothing that this program does not ship."""

import copy
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from cdmtrain.callbacks.checkpoint import RunCheckpoint
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.checkpoint import check_states
from cdmtrain.runs.directory import open_run
from cdmtrain.runs.trust import read_config
from tests.runs.crafted import Config

CALLBACKS, LOGGERS = "lightning.pytorch.callbacks", "lightning.pytorch.loggers"
Open = Callable[..., DictConfig]


@pytest.fixture
def continued(own: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Continues a run with a change in its configuration, with words beside run=; gives what would be built."""
    monkeypatch.chdir(tmp_path)

    def change(group: str, name: str, node: Config | None, *words: str) -> DictConfig:
        config = copy.deepcopy(own)
        if node is not None:
            config[group] = {**(config[group] or {}), name: {**(config[group] or {}).get(name, {}), **node}}
        Path("run").mkdir(exist_ok=True)
        Path("run", files.CONFIG).write_text(yaml.safe_dump(config))
        with initialize_config_module("cdmtrain.conf", version_base="1.3"):
            cfg = compose("config", ["run=run", *words], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_run(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])) as run:
            return run.cfg

    return change


ATTACKS: dict[str, tuple[str, str, Config]] = {
    "writes where a shell reads": ("logger", "x", {"_target_": f"{LOGGERS}.CSVLogger", "save_dir": "../.bashrc.d"}),
    "removes a directory": ("callbacks", "x", {"_target_": f"{CALLBACKS}.ModelCheckpoint", "dirpath": "/home"}),
    "saves elsewhere": (
        "callbacks",
        "x",
        {"_target_": f"{CALLBACKS}.OnExceptionCheckpoint", "dirpath": "/"},
    ),
    "profiles into a file": ("callbacks", "x", {"_target_": f"{CALLBACKS}.DeviceStatsMonitor"}),
    "calls a function": ("callbacks", "x", {"_target_": f"{CALLBACKS}.LambdaCallback"}),
    "prunes weights by a function": ("callbacks", "x", {"_target_": f"{CALLBACKS}.ModelPruning", "pruning_fn": "l1"}),
    "writes predictions elsewhere": (
        "callbacks",
        "x",
        {"_target_": "cdmtrain.callbacks.predictions.PredictionsWriter", "run": "/home"},
    ),
    "writes metrics elsewhere": ("logger", "x", {"_target_": "cdmtrain.callbacks.metrics_csv.MetricsCsv", "run": "/"}),
    "moves TensorBoard": ("logger", "x", {"_target_": "cdmtrain.callbacks.loggers.TensorBoard", "save_dir": "/home"}),
    "names TensorBoard by a path": (
        "logger",
        "x",
        {"_target_": "cdmtrain.callbacks.loggers.TensorBoard", "save_dir": "run", "name": "../../x", "version": ""},
    ),
    "sends to a server": (
        "logger",
        "x",
        {"_target_": "cdmtrain.callbacks.loggers.MLflow", "tracking_uri": "https://evil.example"},
    ),
    "puts artifacts elsewhere": (
        "logger",
        "x",
        {"_target_": "cdmtrain.callbacks.loggers.MLflow", "artifact_location": "s3://evil"},
    ),
    "goes online": ("logger", "x", {"_target_": "cdmtrain.callbacks.loggers.WeightsAndBiases", "offline": False}),
    "sends to a project": (
        "logger",
        "x",
        {"_target_": "cdmtrain.callbacks.loggers.WeightsAndBiases", "entity": "evil"},
    ),
    "monitors a path": ("callbacks", "checkpoint", {"monitor": "../../x"}),
    "adds words to a shipped callback": ("callbacks", "checkpoint", {"dirpath": "/home"}),
    "adds a list to a shipped callback": ("callbacks", "checkpoint", {"more": ["/home"]}),
    "makes a function of a callback": ("callbacks", "checkpoint", {"_partial_": True}),
    "builds an argument": ("callbacks", "checkpoint", {"more": {"_target_": "os.system", "command": "ls"}}),
    "runs a command": ("callbacks", "x", {"_target_": "os.system", "command": "ls"}),
    "opens a process": ("callbacks", "x", {"_target_": "subprocess.Popen", "args": "ls"}),
    "profiles into a file of its own": (
        "trainer",
        "profiler",
        {"_target_": "lightning.pytorch.profilers.AdvancedProfiler", "dirpath": "/home"},
    ),
    "makes plugins": ("trainer", "plugins", {"more": ["x"]}),
    "is another package's": ("callbacks", "x", {"_target_": "mynet.Watch"}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_callback_or_logger_that_is_not_shipped_is_not_built(continued: Open, attack: str) -> None:
    with pytest.raises(InputError, match=r"^run/config\.yaml: "):
        continued(*ATTACKS[attack])


def test_a_run_with_unknown_callbacks_and_optimizer_opens(continued: Open) -> None:
    for group, name, node in (*ATTACKS.values(), ("optimizer", "x", {"_target_": "mynet.Optimizer"})):
        with pytest.raises(InputError):
            continued(group, name, node)
        assert read_config(Path("run")).model._target_.endswith(".Perceptron")


@pytest.mark.parametrize(
    ("group", "name", "node"),
    [
        ("callbacks", "checkpoint", {"every_seconds": 0, "keep_all": True}),
        ("callbacks", "checkpoint", {"monitor": "val_accuracy", "mode": "max"}),
        ("callbacks", "stop", {"_target_": f"{CALLBACKS}.EarlyStopping", "monitor": "val_loss", "patience": 99}),
        ("logger", "tensorboard", {"_target_": "cdmtrain.callbacks.loggers.TensorBoard", "save_dir": "run"}),
        ("logger", "mlflow", {"_target_": "cdmtrain.callbacks.loggers.MLflow", "run_name": "run"}),
    ],
)
def test_shipped_ones_are_built_with_the_numbers_of_the_run(
    continued: Open, group: str, name: str, node: Config
) -> None:
    built = continued(group, name, node)[group][name]
    assert {key: built[key] for key in node} == node


def test_a_logger_of_a_run_that_was_moved_writes_into_the_run(continued: Open, own: Config) -> None:
    node = {"_target_": "cdmtrain.callbacks.loggers.TensorBoard", "save_dir": "was/there"}
    own["run_dir"] = "was/there"
    try:
        assert continued("logger", "tensorboard", node).logger.tensorboard.save_dir == "run"
    finally:
        own["run_dir"] = "run"


def test_what_is_typed_again_is_built(continued: Open) -> None:
    node = {"_target_": "cdmtrain.callbacks.loggers.MLflow", "tracking_uri": "https://mine"}
    typed = ["logger=mlflow", "logger.mlflow.tracking_uri=https://mine"]
    assert continued("logger", "mlflow", node, *typed).logger.mlflow.tracking_uri == "https://mine"
    watch = f"+callbacks.watch._target_={CALLBACKS}.LearningRateMonitor"
    assert continued("callbacks", "watch", None, watch).callbacks.watch._target_.endswith("Monitor")
    with pytest.raises(InputError, match=r"logger\.mlflow\.tracking_uri is 'https://mine'.*type it again beside run="):
        continued("logger", "mlflow", node)


def test_other_words_beside_run_are_refused(continued: Open) -> None:
    with pytest.raises(InputError, match=r"leave out optimizer\.lr=1"):
        continued("callbacks", "checkpoint", None, "optimizer.lr=1")


def test_a_run_directory_that_is_typed_builds_what_was_typed(
    continued: Open, own: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdmtrain.runs.directory.job_hash", lambda cfg: "the same")  # 32 bits can be made to collide
    Path("theirs").mkdir()
    Path("theirs", files.CONFIG).write_text(yaml.safe_dump({**own, "model": {"_target_": "os.system"}}))
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", ["model=cnn", "run_dir=theirs"], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_run(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])) as run:
        assert run.cfg.model._target_ == "cdmtrain.model.cnn.CNN"


class State(SimpleNamespace):
    """A callback with this state."""

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self), state_key=...)


@pytest.mark.parametrize(
    "change",
    [
        {"best_model_path": "/home/me/thesis"},
        {"best_model_path": "precious"},
        {"best_model_path": "../precious"},
        {"best_model_path": "file:///home"},
        {"last_model_path": "s3://bucket/x"},
        {"best_k_models": {"/home/me/thesis": torch.tensor(1.0)}},
        {"kth_best_model_path": ["run/checkpoints", "precious"]},
        {"unknown": 1},
    ],
)
def test_a_state_may_not_name_what_a_callback_would_remove(tmp_path: Path, change: dict[str, Any]) -> None:
    run, callback = tmp_path / "run", ModelCheckpoint(dirpath=tmp_path / "run")
    honest = {**callback.state_dict(), "best_model_path": str(run / "checkpoints/a.ckpt")}
    check_states({"callbacks": {callback.state_key: honest}}, [callback], run, run / "last.ckpt")
    with pytest.raises(InputError, match=r"last\.ckpt: the saved state of ModelCheckpoint"):
        check_states({"callbacks": {callback.state_key: honest | change}}, [callback], run, run / "last.ckpt")


def test_states_of_our_callbacks_hold_no_other_keys_and_no_text(tmp_path: Path) -> None:
    ours, early = RunCheckpoint(monitor="val_loss", mode="min", every_seconds=1), EarlyStopping("val_loss")
    for callback in (ours, early):
        saved = {"callbacks": {callback.state_key: callback.state_dict()}}
        check_states(saved, [callback], tmp_path, tmp_path / "last.ckpt")
        for change in ({"more": 1}, {next(iter(callback.state_dict())): "/home"}):
            saved["callbacks"][callback.state_key] = callback.state_dict() | change
            with pytest.raises(InputError, match="the saved state of"):
                check_states(saved, [callback], tmp_path, tmp_path / "last.ckpt")


def test_another_process_of_a_run_builds_what_the_first_one_checked(
    continued: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDMTRAIN_RUN_DIR", "run")
    monkeypatch.setattr("sys.stdin", io.StringIO("model: {_target_: mine}"))
    assert continued("callbacks", "x", {"_target_": "os.system"}) == {"model": {"_target_": "mine"}}
