"""Every scheduler, callback and setting of the Trainer changes how a small network is trained, or is refused."""

import csv
import functools
import io
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import h5py
import lightning
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

import cdmtrain.conf
from cdmtrain.config.build import build
from cdmtrain.config.explain import explain
from cdmtrain.config.sources import groups, leaves, read_yaml
from cdmtrain.devices.trainer import Trainer
from cdmtrain.runs.directory import RunDirectory
from cdmtrain.runs.open import make_classifier
from cdmtrain.training import configure_logging, make_trainer
from tests.conftest import make_images

CONF = Path(cdmtrain.conf.__file__).parent
BASE = "data=hdf5 data.image_size=16 data.batch_size=10 model=perceptron trainer=cpu trainer.max_epochs=4 seed=1"
STOPS = "callbacks=early_stopping callbacks.early_stopping.patience=1"
FLAT = "optimizer.lr=1e-6"  # next to nothing is learned
STUCK = "optimizer.lr=0"  # nothing is learned, so no epoch is better than the first
PLATEAU = f"scheduler=plateau scheduler.scheduler.patience=0 {FLAT}"

# what is typed before and with each setting; the two trainings differ
CHANGES: dict[str, tuple[str, str]] = {
    "scheduler=cosine": ("", "scheduler=cosine"),
    "scheduler=onecycle": ("", "scheduler=onecycle"),
    "scheduler=plateau": (FLAT, PLATEAU),
    "scheduler=step": ("", "scheduler=step scheduler.scheduler.milestones=[1]"),
    "cosine.interval": ("scheduler=cosine", "scheduler.interval=epoch"),
    "cosine.scheduler.eta_min": ("scheduler=cosine", "scheduler.scheduler.eta_min=1e-4"),
    "onecycle.interval": ("scheduler=onecycle", "scheduler.interval=epoch"),
    "onecycle.scheduler.max_lr": ("scheduler=onecycle", "scheduler.scheduler.max_lr=0.1"),
    "onecycle.scheduler.pct_start": ("scheduler=onecycle", "scheduler.scheduler.pct_start=0.6"),
    "plateau.monitor": ("scheduler=plateau scheduler.scheduler.patience=0", "scheduler.monitor=val_accuracy"),
    "plateau.scheduler.mode": ("scheduler=plateau scheduler.scheduler.patience=0", "scheduler.scheduler.mode=max"),
    "plateau.scheduler.factor": (PLATEAU, "scheduler.scheduler.factor=0.7"),
    "plateau.scheduler.patience": (PLATEAU, "scheduler.scheduler.patience=1"),
    "step.interval": ("scheduler=step scheduler.scheduler.milestones=[1]", "scheduler.interval=step"),
    "step.scheduler.milestones": ("scheduler=step", "scheduler.scheduler.milestones=[2]"),
    "step.scheduler.gamma": ("scheduler=step scheduler.scheduler.milestones=[1]", "scheduler.scheduler.gamma=0.5"),
    "callbacks=checkpoint": ("", "callbacks=checkpoint"),
    "callbacks=early_stopping": (STUCK, STOPS),
    "callbacks=weight_averaging": ("", "callbacks=weight_averaging"),
    "checkpoint.checkpoint.monitor": ("", "callbacks.checkpoint.monitor=val_accuracy"),
    "checkpoint.checkpoint.mode": ("", "callbacks.checkpoint.mode=max"),
    "checkpoint.checkpoint.every_seconds": ("", "callbacks.checkpoint.every_seconds=0"),
    "checkpoint.checkpoint.keep_all": ("", "callbacks.checkpoint.keep_all=true"),
    "early_stopping.early_stopping.monitor": (STOPS, "callbacks.early_stopping.monitor=val_accuracy"),
    "early_stopping.early_stopping.mode": (STOPS, "callbacks.early_stopping.mode=max"),
    "early_stopping.early_stopping.patience": (f"{STUCK} {STOPS}", "callbacks.early_stopping.patience=2"),
    "weight_averaging.weight_averaging.decay": (
        "callbacks=weight_averaging",
        "callbacks.weight_averaging.decay=0.5",
    ),
    "trainer=debug": ("", "trainer=debug"),
    "trainer=overfit": ("", "trainer=overfit trainer.max_epochs=4 trainer.check_val_every_n_epoch=2"),
    "trainer.precision": ("model=dnn model.width=4", "trainer.precision=bf16-mixed"),
    "trainer.max_epochs": ("", "trainer.max_epochs=2"),
    "trainer.max_steps": ("", "trainer.max_steps=3"),
    "trainer.accumulate_grad_batches": ("", "trainer.accumulate_grad_batches=2"),
    "trainer.gradient_clip_val": ("optimizer=sgd", "trainer.gradient_clip_val=0.001"),
    "trainer.limit_train_batches": ("", "trainer.limit_train_batches=0.5"),
    "trainer.limit_val_batches": ("data.split.train=[0,0.5] data.split.val=[0.5,0.9]", "trainer.limit_val_batches=1"),
    "trainer.check_val_every_n_epoch": ("", "trainer.check_val_every_n_epoch=2"),
}
REFUSED = {
    "callbacks=progress": "callbacks=progress",
    "callbacks=learning_rate": "callbacks=learning_rate",
    "cosine.num_steps_argument": "scheduler=cosine scheduler.num_steps_argument=null",
    "onecycle.num_steps_argument": "scheduler=onecycle scheduler.num_steps_argument=null",
    "plateau.num_steps_argument": "scheduler=plateau scheduler.num_steps_argument=T_max",
    "step.num_steps_argument": "scheduler=step scheduler.num_steps_argument=T_max",
    "plateau.interval": f"{PLATEAU} scheduler.interval=hour",
    "plateau.strict": f"{PLATEAU} scheduler.strict=true trainer.check_val_every_n_epoch=2",
}
# what a small training on a CPU does not show: the Trainer itself differs
BUILT = {
    "trainer=ddp": "trainer=ddp trainer.accelerator=cpu",
    "trainer.accelerator": "trainer.accelerator=auto",
    "trainer.devices": "trainer.devices=2",
    "trainer.num_nodes": "trainer.num_nodes=2",
    "trainer.strategy": "trainer.strategy=ddp",
    "trainer.compile": "trainer.compile=true",
    "trainer.deterministic": "trainer.deterministic=false",
    "trainer.limit_test_batches": "trainer.limit_test_batches=0.5",
    "trainer.matmul_precision": "+trainer.matmul_precision=high",
}
ELSEWHERE = {
    "callbacks=default": "every training here has it",
    "trainer=default": "every training here has it",
    "trainer=cpu": "every training here has it",
    "trainer=gpu": "tests/gpu",
    "trainer=mps": "there is none on a machine of the tests",
}


