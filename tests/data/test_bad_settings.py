"""Settings of the data that cannot be met end in one sentence."""

import pytest

from cdmtrain.data.datamodule import ChallengeData, Hdf5Data, SimulatedData
from cdmtrain.data.event_data import EventData
from cdmtrain.data.split import FractionSplit
from cdmtrain.errors import InputError
from tests.data.samples import FRACTIONS, Twos, refused


def test_another_image_size_is_one_sentence(hdf5_data):
    with refused("the images are 16 x 16, data.image_size is 192: set data.image_size=16"):
        hdf5_data(image_size=192)


def test_files_of_several_image_sizes_are_one_sentence(challenge_file, settings):
    files = [str(challenge_file(f"{size}.h5", image_size=size)) for size in (16, 8)]
    with refused("data.files hold images of sizes [8, 16]; files that act as one have one size"):
        Hdf5Data(files=files, **settings()).setup()


def test_a_file_named_twice_is_one_sentence(challenge_file, settings, tmp_path):
    file = challenge_file()
    (tmp_path / "link.h5").symlink_to(file)
    with pytest.raises(
        InputError, match=r"^data\.files has the same events in \S+events\.h5 and \S+link\.h5; name each"
    ):
        Hdf5Data(files=[str(file), str(tmp_path / "link.h5")], **settings()).setup()


@pytest.mark.parametrize(("names", "part"), [(["b"], "train"), (["b", "a"], "train"), (["a", "a2", "b"], "val")])
def test_events_without_labels_are_one_sentence(names, part, write_images, random_images, settings):
    """In the last case one third of the validation events has no label."""
    for seed, name in enumerate(names):
        write_images(random_images(40, 16, seed=seed), f"{name}.h5", columns={} if name == "b" else None)
    files = [str(write_images(random_images(40, 16), "x.h5").with_name(f"{name}.h5")) for name in names]
    with refused(f"the {part} part has events without 'pdg'; a classifier is trained and tested on labelled ones"):
        Hdf5Data(files=files, **settings()).setup()


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_an_empty_part_is_one_sentence(part, hdf5_data):
    with refused(f"the {part} part of 60 events is empty; widen data.split.{part} or give more events"):
        hdf5_data(split=FractionSplit(**{**FRACTIONS, part: [0.5, 0.5]}))


@pytest.mark.parametrize("batch_size", [0, -1, "ten", None, 2.5])
def test_a_batch_without_an_event_is_one_sentence(batch_size, settings):
    with refused(f"data.batch_size={batch_size}: at least 1 event a batch is expected"):
        EventData(**settings(batch_size=batch_size))


@pytest.mark.parametrize("train_events", [0, -1, "all", 0.5])
def test_training_without_an_event_is_one_sentence(train_events, settings):
    with refused(f"data.train_events={train_events}: at least 1 event, or null for all, is expected"):
        EventData(**settings(train_events=train_events))


@pytest.mark.parametrize("events", [0, -5, "many", None])
def test_a_sample_without_an_event_is_one_sentence(events, settings):
    with refused(f"data.events={events}: at least 1 event is expected"):
        SimulatedData(events=events, sample_seed=1, simulation=Twos(), **settings())


@pytest.mark.parametrize("files", ["a.h5", [], None, [None], [1]])
def test_files_that_are_no_list_of_names_are_one_sentence(files, settings):
    with refused(f"data.files={files!r}: a list of HDF5 files is expected, as in data.files=[a.h5,b.h5]"):
        Hdf5Data(files=files, **settings())


def test_a_missing_file_is_one_sentence(tmp_path, settings):
    with pytest.raises(InputError, match=r"^\S+no\.h5 does not exist \(looked for in .*\); check data\.files$"):
        Hdf5Data(files=[str(tmp_path / "no.h5")], **settings()).prepare_data()


def test_a_missing_challenge_file_is_one_sentence(tmp_path, settings):
    file = tmp_path / "if-image-train.h5"
    sentence = f"{file} is not there; point data.dir at the directory that holds if-image-train.h5, or get it: "
    with refused(f"{sentence}cdmtrain task=download dir={tmp_path}"):
        ChallengeData(dir=str(tmp_path), **settings()).prepare_data()
