"""The sparse store gives back what the files hold, to the bit, in any order."""

import h5py
import numpy as np
import pytest
import torch

from cdmtrain.data import hdf5_images
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.store import EventStore, is_whole
from cdmtrain.errors import InputError

LAYOUTS = {
    "contiguous": {},
    "one_event_a_chunk": {"chunks": lambda size: (1, size, size)},
    "chunks_smaller_than_an_image": {"chunks": lambda size: (3, (size + 1) // 2, size)},
    "gzip": {"compression": "gzip", "chunks": lambda size: (4, size, size)},
    "gzip_shuffle": {"compression": "gzip", "shuffle": True, "chunks": lambda size: (4, size, size)},
    "lzf": {"compression": "lzf", "chunks": lambda size: (5, size, size)},
    "lzf_shuffle_checksum": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "resizable": {"maxshape": lambda size: (None, size, size)},
    "big_endian": {"dtype": ">f4"},
}


def layout_of(name, image_size):
    return {key: value(image_size) if callable(value) else value for key, value in LAYOUTS[name].items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("image_size", [1, 2, 16, 193])
def test_every_bit_of_an_image_comes_back(layout, image_size, random_images, write_images, store_of, bits_of):
    images = random_images(11, image_size)
    store = store_of(write_images(images, **layout_of(layout, image_size)))
    batch = store.make_batch(torch.arange(11))
    assert batch.image_size == image_size
    np.testing.assert_array_equal(bits_of(batch), images.view(np.uint32))


@pytest.mark.parametrize("layout", ["contiguous", "gzip", "chunks_smaller_than_an_image"])
@pytest.mark.parametrize("block_images", [0.1, 1, 2, 3.5, 5, 11, 100])
def test_block_borders_change_nothing(
    layout, block_images, random_images, write_images, store_of, bits_of, monkeypatch
):
    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", int(block_images * 4 * 16**2))
    images = random_images(11, 16)
    store = store_of(write_images(images, **layout_of(layout, 16)))
    np.testing.assert_array_equal(bits_of(store.make_batch(torch.arange(11))), images.view(np.uint32))


@pytest.mark.parametrize("dark", [[0], [10], [0, 1, 5, 9, 10], list(range(11))], ids=str)
@pytest.mark.parametrize("block_images", [1, 3, 100])
def test_an_event_without_a_lit_pixel_is_an_event(
    dark, block_images, random_images, write_images, store_of, bits_of, monkeypatch
):
    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", block_images * 4 * 16**2)
    images = random_images(11, 16)
    images[dark] = 0
    store = store_of(write_images(images))
    batch = store.make_batch(torch.arange(11))
    assert len(store) == 11
    assert not batch.num_hits[dark].any()
    np.testing.assert_array_equal(bits_of(batch), images.view(np.uint32))


def test_negative_zero_is_a_pixel_that_was_written(write_images, store_of):
    images = np.zeros((2, 4, 4), np.float32)
    images[1, 2, 3] = -0.0
    batch = store_of(write_images(images)).make_batch(torch.arange(2))
    assert batch.pixel.tolist() == [2 * 4 + 3]
    assert torch.signbit(batch.energy).tolist() == [True]


def test_pixels_ascend_within_an_event(random_images, write_images, store_of):
    batch = store_of(write_images(random_images(5, 16))).make_batch(torch.tensor([3, 0, 3]))
    assert (torch.diff(batch.event * 256 + batch.pixel) > 0).all()


def test_what_was_never_written_is_dark(tmp_path, store_of):
    with h5py.File(tmp_path / "events.h5", "w") as file:
        file.create_dataset("image", (7, 16, 16), np.float32, chunks=(2, 16, 16))[3, 4, 5] = 1
    batch = store_of(tmp_path / "events.h5").make_batch(torch.arange(7))
    assert batch.num_hits.tolist() == [0, 0, 0, 1, 0, 0, 0]


def test_events_are_gathered_in_the_order_asked_for_and_as_often(random_images, write_images, store_of, bits_of):
    images = random_images(20, 16)
    store = store_of(write_images(images))
    dataset_index = torch.from_numpy(np.random.default_rng(2).integers(0, 20, 50))
    batch = store.make_batch(dataset_index)
    np.testing.assert_array_equal(bits_of(batch), images.view(np.uint32)[dataset_index])
    assert batch.class_index.tolist() == (dataset_index % 4).tolist()
    assert batch.dataset_index.tolist() == dataset_index.tolist()


def test_a_batch_has_the_types_that_networks_expect(random_images, write_images, store_of):
    batch = store_of(write_images(random_images(3, 16))).make_batch(torch.arange(3))
    assert batch.energy.dtype == torch.float32
    assert {getattr(batch, name).dtype for name in ("pixel", "offset", "class_index", "dataset_index")} == {torch.int64}


def test_no_event_can_be_gathered(random_images, write_images, store_of):
    images = random_images(3, 16)
    for store in (store_of(write_images(images)), store_of(write_images(images), write_images(images, "b.h5"))):
        batch = store.make_batch(torch.arange(0))
        assert (batch.num_events, batch.offset.tolist(), len(batch.pixel), len(batch.energy)) == (0, [0], 0, 0)


def test_several_files_act_as_one(random_images, write_images, store_of, bits_of):
    images = [random_images(number, 16, seed=number) for number in (5, 1, 8, 3)]
    images[2][:] = 0  # a file without a hit
    truth = {"kinetic_energy_mev": np.arange(5, dtype=np.float32), "pdg": np.full(5, 11)}
    files = [
        write_images(images[0], "a.h5", columns={**truth, "index": np.arange(100, 105)}),
        write_images(images[1], "b.h5", columns={"pdg": [13]}),  # no index, no truth
        write_images(images[2], "c.h5", columns={"index": np.arange(8, dtype=np.uint8)}),  # no labels
        write_images(images[3], "d.h5", columns={"pdg": np.full(3, 22), "vertex_px": np.ones((3, 2))}),
    ]
    store, dense = store_of(*files), np.concatenate(images).view(np.uint32)
    assert store.class_index.tolist() == 5 * [0] + [1] + 8 * [-1] + 3 * [2]
    assert store.index.tolist() == [100, 101, 102, 103, 104, 0, *range(8), 0, 1, 2]
    assert store.truth == {}
    for seed in range(5):
        dataset_index = torch.from_numpy(np.random.default_rng(seed).integers(0, 17, 30))
        np.testing.assert_array_equal(bits_of(store.make_batch(dataset_index)), dense[dataset_index])
    np.testing.assert_array_equal(bits_of(store.make_batch(torch.arange(17))), dense)


def test_truth_that_every_file_has_is_kept(random_images, write_images, store_of):
    truth = {"kinetic_energy_mev": [1.5, 2.5], "vertex_px": [[1, 2], [3, 4]], "direction": np.eye(3)[:2]}
    images = random_images(2, 16)
    both = {name: np.asarray(values, np.float64) for name, values in truth.items()}
    store = store_of(write_images(images, "a.h5", columns=both), write_images(images, "b.h5", columns=both))
    assert {name: values.shape for name, values in store.truth.items()} == {
        "kinetic_energy_mev": (4,),
        "vertex_px": (4, 2),
        "direction": (4, 3),
    }
    assert store.truth["vertex_px"].tolist() == 2 * truth["vertex_px"]


def test_a_file_is_read_in_blocks_of_whole_chunks_unless_they_are_huge(random_images, write_images, monkeypatch):
    def block_lengths(**layout):
        with ChallengeFile(write_images(random_images(20, 16), **layout)) as file:
            return [len(offset) - 1 for offset, _, _ in file.blocks()]

    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", 5 * 4 * 16**2)
    assert block_lengths() == [5, 5, 5, 5]
    assert block_lengths(chunks=(4, 16, 16)) == [8, 8, 4]
    assert block_lengths(chunks=(20, 16, 16)) == [20]
    monkeypatch.setattr(hdf5_images, "MAX_BLOCK_BYTES", 10 * 4 * 16**2)
    assert block_lengths(chunks=(20, 16, 16)) == [10, 10]


DAMAGE = {
    "hits_truncated": ("pixel.i32", lambda content: content[:-4]),
    "hits_empty": ("energy.f32", lambda content: b""),
    "hits_longer": ("energy.f32", lambda content: content + b"\0\0\0\0"),
    "hits_missing": ("pixel.i32", None),
    "columns_truncated": ("events.npz", lambda content: content[: len(content) // 2]),
    "columns_of_other_numbers": ("events.npz", lambda content: content[:200] + b"\xff" + content[201:]),
    "columns_missing": ("events.npz", None),
    "description_empty": ("store.json", lambda content: b""),
    "description_truncated": ("store.json", lambda content: content[:-20]),
    "description_not_text": ("store.json", lambda content: b"\xff\xfe\x00" + content),
    "description_of_nothing": ("store.json", lambda content: b"{}"),
    "description_a_list": ("store.json", lambda content: b"[1]"),
    "description_null": ("store.json", lambda content: b"null"),
    "description_of_another_version": ("store.json", lambda content: content.replace(b'_version": ', b'_version": 9')),
    "description_missing": ("store.json", None),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_store_is_made_anew(name, damage, challenge_file, cache_dir, blocks_read):
    path = challenge_file()
    store = load_or_convert(path, cache_dir)
    whole = {file.name: file.read_bytes() for file in store.iterdir()}
    if damage is None:
        (store / name).unlink()
    else:
        assert damage(whole[name]) != whole[name]
        (store / name).write_bytes(damage(whole[name]))
    assert not is_whole(store)
    assert load_or_convert(path, cache_dir) == store
    assert {file.name: file.read_bytes() for file in store.iterdir()} == whole
    assert len(blocks_read) == 2


def test_a_store_that_is_shortened_while_it_is_read_is_a_sentence_and_one_that_is_removed_is_read(
    random_images, write_images, tmp_path
):
    directory = load_or_convert(write_images(random_images(9, 16)), tmp_path / "cache")
    store = EventStore([directory])
    before = store.make_batch(torch.arange(9))
    with (directory / "energy.f32").open("r+b") as file:
        content = file.read()
        file.truncate(4)
        with pytest.raises(InputError, match=r"energy\.f32 was shortened while it was read; remove"):
            store.make_batch(torch.arange(9))
        file.seek(0)
        file.write(content)
    (directory / "energy.f32").unlink()
    assert torch.equal(store.make_batch(torch.arange(9)).energy, before.energy)
