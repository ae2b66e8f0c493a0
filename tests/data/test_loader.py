"""An epoch is a permutation that seed and epoch fix; devices share its batches; a run resumes where it was."""

import math
from itertools import islice

import lightning
import pytest
import torch
from torch import nn

from cdmtrain.data.loader import Accumulation, EpochOrder, EventLoader

ENTRIES = torch.arange(100, 143)  # 43 events, not those at the beginning


@pytest.fixture
def loader(random_images, write_images, store_of):
    """Makes loaders of the same store."""
    store = store_of(write_images(random_images(150, 4)))

    def make(*, batch_size=10, dataset_index=ENTRIES, shuffle=True, seed=1, epoch=0, **share):
        order = EpochOrder(dataset_index, shuffle=shuffle, seed=seed)
        order.set_epoch(epoch)
        return EventLoader(store, order, batch_size=batch_size, **share)

    return make


def dataset_indices_of(batches):
    return [batch.dataset_index.tolist() for batch in batches]


def joined(batches):
    return [entry for batch in dataset_indices_of(batches) for entry in batch]


def test_every_event_comes_once_an_epoch(loader):
    for epoch in range(3):
        assert sorted(joined(loader(epoch=epoch))) == ENTRIES.tolist()


def test_another_epoch_or_seed_has_another_order(loader):
    orders = [joined(loader(seed=seed, epoch=epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 9


def test_seed_and_epoch_fix_the_order_in_every_process():
    order = EpochOrder(torch.arange(12), shuffle=True, seed=7)
    order.set_epoch(3)
    torch.manual_seed(1)
    first = order.dataset_index().tolist()
    torch.manual_seed(2)
    assert order.dataset_index().tolist() == first == [7, 10, 4, 0, 1, 6, 5, 2, 11, 9, 3, 8]


def test_the_order_depends_on_nothing_but_seed_epoch_and_the_events_chosen(loader):
    small = joined(loader(batch_size=1, epoch=4))
    assert small == joined(loader(batch_size=17, epoch=4)) == joined(loader(batch_size=1000, epoch=4))
    order = EpochOrder(ENTRIES, shuffle=True, seed=1)
    order.set_epoch(4)
    assert order.dataset_index().tolist() == small


def test_without_shuffle_events_come_as_they_stand(loader):
    assert joined(loader(shuffle=False, epoch=5)) == ENTRIES.tolist()


def test_the_last_batch_holds_what_remains(loader):
    assert [len(batch) for batch in dataset_indices_of(loader())] == [10, 10, 10, 10, 3]
    assert [len(batch) for batch in dataset_indices_of(loader(dataset_index=ENTRIES[:40]))] == [10, 10, 10, 10]
    assert [len(batch) for batch in dataset_indices_of(loader(dataset_index=ENTRIES[:4]))] == [4]
    assert dataset_indices_of(loader(dataset_index=ENTRIES[:0])) == []
    assert [len(loader(dataset_index=ENTRIES[:number])) for number in (0, 1, 10, 11, 43)] == [0, 1, 1, 2, 5]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("num_events", [9, 40, 41, 42, 43])
def test_devices_partition_every_batch_and_each_has_an_event(world_size, num_events, loader):
    dataset_index = ENTRIES[:num_events]
    whole = joined(loader(dataset_index=dataset_index, epoch=2))
    shares = [
        loader(dataset_index=dataset_index, epoch=2, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    batches = [dataset_indices_of(share) for share in shares]
    assert {len(mine) for mine in batches} == {len(shares[0])}
    together = []
    for parts in zip(*batches, strict=True):
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 1
        batch = [None] * sum(sizes)
        for rank, part in enumerate(parts):
            batch[rank::world_size] = part
        together += batch
    assert together == whole


@pytest.mark.parametrize("num_taken", [0, 1, 3, 5])
def test_a_resumed_epoch_goes_on_with_exactly_the_following_batches(num_taken, loader):
    whole = dataset_indices_of(loader(epoch=2))
    interrupted = loader(epoch=2)
    batches = iter(interrupted)
    for _ in range(num_taken):
        next(batches)
    resumed = loader()
    resumed.load_state_dict(interrupted.state_dict())
    resumed.sampler.set_epoch(2)
    assert dataset_indices_of(resumed) == whole[num_taken:]
    resumed.sampler.set_epoch(3)
    assert joined(resumed) == joined(loader(epoch=3))


def test_a_state_of_another_epoch_does_not_shorten_this_one(loader):
    finished = loader(epoch=2)
    list(finished)
    finished.sampler.set_epoch(3)
    resumed = loader(epoch=3)
    resumed.load_state_dict(finished.state_dict())  # saved after set_epoch, before the first batch
    assert joined(resumed) == joined(loader(epoch=3))


def test_a_state_that_was_loaded_can_be_saved_before_it_is_used(loader):
    resumed = loader()
    resumed.load_state_dict({"epoch": 2, "event": 30})
    assert resumed.state_dict() == {"epoch": 2, "event": 30}


def test_an_iteration_that_was_broken_off_begins_anew(loader):
    again = loader()
    next(iter(again))
    assert sorted(joined(again)) == ENTRIES.tolist()


@pytest.mark.parametrize("num_events", [40, 41, 42, 43])
@pytest.mark.parametrize("num_taken", [0, 1, 3, 4, 5])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2), (1, 7)])
def test_an_epoch_resumed_on_another_number_of_devices_has_exactly_the_remaining_events(
    num_events, num_taken, before, after, loader
):
    def shares(world_size, state=None):
        made = [
            loader(dataset_index=ENTRIES[:num_events], epoch=2, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        for one in made if state else ():
            one.load_state_dict(state)
        return made

    started = shares(before)
    batches = list(zip(*(islice(share, num_taken) for share in started), strict=True))
    states = [share.state_dict() for share in started]
    assert states == states[:1] * before
    taken = [entry for batch in batches for part in batch for entry in part.dataset_index.tolist()]
    rest = list(zip(*shares(after, states[0]), strict=True))
    remaining = [entry for batch in rest for part in batch if part.weight for entry in part.dataset_index.tolist()]
    assert sorted(taken + remaining) == ENTRIES[:num_events].tolist()
    assert all(part.num_events for batch in rest for part in batch)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_the_mean_over_devices_is_the_mean_over_events(world_size, loader):
    shares = [loader(rank=rank, world_size=world_size, epoch=1) for rank in range(world_size)]
    for parts in zip(*shares, strict=True):
        means = [part.weight * part.dataset_index.double().mean() for part in parts]
        every = torch.cat([part.dataset_index for part in parts])
        torch.testing.assert_close(torch.stack(means).mean(), every.double().mean())


class Recorder(lightning.LightningModule):
    """Notes the events of every training batch."""

    def __init__(self, save_after=0, path=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []
        self.save_after, self.path = save_after, path

    def training_step(self, batch, batch_index):
        self.seen.append((self.current_epoch, batch.dataset_index.tolist()))
        return self.weight.sum()

    def on_train_batch_end(self, outputs, batch, batch_index):
        if len(self.seen) == self.save_after:
            self.trainer.save_checkpoint(self.path)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")  # inside Lightning
@pytest.mark.parametrize("save_after", [1, 7, 9, 10, 14])
def test_lightning_sets_the_epoch_and_resumes_in_its_middle(save_after, loader, tmp_path):
    def fit(recorder, checkpoint=None):
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", enable_checkpointing=False, **quiet)
        trainer.fit(recorder, loader(), ckpt_path=checkpoint, weights_only=True)
        return recorder.seen

    expected = [(epoch, batch) for epoch in range(3) for batch in dataset_indices_of(loader(epoch=epoch))]
    assert fit(Recorder(save_after, tmp_path / "middle.ckpt")) == expected
    assert fit(Recorder(), tmp_path / "middle.ckpt") == expected[save_after:]


@pytest.mark.parametrize(("num_events", "limit"), [(43, math.inf), (40, math.inf), (43, 4), (43, 3), (7, math.inf)])
@pytest.mark.parametrize("batches", [1, 2, 3, 10])
def test_the_batches_of_a_step_weigh_as_their_events(batches, num_events, limit, loader):
    accumulated = Accumulation(batches, limit)
    made = list(loader(dataset_index=ENTRIES[:num_events], accumulated=lambda: accumulated))
    made = made[: min(len(made), limit)]
    for first in range(0, len(made), batches):
        step = made[first : first + batches]
        events = sum(batch.num_events for batch in step)
        for batch in step:  # Lightning divides by `batches`
            assert batch.weight / batches == pytest.approx(batch.num_events / events)