class Outcome(NamedTuple):
    """What a training leaves, without its times."""

    weights: tuple[float, ...]
    rows: list[dict[str, str]]  # of metrics.csv
    saved: list[str]  # the checkpoints, as they were written
    printed: str


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.h5"
    with h5py.File(path, "w") as file:
        file["image"], file["pdg"] = make_images(60, 16, seed=1)
    return path


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Lightning sets these for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")


def composed(events: Path, folder: Path, words: str) -> DictConfig:
    data = [f"data.files=[{events}]", f"data.cache_dir={events.parent}", f"run_dir={folder}"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", [*f"{BASE} {words}".split(), *data])


@functools.cache
def outcome(events: Path, words: str) -> Outcome:
    return trained(events, Path(tempfile.mkdtemp(dir=events.parent)), words)


def trained(events: Path, folder: Path, words: str) -> Outcome:
    cfg = composed(events, folder, words)
    configure_logging()
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    status: Any = SimpleNamespace(record_epoch=lambda *_: None)
    printed, saved = io.StringIO(), list[str]()
    with redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        save = Trainer.save_checkpoint

        def saving(self: Trainer, path: Path, *args: Any, **kwargs: Any) -> None:
            saved.append(f"{path.name} {self.checkpoint_callback.state_dict()}")  # type: ignore[union-attr]
            save(self, path, *args, **kwargs)

        patch.setattr(Trainer, "save_checkpoint", saving)
        trainer = make_trainer(RunDirectory(folder, cfg), status)
        classifier = make_classifier(cfg)
        trainer.fit(classifier, datamodule=build(cfg, "data"))
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = [{name: text for name, text in row.items() if "seconds" not in name} for row in csv.DictReader(stream)]
    weights = tuple(float(parameter.detach().double().sum()) for parameter in classifier.model.parameters())
    lines = [line.rpartition("  ")[0] for line in printed.getvalue().splitlines()]  # without the time at its end
    return Outcome(weights, rows, saved, "\n".join(lines))


def test_the_same_words_train_the_same(events: Path, tmp_path: Path) -> None:
    assert outcome(events, "") == trained(events, tmp_path, "")


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using")
@pytest.mark.parametrize("setting", CHANGES)
def test_a_setting_changes_the_training(events: Path, tmp_path: Path, setting: str) -> None:
    before, words = CHANGES[setting]
    assert outcome(events, before) != trained(events, tmp_path, f"{before} {words}")


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_that_cannot_be_is_one_sentence(events: Path, tmp_path: Path, setting: str) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011
        trained(events, tmp_path, REFUSED[setting])
    assert explain(refused.value)


def built(events: Path, folder: Path, words: str) -> list[object]:
    """What a Trainer shows of its settings."""
    cfg = composed(events, folder, words)
    trainer: Trainer = build(cfg, "trainer", logger=False, enable_checkpointing=False)
    return [
        *(type(trainer.strategy), trainer.num_devices, trainer.num_nodes, trainer.limit_test_batches),
        *(torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()),
        *(sorted(type(one).__name__ for one in trainer.callbacks), str(cfg.trainer.accelerator)),  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("setting", BUILT)
def test_a_setting_changes_the_trainer(events: Path, tmp_path: Path, setting: str) -> None:
    assert built(events, tmp_path, BUILT[setting]) != built(events, tmp_path, "")


def settings() -> Iterator[str]:
    """Every option of the groups, and every setting in its file."""
    for group in ("scheduler", "callbacks", "trainer"):
        for option in groups()[group]:
            if option.name != "none":
                yield f"{group}={option.name}"
            content = {**read_yaml(CONF / group / f"{option.name}.yaml"), "defaults": {}}
            place = "trainer" if group == "trainer" else option.name
            if option.name != "overfit":  # its keys are those of others
                yield from (
                    f"{place}.{key}" for key, _ in leaves(content) if not key.rpartition(".")[2].startswith("_")
                )


def test_every_setting_is_tried() -> None:
    assert {*CHANGES, *REFUSED, *BUILT, *ELSEWHERE} == set(settings())
