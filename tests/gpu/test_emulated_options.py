"""Every option of the groups that compute something trains on the emulated device as it does on the processor."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdmtrain.config.sources import groups

pytestmark = pytest.mark.emulated

COMPUTING = ("augmentation", "callbacks", "loss", "model", "optimizer", "representation", "scheduler")
OTHER_DEVICES = {"trainer=cpu", "trainer=mps", "trainer=ddp"}
IN_A_MODEL = {f"model={option.name}" for option in groups()["model"]} | {
    f"representation={option.name}" for option in groups()["representation"]
}  # in test_emulated_models.py
ROWS = [
    "model=cnn representation/scale=log augmentation=[symmetries,shifts] optimizer=adam scheduler=cosine",
    "model=dnn representation/scale=sqrt augmentation=[energy_scale,pixel_dropout] optimizer=sgd scheduler=step",
    "model=perceptron representation/scale=linear optimizer=adamw scheduler=plateau loss=focal "
    "callbacks=weight_averaging",
    "model=gnn representation/neighbours=four representation/features=[energy,position,border_distance] "
    "augmentation=none loss=cross_entropy loss.class_weights=[2,1,2,1] loss.label_smoothing=0.1",
    "model=message_passing representation/neighbours=radius callbacks=early_stopping scheduler=none "
    "representation/event_features=[num_hits,energy,extent,border_distance]",
    "model=message_passing representation/neighbours=nearest scheduler=onecycle callbacks=default",
    "model=graph_network representation/neighbours=eight "
    "representation/edge_features=[offset,distance,energy_difference]",
    "model=edgeconv model.dynamic=true",
    "model=rnn model.cell=gru representation/order=energy callbacks=[checkpoint,progress,learning_rate]",
    "model=rnn representation/order=principal_axis trainer.gradient_clip_val=1",
    "model=self_attention representation/order=raster trainer.accumulate_grad_batches=2",
    "model=sparse_resnet representation/event_features=[energy] data.on_device=false",
    "model=cnn data.on_device=true trainer.deterministic=true",
    "model=dnn trainer=default",
    "model=perceptron augmentation=[recombination,diffusion,noise,noisy_lines,dead_lines,lost_region,threshold]",
    "model=perceptron trainer=overfit trainer.max_epochs=2 trainer.check_val_every_n_epoch=1",
]
SHORT = ["trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]


def typed(row: str) -> set[str]:
    """The options of a row, each as group=option."""
    pairs = [word.split("=") for word in row.split()]
    return {f"{group}={option}" for group, options in pairs for option in options.strip("[]").split(",")}


def test_every_option_is_in_a_row() -> None:
    computing = {group for group in groups() if group.split("/")[0] in COMPUTING}
    options = {f"{group}={option.name}" for group in computing for option in groups()[group]}
    assert options - IN_A_MODEL <= set().union(*map(typed, ROWS))


@pytest.mark.parametrize("row", ROWS)
def test_a_training_with(
    cdmtrain: Callable[..., int], data: list[str], make_device: Callable[[], Any], row: str
) -> None:
    words = [*data, "data.batch_size=20", "trainer.max_epochs=1", *SHORT, *row.split()]
    assert cdmtrain(*words, "trainer.accelerator=cpu", "run_dir=here") == 0
    with make_device():
        assert cdmtrain(*words, "trainer.accelerator=gpu", "run_dir=there") == 0
    here, there = (json.loads(Path(f"{run}/results.json").read_text()) for run in ("here", "there"))
    for name in ("cross_entropy", "val_cross_entropy", "accuracy", "calibration_error", "electron_photon_auc"):
        assert there[name] == pytest.approx(here[name], rel=1e-3, abs=1e-5), name


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler, when imported
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_a_compiled_training_in(cdmtrain: Callable[..., int], data: list[str], device: Any, precision: str) -> None:
    words = [*data, "model=perceptron", "trainer=gpu", f"trainer.precision={precision}", "trainer.compile=true", *SHORT]
    assert cdmtrain(*words, "trainer.max_epochs=1") == 0
