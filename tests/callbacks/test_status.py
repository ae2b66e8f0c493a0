"""The owner of the status is told of every epoch."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cdmtrain.callbacks.status import StatusCallback


class Owner:
    def record_epoch(self, *reported: Any) -> None:
        self.reported = reported


def trainer(epoch: int, **limits: int) -> Any:
    settings = {"max_epochs": -1, "max_steps": -1, "global_step": 0} | limits
    return SimpleNamespace(current_epoch=epoch, callback_metrics={"val_loss": torch.tensor(0.5)}, **settings)


@pytest.mark.parametrize("limits", [{"max_epochs": 5}, {"max_epochs": -1, "max_steps": 10, "global_step": 4}])
def test_an_epoch_is_reported_with_the_time_when_training_should_end(limits: dict[str, int]) -> None:
    owner = Owner()
    callback = StatusCallback(owner.record_epoch, monitor="val_loss")
    callback.on_train_start(trainer(0, **limits | {"global_step": 0}), None)  # type: ignore[arg-type]
    callback._began -= 40  # for two fifths of the training
    callback.on_train_epoch_end(trainer(1, **limits), None)  # type: ignore[arg-type]
    epoch, metric, end = owner.reported
    assert (epoch, metric) == (2, ("val_loss", 0.5))
    assert abs((end - datetime.now(UTC)).total_seconds() - 60) < 5


def test_a_resumed_training_is_timed_from_where_it_resumed() -> None:
    owner = Owner()
    callback = StatusCallback(owner.record_epoch, monitor="val_loss")
    callback.on_train_start(trainer(3, max_epochs=5), None)  # type: ignore[arg-type]
    callback._began -= 40
    callback.on_train_epoch_end(trainer(3, max_epochs=5), None)  # type: ignore[arg-type]
    assert abs((owner.reported[2] - datetime.now(UTC)).total_seconds() - 40) < 5


def test_a_training_without_a_limit_has_no_end_and_an_unknown_metric_is_none() -> None:
    owner = Owner()
    callback = StatusCallback(owner.record_epoch, monitor="val_accuracy")
    callback.on_train_start(trainer(0), None)  # type: ignore[arg-type]
    callback.on_train_epoch_end(trainer(0), None)  # type: ignore[arg-type]
    assert owner.reported == (1, None, None)
