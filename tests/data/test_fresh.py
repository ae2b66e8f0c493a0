"""Fresh training events: new ones every few epochs, the same after a resume, validation and test left alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cdmtrain.data.datamodule import SimulatedData
from tests.data.samples import refused


class Numbered:
    """A simulation of events of one hit, whose energy tells the seed and the event."""

    image_size = 16

    def __init__(self):
        self.seeds = []

    def settings(self):
        return {"version": 1}

    def blocks(self, *, events, seed, workers=None):
        self.seeds.append(seed)
        energy = np.random.default_rng(seed).random(events, np.float32)
        for first in range(0, events, 10):
            count = min(10, events - first)
            yield SimpleNamespace(
                offset=np.arange(count + 1),
                pixel=np.full(count, 5, np.int32),
                energy_mev=energy[first : first + count],
                pdg=np.resize([11, 13, 22, 2212], count),
                kinetic_energy_mev=np.ones(count, np.float32),
                vertex_px=np.ones((count, 2), np.float32),
                direction=np.ones((count, 3), np.float32),
            )


@pytest.fixture
def data(settings):
    made = []

    def make(simulation=None, *, sample_seed=1, events=60, **changed):
        source = {"events": events, "sample_seed": sample_seed, "simulation": simulation or Numbered()}
        made.append(SimulatedData(**source, **settings(**changed)))
        made[-1].setup()
        return made[-1]

    yield make
    for one in made:
        one.teardown("fit")


def energies(loader, epoch):
    """The energies of an epoch's events, in the order in which they train."""
    loader.sampler.set_epoch(epoch)
    return torch.cat([batch.energy for batch in loader]).tolist()


def test_every_event_is_used_in_as_many_epochs_as_asked_and_turned_anew(data):
    loader = data(fresh=True, uses=2).train_dataloader()
    orders = [energies(loader, epoch) for epoch in range(6)]
    events = [set(order) for order in orders]
    assert events[::2] == events[1::2]
    assert len(set.union(*events)) == 3 * 30
    assert len({tuple(order) for order in orders}) == 6
    assert all(len(order) == 30 for order in orders)


def test_the_first_epoch_and_all_validation_and_test_events_are_those_of_the_sample(data):
    plain, fresh = data(), data(fresh=True)
    loader = fresh.train_dataloader()
    assert energies(loader, 0) == energies(plain.train_dataloader(), 0)
    energies(loader, 1)
    for part in ("val_dataloader", "test_dataloader"):
        assert energies(getattr(fresh, part)(), 1) == energies(getattr(plain, part)(), 1)


def test_the_seed_of_the_sample_and_the_epoch_fix_the_events_whatever_was_used_before(data):
    once = data(fresh=True).train_dataloader()
    expected = [energies(once, epoch) for epoch in range(4)]
    directly = data(fresh=True).train_dataloader()
    assert energies(directly, 3) == expected[3]
    assert energies(data(fresh=True, sample_seed=2).train_dataloader(), 3) != expected[3]


def test_a_training_resumed_within_an_epoch_goes_on_with_its_events(data):
    first = data(fresh=True)
    loader = first.train_dataloader()
    loader.sampler.set_epoch(2)
    batches = iter(loader)
    next(batches)
    state = first.state_dict()
    rest = [batch.energy.tolist() for batch in batches]
    again = data(fresh=True)
    again.load_state_dict(state)
    loader = again.train_dataloader()
    loader.sampler.set_epoch(2)
    assert [batch.energy.tolist() for batch in loader] == rest


def test_events_have_their_own_class(data):
    loader = data(fresh=True, batch_size=30).train_dataloader()
    loader.sampler.set_epoch(1)
    (batch,) = loader
    assert torch.equal(batch.class_index, batch.dataset_index % 10 % 4)  # blocks of 10


def test_at_most_so_many_training_events_are_simulated(data):
    loader = data(fresh=True, train_events=7).train_dataloader()
    assert len(set(energies(loader, 1))) == 7


def test_nothing_is_simulated_for_epochs_after_the_last(data, tmp_path):
    simulation = Numbered()
    one = data(simulation, fresh=True, uses=2)
    one.trainer = SimpleNamespace(
        max_epochs=4,
        global_rank=0,
        world_size=1,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        accumulate_grad_batches=1,
        num_training_batches=3,
    )
    loader = one.train_dataloader()
    for epoch in range(4):
        energies(loader, epoch)
    assert len(simulation.seeds) == 2  # the sample, and its one renewal


def test_nothing_is_stored(data, tmp_path):
    one = data(fresh=True)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    loader = one.train_dataloader()
    for epoch in range(3):
        energies(loader, epoch)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_failed_simulation_is_raised_where_its_events_are_wanted(data):
    simulation = Numbered()
    one = data(simulation, fresh=True)
    simulation.blocks = lambda **_: iter([SimpleNamespace()])
    with pytest.raises(AttributeError):
        energies(one.train_dataloader(), 1)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"fresh": "often"}, "data.fresh=often: true or false is expected"),
        ({"fresh": True, "uses": 0}, "data.uses=0: at least 1 epoch is expected"),
        ({"uses": 4}, "data.uses=4 is how often fresh events are used; add data.fresh=true"),
    ],
)
def test_other_values_are_refused(data, changed, sentence):
    with refused(sentence):
        data(**changed)
