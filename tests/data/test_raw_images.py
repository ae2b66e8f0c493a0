"""What is read past the HDF5 library is what the library reads, to the bit, and what cannot be is left to it."""

import h5py
import numpy as np
import pytest

from cdmtrain.data import hdf5_images
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.hdf5_images import raw_reader

SIZE, NUM = 12, 23
KNOWN = {
    "contiguous": {},
    "big endian": {"dtype": ">f4"},
    "chunks": {"chunks": (4, SIZE, SIZE)},
    "one chunk": {"chunks": (NUM, SIZE, SIZE), "compression": "gzip"},
    "gzip": {"chunks": (4, SIZE, SIZE), "compression": "gzip"},
    "gzip 9, shuffled": {"chunks": (5, SIZE, SIZE), "compression": "gzip", "compression_opts": 9, "shuffle": True},
    "gzip, big endian": {"chunks": (1, SIZE, SIZE), "compression": "gzip", "shuffle": True, "dtype": ">f4"},
    "shuffled alone": {"chunks": (3, SIZE, SIZE), "shuffle": True},
    "resizable": {"chunks": (4, SIZE, SIZE), "maxshape": (None, SIZE, SIZE), "compression": "gzip"},
}
UNKNOWN = {
    "checksum": {"chunks": (4, SIZE, SIZE), "fletcher32": True},
    "lzf": {"chunks": (4, SIZE, SIZE), "compression": "lzf"},
    "parts of images": {"chunks": (4, SIZE, 5), "compression": "gzip"},
    "scaled": {"chunks": (4, SIZE, SIZE), "scaleoffset": 3},
}
LOSSLESS = {**KNOWN, **{name: layout for name, layout in UNKNOWN.items() if name != "scaled"}}


def blocks_of(path):
    with ChallengeFile(path) as file:
        return [np.concatenate(parts) for parts in zip(*file.blocks(), strict=True)]


@pytest.mark.parametrize("layout", KNOWN.values(), ids=KNOWN)
@pytest.mark.parametrize(("first", "count"), [(0, NUM), (0, 1), (3, 6), (7, 8), (NUM - 1, 1)])
def test_images_read_raw_are_those_of_the_library(layout, first, count, random_images, write_images):
    with h5py.File(write_images(random_images(NUM, SIZE), **layout)) as file:
        image = file["image"]
        target = np.full((count + 2, SIZE, SIZE), 7, image.dtype)
        raw_reader(image)(first, count, target)
        assert target[:count].tobytes() == image[first : first + count].tobytes()
        assert (target[count:] == 7).all()


@pytest.mark.parametrize("layout", UNKNOWN.values(), ids=UNKNOWN)
def test_another_layout_is_left_to_the_library(layout, random_images, write_images):
    with h5py.File(write_images(random_images(NUM, SIZE), **layout)) as file:
        assert raw_reader(file["image"]) is None


@pytest.mark.parametrize("layout", LOSSLESS.values(), ids=LOSSLESS)
@pytest.mark.parametrize("block_images", [1, 3, 100])
def test_all_threads_together_give_what_the_library_alone_gives(
    layout, block_images, random_images, write_images, monkeypatch
):
    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", block_images * 4 * SIZE**2)
    path = write_images(random_images(NUM, SIZE), **layout)
    several = blocks_of(path)
    monkeypatch.setattr(hdf5_images, "raw_reader", lambda image: None)
    monkeypatch.setattr(hdf5_images, "_num_cores", lambda: 1)
    alone = blocks_of(path)
    for mine, other in zip(several, alone, strict=True):
        assert mine.dtype == other.dtype
        assert mine.tobytes() == other.tobytes()


def test_a_filter_that_a_chunk_skipped_is_not_undone(tmp_path, random_images):
    images = random_images(8, SIZE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        image = file.create_dataset(
            "image", images.shape, "f4", chunks=(4, SIZE, SIZE), compression="gzip", shuffle=True
        )
        image[:4] = images[:4]
        image.id.write_direct_chunk((4, 0, 0), images[4:].tobytes(), filter_mask=0b11)
    with h5py.File(tmp_path / "a.h5") as file:
        target = np.empty_like(images)
        raw_reader(file["image"])(0, 8, target)
        assert target.tobytes() == images.tobytes() == file["image"][:].tobytes()


def test_chunks_never_written_and_files_with_a_user_block_are_read_all_the_same(tmp_path, random_images):
    images = random_images(8, SIZE)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["image"] = images
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("image", images.shape, "f4", chunks=(4, SIZE, SIZE), compression="gzip")[4:] = images[4:]
    for name, expected in (("a.h5", images), ("b.h5", np.where(np.arange(8)[:, None, None] < 4, 0, images))):
        offset, pixel, energy = blocks_of(tmp_path / name)
        assert energy.tobytes() == expected[expected.view(np.uint32) != 0].tobytes()
        assert len(pixel) == len(energy)
        assert offset[-1] == len(energy)


def test_a_reader_given_up_in_the_middle_ends_its_threads(random_images, write_images, monkeypatch):
    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", 4 * SIZE**2)
    with ChallengeFile(write_images(random_images(NUM, SIZE))) as file:
        blocks = file.blocks()
        next(blocks)
        blocks.close()
