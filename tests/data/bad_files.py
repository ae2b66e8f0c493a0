"""Files that are wrong in every way a disk or a writer can make them, each with words of the sentence it gives."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

NUM_EVENTS, SIZE = 10, 16
IMAGES = np.random.default_rng(1).gamma(2, size=(NUM_EVENTS, SIZE, SIZE)).astype(np.float32)
IMAGES[IMAGES < 4] = 0
PDG = np.array([11, 13, 22, 2212, 11, 13, 22, 2212, 11, 13], np.int32)

Make = Callable[[Path], object]  # writes a file


def write(path: Path, **datasets: object) -> None:
    """A good file but for these datasets; None leaves one out."""
    with h5py.File(path, "w") as file:
        for name, values in {"image": IMAGES, "pdg": PDG, "index": np.arange(NUM_EVENTS), **datasets}.items():
            if values is not None:
                file[name] = values


def with_dataset(name: str, values: object) -> Make:
    return lambda path: write(path, **{name: values})


def with_change(name: str, change: Callable[[h5py.File], object]) -> Make:
    """A good file whose dataset of this name is missing, changed once it is written."""

    def make(path: Path) -> None:
        write(path, **{name: None})
        with h5py.File(path, "r+") as file:
            change(file)

    return make


def with_created(name: str, shape: tuple[int, ...] | None, dtype: object = None, **layout: object) -> Make:
    """A good file but for this dataset, made as `create_dataset` of h5py makes it."""
    return with_change(name, lambda file: file.create_dataset(name, shape, dtype, **layout))


def with_image(shape: tuple[int, ...], dtype: object = np.float32, **layout: object) -> Make:
    return with_created("image", shape, dtype, **layout)


def with_value(value: float, entry: int, row: int = 3, column: int = 4, **layout: object) -> Make:
    return with_created("image", None, data=changed_at(IMAGES, (entry, row, column), value), **layout)


def changed_at(values: np.ndarray, where: object, value: object) -> np.ndarray:
    values = values.copy()
    values[where] = value
    return values


def with_group(name: str) -> Make:
    return with_change(name, lambda file: file.create_group(name))


def with_group_inside(path: Path) -> None:
    with_change("image", lambda file: file.create_dataset("event/image", data=IMAGES))(path)


def virtual(path: Path) -> None:
    write(path.with_name("source.h5"))
    write(path, image=None)
    layout = h5py.VirtualLayout(IMAGES.shape, np.float32)
    layout[:] = h5py.VirtualSource(path.with_name("source.h5"), "image", IMAGES.shape)
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("image", layout)


def linked(path: Path) -> None:
    write(path.with_name("source.h5"))
    write(path, pdg=None)
    with h5py.File(path, "r+") as file:
        file["pdg"] = h5py.ExternalLink("source.h5", "pdg")


def with_link(link: object) -> Make:
    return with_change("image", lambda file: file.__setitem__("image", link))


def damaged_chunk(chunk: int, **layout: object) -> Make:
    def make(path: Path) -> None:
        write(path, image=None)
        with h5py.File(path, "r+") as file:
            file.create_dataset("image", data=IMAGES, chunks=(2, SIZE, SIZE), **layout)
            stored = file["image"].id.get_chunk_info(chunk)
        with path.open("r+b") as stream:
            stream.seek(stored.byte_offset + stored.size // 2)
            stream.write(b"\xab" * 8)  # to Fletcher's checksum 0xffff is 0

    return make


def short_chunk(path: Path) -> None:
    """A chunk shorter than its checksum, of which the HDF5 library reads memory that is not there."""
    write(path, image=None)
    with h5py.File(path, "r+") as file:
        image = file.create_dataset("image", data=IMAGES, chunks=(2, SIZE, SIZE), compression="lzf", fletcher32=True)
        image.id.write_direct_chunk((4, 0, 0), b"ab")


def damaged_labels(path: Path) -> None:
    write(path, pdg=None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("pdg", data=PDG, chunks=(10,), compression="gzip")
        stored = file["pdg"].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(stored.byte_offset)
        stream.write(b"\xff" * stored.size)


def cut(to: int) -> Make:
    def make(path: Path) -> None:
        write(path)
        os.truncate(path, to if to >= 0 else path.stat().st_size + to)

    return make


def compressed_a_thousandfold(path: Path) -> None:
    """82 MB of dark images in 80 kB; their last pixel is not a number."""
    chunk = np.zeros((1000, 64, 64), np.float32)
    layout = {"chunks": chunk.shape, "compression": "gzip"}
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", (5000, 64, 64), np.float32, **layout)
        for first in range(0, 5000, 1000):
            chunk[-1, -1, -1] = np.nan if first == 4000 else 0
            image.id.write_direct_chunk((first, 0, 0), zlib.compress(chunk, 9))


def bytes_of(content: bytes) -> Make:
    return lambda path: path.write_bytes(content) and None


NOT_HDF5 = ["is not an HDF5 file"]
CASES: dict[str, tuple[Make, list[str]]] = {
    "missing": (lambda path: None, ["does not exist", "data.files"]),
    "directory": (lambda path: path.mkdir(), ["is not a file"]),
    "pipe": (lambda path: os.mkfifo(path), ["is not a file"]),
    "link_to_nothing": (lambda path: path.symlink_to("nothing"), ["does not exist"]),
    "link_to_itself": (lambda path: path.symlink_to(path), ["cannot be opened"]),
    "zero_length": (bytes_of(b""), NOT_HDF5),
    "text": (bytes_of(b"image,pdg\n" * 100), NOT_HDF5),
    "a_picture": (bytes_of(b"\x89PNG\r\n\x1a\n" + b"\0" * 500), NOT_HDF5),
    "zeros": (bytes_of(b"\0" * 5000), NOT_HDF5),
    "signature_alone": (bytes_of(b"\x89HDF\r\n\x1a\n"), ["cannot be opened"]),
    "signature_and_noise": (bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 9), ["cannot be opened"]),
    "no_dataset": (lambda path: write(path, image=None, pdg=None, index=None), ["'image'", "nothing"]),
    "no_image": (lambda path: write(path, image=None), ["no dataset 'image'", "'index', 'pdg'"]),
    "image_in_a_group": (with_group_inside, ["no dataset 'image'", "'event'"]),
    "image_a_group": (with_group("image"), ["'image'", "is a group"]),
    "image_a_link_to_nothing": (with_link(h5py.SoftLink("/nothing")), ["'image'", "cannot be read"]),
    "image_in_a_missing_file": (with_link(h5py.ExternalLink("no.h5", "image")), ["'image'", "cannot be read"]),
    "image_virtual": (virtual, ["'image'", "another file"]),
    "image_external": (with_image(IMAGES.shape, external="pixels.raw"), ["'image'", "another file"]),
    "image_scalar": (with_dataset("image", np.float32(1)), ["'image'", "shape ()", "(N, S, S)"]),
    "image_null": (with_dataset("image", h5py.Empty("f4")), ["'image'", "shape ()"]),
    **{
        f"image_of_shape_{shape}": (with_image(shape), ["'image'", str(shape), word])
        for word, shapes in {
            "(N, S, S)": [(100,), (10, 256), (10, 16, 16, 1), (10, 16, 15)],
            "no event": [(0, 16, 16), (10, 0, 0)],
        }.items()
        for shape in shapes
    },
    "image_enormous": (with_image((1, 8193, 8193)), ["'image'", "(1, 8193, 8193)", "8192 x 8192"]),
    "image_declared_huge": (with_image((2**40, 16, 16)), ["'image'", "declares", "holds 0 bytes"]),
    "image_declared_huge_in_chunks": (with_image((2**50, 16, 16), chunks=(1, 16, 16)), ["'image'", "declares"]),
    "image_declared_beyond_64_bits": (with_image((2**62, 16, 16), chunks=(1, 16, 16)), ["'image'", "declares"]),
    "image_declared_huge_compressed": (
        with_image((2**36, 16, 16), chunks=(2**16, 16, 16), compression="gzip"),
        ["'image'", "declares"],
    ),
    "compressed_a_thousandfold": (compressed_a_thousandfold, ["'image' entry 4999", "nan at row 63, column 63"]),
    "pdg_declared_huge": (
        with_created("pdg", (2**40,), np.int32, chunks=(2**20,), compression="gzip"),
        ["'pdg'", "(1099511627776,)", "10 events"],
    ),
    **{
        f"image_{name}": (with_image(IMAGES.shape, dtype), ["'image'", word, "float32 of shape"])
        for name, dtype, word in [
            *((np.dtype(dtype).name, dtype, np.dtype(dtype).name) for dtype in ("?", "c8")),
            ("strings", h5py.string_dtype(), "object"),
            ("bytes", "S4", "S4"),
            ("references", h5py.ref_dtype, "object"),
            ("ragged", h5py.vlen_dtype(np.float32), "object"),
            ("compound", [("a", "f4"), ("b", "i4")], "'<f4'"),
            ("opaque", "V4", "V4"),
            ("dates", h5py.opaque_dtype("M8[s]"), "datetime64"),
        ]
    },
    "pixels_of_more_digits_than_float32": (
        with_dataset("image", IMAGES.astype(np.float64) + 1e-9),
        ["'image' entry 0", "float32 cannot hold", "task=convert"],
    ),
    "pixels_too_large_for_float32": (with_dataset("image", np.full(IMAGES.shape, 1e39)), ["float32 cannot hold"]),
    "counts_too_large_for_float32": (
        with_dataset("image", np.full(IMAGES.shape, 2**24 + 1)),
        ["16777217 at row 0, column 0", "float32 cannot hold"],
    ),
    "pixel_nan": (with_value(np.nan, 0), ["'image' entry 0", "nan at row 3, column 4"]),
    "pixel_nan_in_the_last_image": (with_value(np.nan, 9, 15, 15), ["'image' entry 9", "nan at row 15, column 15"]),
    "pixel_infinite": (with_value(np.inf, 4), ["'image' entry 4", "inf at row 3"]),
    "pixel_minus_infinite": (with_value(-np.inf, 4, 0, 0), ["'image' entry 4", "-inf at row 0, column 0"]),
    "pixel_negative": (with_value(-0.5, 7), ["'image' entry 7", "-0.5 at row 3, column 4", "not negative"]),
    "pixel_negative_subnormal": (with_value(-1e-45, 7), ["'image' entry 7", "-1.4012984"]),
    "pixel_negative_compressed": (with_value(-1, 2, compression="gzip"), ["'image' entry 2", "-1.0"]),
    "pixel_nan_big_endian": (with_value(np.nan, 2, dtype=">f4"), ["'image' entry 2", "nan"]),
    "gzip_damaged": (damaged_chunk(0, compression="gzip"), ["'image' entries 0 to 9", "cannot be read"]),
    "gzip_damaged_at_the_end": (damaged_chunk(4, compression="gzip"), ["'image' entries", "damaged"]),
    "checksum_wrong": (damaged_chunk(3, fletcher32=True), ["'image' entries", "damaged"]),
    "checksum_without_room": (short_chunk, ["'image'", "a chunk of 2 bytes has no room for its checksum"]),
    "pdg_damaged": (damaged_labels, ["'pdg'", "cannot be read"]),
    "pdg_too_short": (with_dataset("pdg", PDG[:9]), ["'pdg'", "(9,)", "10 events", "(10,)"]),
    "pdg_too_long": (with_dataset("pdg", np.append(PDG, 11)), ["'pdg'", "(11,)", "10 events"]),
    "pdg_empty": (with_dataset("pdg", PDG[:0]), ["'pdg'", "(0,)"]),
    "pdg_scalar": (with_dataset("pdg", np.int32(11)), ["'pdg'", "shape ()"]),
    "pdg_null": (with_dataset("pdg", h5py.Empty("i4")), ["'pdg'", "shape None"]),
    "pdg_a_column": (with_dataset("pdg", PDG[:, None]), ["'pdg'", "(10, 1)"]),
    "pdg_float": (with_dataset("pdg", PDG.astype(np.float32)), ["'pdg'", "float32", "integers"]),
    "pdg_words": (with_dataset("pdg", ["electron"] * 10), ["'pdg'", "object", "integers"]),
    "pdg_bool": (with_dataset("pdg", PDG == 11), ["'pdg'", "bool"]),
    "pdg_a_group": (with_group("pdg"), ["'pdg'", "is a group"]),
    "pdg_in_another_file": (linked, ["'pdg'", "another file"]),
    "pdg_of_a_quark": (with_dataset("pdg", changed_at(PDG, 6, -3)), ["pdg code -3 at entry 6"]),
    "pdg_class_index": (with_dataset("pdg", PDG * 0), ["pdg code 0 at entry 0", "task=convert", "labels=["]),
    "pdg_large": (with_dataset("pdg", np.full(10, 2**64 - 1, np.uint64)), ["pdg code", "at entry 0"]),
    "index_too_short": (with_dataset("index", np.arange(3)), ["'index'", "(3,)", "10 events"]),
    "index_float": (with_dataset("index", np.arange(10.0)), ["'index'", "float64", "integers"]),
    "energy_too_short": (with_dataset("kinetic_energy_mev", np.ones(3)), ["'kinetic_energy_mev'", "(3,)"]),
    "energy_words": (with_dataset("kinetic_energy_mev", ["1"] * 10), ["'kinetic_energy_mev'", "numbers"]),
    "energy_nan": (
        with_dataset("kinetic_energy_mev", changed_at(np.ones(10), 8, np.nan)),
        ["'kinetic_energy_mev' entry 8", "nan"],
    ),
    "energy_beyond_float32": (
        with_dataset("kinetic_energy_mev", changed_at(np.ones(10), 5, 1e300)),
        ["'kinetic_energy_mev' entry 5", "inf"],
    ),
    "vertex_of_three": (with_dataset("vertex_px", np.ones((10, 3))), ["'vertex_px'", "(10, 3)", "(10, 2)"]),
    "vertex_infinite": (
        with_dataset("vertex_px", changed_at(np.ones((10, 2)), (4, 1), np.inf)),
        ["'vertex_px' entry 4", "inf"],
    ),
    "direction_of_two": (with_dataset("direction", np.ones((10, 2))), ["'direction'", "(10, 2)", "(10, 3)"]),
    **{
        f"cut_at_{to}": (cut(to), ["HDF5 file" if 0 <= to < 8 else "cannot be opened"])
        for to in (1, 7, 8, 9, 47, 48, 95, 96, 300, 511, 512, 800, 1500, 2047, 2048, 2049, 5000, 9000, -512, -8, -1)
    },
}
