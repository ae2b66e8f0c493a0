"""A data module gives every architecture the same events, and says in a sentence what it cannot use."""

import logging
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from cdmtrain.data.datamodule import ChallengeData, Hdf5Data, SimulatedData
from cdmtrain.data.split import FractionSplit, StratifiedSplit
from cdmtrain.errors import InputError
from tests.data.samples import FRACTIONS, Twos, refused


def dataset_indices_of(loader):
    return [entry for batch in loader for entry in batch.dataset_index.tolist()]


def test_the_parts_are_those_of_the_split(hdf5_data):
    data = hdf5_data()
    assert sorted(dataset_indices_of(data.train_dataloader())) == list(range(30))
    assert dataset_indices_of(data.val_dataloader()) == list(range(30, 45))
    assert dataset_indices_of(data.test_dataloader()) == list(range(45, 60))


def test_events_and_their_order_depend_on_the_seed_alone(hdf5_data):
    torch.manual_seed(1)
    one = dataset_indices_of(hdf5_data().train_dataloader())
    torch.manual_seed(2)
    assert dataset_indices_of(hdf5_data(batch_size=7).train_dataloader()) == one
    assert dataset_indices_of(hdf5_data(seed=2).train_dataloader()) != one


def test_another_seed_changes_no_part_of_a_stratified_split(hdf5_data):
    for part in ("train", "val", "test"):
        one, other = (
            getattr(hdf5_data(seed=seed, split=StratifiedSplit(**FRACTIONS, seed=5)).parts, part) for seed in (1, 2)
        )
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize(("train_events", "expected"), [(None, 30), (1, 1), (12, 12), (30, 30), (1000, 30)])
def test_train_events_is_the_most_events_trained_on(train_events, expected, hdf5_data):
    data = hdf5_data(train_events=train_events)
    assert sorted(dataset_indices_of(data.train_dataloader())) == list(range(expected))
    assert len(dataset_indices_of(data.val_dataloader())) == 15


def test_setting_up_again_reads_nothing(hdf5_data, monkeypatch):
    data = hdf5_data()
    monkeypatch.setattr(Hdf5Data, "make_stores", lambda self: pytest.fail("read again"))
    for stage in ("fit", "validate", "test"):  # as Lightning does
        data.prepare_data()
        data.setup(stage)


def test_a_loaded_state_continues_within_the_epoch(hdf5_data):
    whole = [batch.dataset_index.tolist() for batch in hdf5_data().train_dataloader()]
    interrupted, resumed = hdf5_data(), hdf5_data()
    next(iter(interrupted.train_dataloader()))
    resumed.load_state_dict(interrupted.state_dict())
    assert [batch.dataset_index.tolist() for batch in resumed.train_dataloader()] == whole[1:]


def fingerprints_of(data):
    return [source["fingerprint"] for source in data.describe()["sources"]]


@pytest.mark.parametrize("make", [lambda file: file.unlink(), lambda file: file.rename(file.with_name("b.h5"))])
def test_recorded_events_need_no_file(make, hdf5_data, settings, tmp_path):
    before = hdf5_data()
    make(tmp_path / "events.h5")
    again = Hdf5Data(files=[str(tmp_path / "events.h5")], **settings())
    again.reuse_stores(fingerprints_of(before))
    again.setup()
    assert again.describe() == before.describe()


def test_a_file_that_is_there_counts_more_than_recorded_events(hdf5_data, challenge_file, settings):
    recorded = fingerprints_of(hdf5_data())
    again = Hdf5Data(files=[str(challenge_file(seed=2))], **settings())
    again.reuse_stores(recorded)
    again.setup()
    assert fingerprints_of(again) != recorded


def test_of_several_files_each_has_its_own_recorded_events(challenge_file, settings):
    files = [challenge_file(f"{seed}.h5", num_events=20, seed=seed) for seed in (3, 1, 2)]
    before = Hdf5Data(files=[str(file) for file in files], **settings())
    before.setup()
    files[1].unlink()
    again = Hdf5Data(files=[str(file) for file in files], **settings())
    again.reuse_stores(fingerprints_of(before))
    again.setup()
    assert torch.equal(again.store.class_index, before.store.class_index)
    assert again.describe() == before.describe()


