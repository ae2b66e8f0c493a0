"""A batch is the same wherever the events lie, and a run learns the same from it."""

import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from cdmtrain import cli
from cdmtrain.batch import EventBatch
from cdmtrain.data import device
from cdmtrain.data.device import CopiedStore, DeviceStore, place
from cdmtrain.data.loader import EpochOrder, EventLoader
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError

pytestmark = pytest.mark.usefixtures("without_page")

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def store(random_images: Callable[..., Any], write_images: Callable[..., Path], store_of: Callable[..., EventStore]):
    """The store of two files; event 3 of the second has no hit."""
    one, two = random_images(11, 16), random_images(7, 16, seed=2)
    two[3] = 0
    return store_of(write_images(one, "one.h5"), write_images(two, "two.h5"))


def assert_equal(found: EventBatch, expected: EventBatch) -> None:
    for field in fields(EventBatch):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(one, torch.Tensor):
            assert (one.dtype, one.tolist()) == (other.dtype, other.tolist()), field.name
        else:
            assert one == other, field.name


@pytest.mark.parametrize("chosen", [[0, 17, 5, 14, 5], [14], [], list(range(18))])
@pytest.mark.parametrize("at_a_time", [64, 2**24])
def test_a_batch_from_the_device_is_that_of_the_store_to_the_bit(store, monkeypatch, chosen, at_a_time):
    monkeypatch.setattr(device, "HITS_AT_A_TIME", at_a_time)
    dataset_index = torch.tensor(chosen, dtype=torch.int64)
    expected = store.make_batch(dataset_index)
    for events in (DeviceStore(store, CPU), CopiedStore(store, CPU)):
        found = events.make_batch(dataset_index)
        assert_equal(found, expected)
        assert torch.equal(found.energy.view(torch.int32), expected.energy.view(torch.int32))  # subnormal ones too


def test_an_event_that_does_not_exist_is_refused_on_the_device_too(store):
    with pytest.raises(IndexError, match="there is no such event"):
        DeviceStore(store, CPU).make_batch(torch.tensor([18]))


def test_an_epoch_has_the_same_batches_in_the_same_order_on_the_device(store):
    def batches(events: device.Events) -> list[EventBatch]:
        order = EpochOrder(torch.arange(18), shuffle=True, seed=3)
        order.set_epoch(2)
        return list(EventLoader(events, order, batch_size=4, rank=1, world_size=2))

    here, there = batches(store), batches(DeviceStore(store, CPU))
    assert [batch.weight for batch in here] == [batch.weight for batch in there]
    for one, other in zip(here, there, strict=True):
        assert_equal(one, other)


def test_auto_keeps_the_hits_on_a_device_that_has_four_times_the_room(store, monkeypatch):
    for free, expected in ((4 * store.hit_bytes, DeviceStore), (4 * store.hit_bytes - 1, CopiedStore)):
        monkeypatch.setattr(device, "free_bytes", lambda _, free=free: free)
        assert type(place(store, ELSEWHERE, "auto")) is expected


def test_a_cpu_keeps_its_compiled_gather_unless_told_otherwise(store):
    assert place(store, CPU, "auto") is place(store, CPU, False) is store
    assert type(place(store, CPU, True)) is DeviceStore


def test_the_setting_is_respected_where_it_can_be(store, monkeypatch):
    monkeypatch.setattr(device, "free_bytes", lambda _: store.hit_bytes)
    assert type(place(store, ELSEWHERE, True)) is DeviceStore
    assert type(place(store, ELSEWHERE, False)) is CopiedStore


def test_hits_that_do_not_fit_are_a_sentence(store, monkeypatch):
    monkeypatch.setattr(device, "free_bytes", lambda _: store.hit_bytes - 1)
    with pytest.raises(InputError, match=re.escape("data.on_device=true: the hits take 0.00 GB, and 0.00 GB are free")):
        place(store, ELSEWHERE, True)


SMALL = ["model=dnn", "model.width=8", "data.image_size=16", "data.batch_size=10", "trainer=cpu", "print_config=false"]
KEPT = "data.on_device=true"


@pytest.fixture
def train(tmp_path: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command line on 100 events in this process; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    file = challenge_file(num_events=100)

    def run(*words: str) -> int:
        data = [] if words[0].startswith("run=") else ["data=hdf5", f"data.files=[{file}]", *SMALL]
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *data, *words])
        return cli.main()

    return run


def checkpoint(run: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(run) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(run: str, other: str) -> None:
    one, two = checkpoint(run), checkpoint(other)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_both_settings_train_the_same_network_to_the_bit(train: Callable[..., int]) -> None:
    words = ("augmentation=symmetries", "trainer.accumulate_grad_batches=2", "trainer.max_epochs=2")
    for name, setting in (("a", "data.on_device=false"), ("b", KEPT)):
        assert train(*words, setting, f"run_dir={name}") == 0
    assert_same_weights("a", "b")


def test_a_run_with_its_events_on_the_device_resumes_in_mid_epoch_to_the_bit(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("trainer.max_epochs=2", KEPT, "run_dir=whole") == 0
    make, made = DeviceStore.make_batch, []

    def broken(self: Any, dataset_index: torch.Tensor) -> EventBatch:
        made.append(len(dataset_index))
        if len(made) == 14:
            raise KeyboardInterrupt
        return make(self, dataset_index)

    with monkeypatch.context() as patch:
        patch.setattr(DeviceStore, "make_batch", broken)
        assert train("trainer.max_epochs=2", KEPT, "run_dir=broken") == 130
    assert train("run=broken") == 0
    assert_same_weights("whole", "broken")


def test_a_setting_that_does_not_exist_is_a_sentence(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("data.on_device=maybe") == 1
    assert capsys.readouterr().err == "error: data.on_device=maybe: auto, true or false is expected\n"


@pytest.mark.gpu
def test_a_gpu_gets_the_same_batches_from_either_memory(store):
    dataset_index = torch.tensor([0, 17, 5, 14, 5])
    for events in (DeviceStore(store, torch.device("cuda", 0)), CopiedStore(store, torch.device("cuda", 0))):
        found = events.make_batch(dataset_index)
        assert found.pixel.device.type == "cuda"
        assert_equal(found.to("cpu"), store.make_batch(dataset_index))
