"""Batches on the emulated device: the same wherever the events lie, and no step waits for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cdmtrain.callbacks.resources import Resources
from cdmtrain.data import device as placement
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore

pytestmark = pytest.mark.emulated
CUDA = torch.device("cuda", 0)
MEMORY = {"true": placement.DeviceStore, "false": placement.CopiedStore}  # by data.on_device


@pytest.mark.parametrize("memory", MEMORY.values())
def test_a_batch_is_that_of_the_store_and_nothing_waits_for_it(device: Any, events_file: Path, memory: Any) -> None:
    store = EventStore([load_or_convert(events_file, events_file.parent)])
    dataset_index = torch.tensor([7, 0, 399, 7])
    events = memory(store, CUDA)
    counts = device.count()
    found = events.make_batch(dataset_index)
    assert counts.synchronizations.total() == 0, counts.table()
    expected = store.make_batch(dataset_index)
    for name, value in vars(expected).items():
        if isinstance(value, torch.Tensor):
            mine = getattr(found, name)
            assert (mine.device, mine.dtype) == (CUDA, value.dtype), name
            assert torch.equal(mine.cpu(), value), name


@pytest.mark.parametrize("setting", MEMORY)
def test_no_step_of_a_training_waits_for_the_device(
    cdmtrain: Callable[..., int], data: list[str], device: Any, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    counts, mark = [], Resources.on_train_batch_end

    def counting(self: Resources, *step: Any) -> None:
        mark(self, *step)
        counts.append(device.count())

    monkeypatch.setattr(Resources, "on_train_batch_end", counting)
    options = ["trainer.gradient_clip_val=1", "scheduler=onecycle", "callbacks=weight_averaging"]
    words = [*data, "model=dnn", "model.width=8", "trainer=gpu", *options, "data.batch_size=50"]
    assert cdmtrain(*words, f"data.on_device={setting}", "trainer.max_epochs=1", "run_dir=run") == 0
    assert len(counts) == 6
    # each counts until the next: first last.ckpt is saved, and a validation follows the last
    assert [count.synchronizations.total() for count in counts[1:-1]] == [0, 0, 0, 0]


def test_a_store_that_is_too_large_is_not_uploaded(
    cdmtrain: Callable[..., int], data: list[str], device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1000, 80 << 30))
    monkeypatch.delattr(placement, "DeviceStore")
    assert cdmtrain(*data, "model=perceptron", "trainer=debug", "run_dir=run") == 0


def test_events_that_do_not_fit_are_a_sentence(
    cdmtrain: Callable[..., int],
    data: list[str],
    device: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1000, 80 << 30))
    assert cdmtrain(*data, "model=perceptron", "trainer=gpu", "data.on_device=true") == 1
    assert capsys.readouterr().err == (
        "error: data.on_device=true: the hits take 0.00 GB, and 0.00 GB are free on cuda:0; set data.on_device=auto or "
        "false, which copies each batch\n"
    )