def test_a_recorded_sample_is_not_simulated_by_a_newer_simulation(settings):
    before = SimulatedData(events=40, sample_seed=3, simulation=Twos(), **settings())
    before.setup()
    newer = Twos()
    newer.settings = lambda: {"version": 2}
    again = SimulatedData(events=40, sample_seed=3, simulation=newer, **settings())
    again.reuse_stores(fingerprints_of(before))
    again.setup()
    assert again.describe() == before.describe()


def test_files_act_as_one_in_the_order_given(challenge_file, settings):
    files = [str(challenge_file(f"{seed}.h5", num_events=20, seed=seed)) for seed in (2, 1)]
    data = Hdf5Data(files=files, **settings())
    data.setup()
    assert len(data.store) == 40
    assert [about["file"] for about in data.store.about] == ["2.h5", "1.h5"]


def test_provenance_says_what_the_events_are(hdf5_data):
    described = hdf5_data(train_events=10).describe()
    assert {name: described[name] for name in ("events", "train", "val", "test")} == {
        "events": 60,
        "train": 10,
        "val": 15,
        "test": 15,
    }
    (source,) = described["sources"]
    assert source.keys() == {"image_size", "fingerprint", "file", "num_events", "num_hits"}


def test_simulated_events_are_made_from_their_own_seed(settings):
    data = SimulatedData(events=40, sample_seed=3, simulation=Twos(), **settings())
    data.prepare_data()
    data.setup()
    assert len(data.store) == 40
    assert data.describe()["sources"][0]["simulation"] == {"events": 40, "seed": 3, "version": 1}


def test_devices_share_a_batch(hdf5_data):
    data = hdf5_data()
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    once = {"accumulate_grad_batches": 1, "num_training_batches": 9}
    data.trainer = SimpleNamespace(global_rank=1, world_size=2, strategy=strategy, **once)
    assert [batch.num_events for batch in data.train_dataloader()] == [5, 5, 5]
    data.trainer = SimpleNamespace(global_rank=1, world_size=11)
    with refused(
        "data.batch_size=10 and a part of 30 events cannot be shared out over 11 devices; every device needs an event"
    ):
        data.train_dataloader()


def test_an_absent_class_is_a_warning(write_images, random_images, settings, caplog):
    pdg = np.where(np.arange(40) < 30, 11, 13)
    data = Hdf5Data(files=[str(write_images(random_images(40, 16), columns={"pdg": pdg}))], **settings())
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert caplog.messages == [
        "the data have no photon, proton",
        "the train part has no muon; data/split=stratified shares every class out",
        "the val part has no muon; data/split=stratified shares every class out",
        "the test part has no electron; data/split=stratified shares every class out",
    ]


def test_the_challenge_file_is_found(challenge_file, tmp_path, settings):
    challenge_file("if-image-train.h5")
    data = ChallengeData(dir=str(tmp_path), **settings())
    data.setup()
    assert len(data.store) == 60


def test_a_test_file_is_the_test_part_and_the_split_divides_the_other(challenge_file, tmp_path, settings):
    challenge_file("if-image-train.h5")
    challenge_file("if-image-test.h5", num_events=20, seed=2)
    split = FractionSplit(train=[0, 0.9], val=[0.9, 1], test=[1, 1], folds=6, fold=1)
    data = ChallengeData(dir=str(tmp_path), test_file="if-image-test.h5", **settings(split=split))
    data.setup()
    assert sorted([*data.parts.train.tolist(), *data.parts.val.tolist()]) == list(range(60))
    assert len(data.parts.val) == 10
    assert dataset_indices_of(data.test_dataloader()) == list(range(60, 80))


def test_a_test_file_beside_a_test_part_of_the_other_or_absent_is_one_sentence(challenge_file, tmp_path, settings):
    challenge_file("if-image-train.h5")
    with pytest.raises(InputError, match=r"if-image-test\.h5 is not there; point data\.dir"):
        ChallengeData(dir=str(tmp_path), test_file="if-image-test.h5", **settings()).prepare_data()
    challenge_file("if-image-test.h5", seed=2)
    data = ChallengeData(dir=str(tmp_path), test_file="if-image-test.h5", **settings())
    with pytest.raises(InputError, match=r"^data\.split\.test keeps 15 events of the file that trains"):
        data.setup()


def test_an_architecture_sees_a_dark_event_too(challenge_file, settings):
    file = challenge_file()
    with h5py.File(file, "r+") as opened:
        opened["image"][30:45] = 0
    data = Hdf5Data(files=[str(file)], **settings())
    data.setup()
    assert [batch.num_hits.tolist() for batch in data.val_dataloader()] == [10 * [0], 5 * [0]]
