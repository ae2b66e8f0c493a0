"""Every format becomes the challenge's without loss where it allows that; what cannot be read is one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from cdmtrain.data.conversion.arrays import open_arrays
from cdmtrain.data.conversion.convert import Settings, Summary, write_converted
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.errors import InputError

N, SIDE = 30, 12
CODES = np.array([11, 13, 22, 2212], np.int32)
rng = np.random.default_rng(5)
IMAGES = np.where(rng.random((N, SIDE, SIDE)) < 0.1, rng.gamma(2, 3, (N, SIDE, SIDE)), 0).astype(np.float32)
IMAGES[3] = 0
LABELS = CODES[rng.integers(0, 4, N)]


def write_npy(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    np.save(path, images)


def write_npz(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    np.savez(path, images=images, **({} if labels is None else {"labels": labels}))


def write_compressed(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    np.savez_compressed(path, other=np.zeros(3), images=images, **({} if labels is None else {"labels": labels}))


def write_torch(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    tensors = {"images": torch.from_numpy(images)}
    torch.save(tensors if labels is None else tensors | {"labels": torch.from_numpy(labels)}, path)


def write_pair(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    assert labels is not None
    torch.save((torch.from_numpy(images), torch.from_numpy(labels)), path)


def write_hdf5(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    with h5py.File(path, "w") as file:
        file["deep/pictures"] = images
        if labels is not None:
            file["deep/kind"] = labels


NAMED = {"image": "deep/pictures", "label": "deep/kind"}
FORMATS: list[tuple[str, Callable[..., None], dict[str, str]]] = [
    ("a.npz", write_npz, {}),
    ("a.npz", write_compressed, {}),
    ("a.pt", write_torch, {}),
    ("a.pt", write_pair, {}),
    ("a.h5", write_hdf5, NAMED),
]


def convert(path: Path, output: Path, keys: dict[str, Any] | None = None, **settings: Any) -> Summary:
    with open_arrays(path, keys or {}) as source:
        return write_converted(source, output, Settings(**settings), attributes={}, progress=lambda events: None)


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    """Images, PDG codes and all other datasets of an HDF5 file."""
    with h5py.File(path) as file:
        content = {name: one[:] for name, one in file.items()}
    return content.pop("image"), content.pop("pdg", None), content


@pytest.mark.parametrize(("name", "write", "keys"), FORMATS)
def test_a_format_is_converted_bit_for_bit(
    name: str, write: Callable[..., None], keys: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / name, IMAGES, LABELS)
    summary = convert(tmp_path / name, tmp_path / "out.h5", keys)
    images, pdg, rest = read(tmp_path / "out.h5")
    assert np.array_equal(images.view(np.uint32), IMAGES.view(np.uint32))
    assert np.array_equal(pdg, LABELS)
    assert rest["mean"] == pytest.approx(IMAGES.mean(dtype=np.float64))
    assert rest["std"] == pytest.approx(IMAGES.std(dtype=np.float64))
    assert rest["index"].tolist() == list(range(N))
    assert not summary.losses.rounded
    with ChallengeFile(tmp_path / "out.h5") as file:
        assert file.num_events == N


def test_a_file_without_labels_stays_without(tmp_path: Path) -> None:
    write_npy(tmp_path / "a.npy", IMAGES, None)
    assert convert(tmp_path / "a.npy", tmp_path / "out.h5").codes == {}
    assert read(tmp_path / "out.h5")[1] is None


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, np.int64, bool, ">f4"])
def test_casts_are_lossless_where_the_type_allows_it(dtype: Any, tmp_path: Path) -> None:
    images = IMAGES.round().clip(0, 200).astype(dtype)
    np.savez(tmp_path / "a.npz", images=images)
    assert convert(tmp_path / "a.npz", tmp_path / "out.h5").losses.rounded == 0
    assert np.array_equal(read(tmp_path / "out.h5")[0], images.astype(np.float64))


def test_what_float32_cannot_hold_is_counted(tmp_path: Path) -> None:
    images = IMAGES.astype(np.float64)
    images[0, 0, :2] = 1 / 3, 2**24 + 1
    np.savez(tmp_path / "a.npz", images=images)
    summary = convert(tmp_path / "a.npz", tmp_path / "out.h5")
    assert summary.losses.rounded == 2
    assert 1e-8 < summary.losses.largest_rounding < 2**-24
    assert any("2 lit pixels were rounded" in sentence for sentence in summary.sentences())


@pytest.mark.parametrize(
    ("labels", "meanings", "expected"),
    [
        (np.array([0, 1, 2, 1]), ["electron", "pi+", 22], [11, 211, 22, 211]),
        (np.array([1.0, 0.0, 0.0, 1.0]), ["mu-", "e+"], [-11, 13, 13, -11]),
        (np.array(["electron", "gamma", "K+", "2212"]), None, [11, 22, 321, 2212]),
        (np.array([b"photon", b"positron", b"pi-", b"p"]), None, [22, -11, -211, 2212]),
        (np.array([11, -13, 211, 1000010020]), None, [11, -13, 211, 1000010020]),
    ],
)
def test_labels_are_codes_names_or_numbers_that_are_explained(
    labels: np.ndarray, meanings: list[object] | None, expected: list[int], tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES[:4], labels=labels)
    convert(tmp_path / "a.npz", tmp_path / "out.h5", labels=meanings)
    pdg = read(tmp_path / "out.h5")[1]
    assert pdg is not None
    assert pdg.dtype == np.int32
    assert pdg.tolist() == expected


def test_scale_threshold_plane_and_crop_do_what_they_say(tmp_path: Path) -> None:
    planes = np.stack([IMAGES, 2 * IMAGES, 0 * IMAGES], axis=1)
    np.savez(tmp_path / "a.npz", images=planes, labels=LABELS, vertex_px=np.full((N, 2), 7.0))
    settings = {"plane": 1, "scale": 0.5, "threshold": 4.0, "crop": [2, 3, 8, 8]}
    summary = convert(tmp_path / "a.npz", tmp_path / "out.h5", **settings)
    images, _, rest = read(tmp_path / "out.h5")
    expected = np.where(IMAGES >= 4, IMAGES, 0)
    assert np.array_equal(images, expected[:, 2:10, 3:11])
    assert summary.losses.dimmed == ((IMAGES > 0) & (IMAGES < 4)).sum()
    assert summary.losses.cut_mev == pytest.approx(expected.sum() - images.sum(), rel=1e-5)
    assert rest["vertex_px"].tolist() == [[5.0, 4.0]] * N
    convert(tmp_path / "a.npz", tmp_path / "sum.h5", plane="sum")
    assert np.allclose(read(tmp_path / "sum.h5")[0], 3 * IMAGES, rtol=1e-6)


def test_images_that_are_not_square_are_padded_with_dark_pixels_cropped_or_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES[:, :8])
    summary = convert(tmp_path / "a.npz", tmp_path / "pad.h5")
    images = read(tmp_path / "pad.h5")[0]
    assert images.shape == (N, SIDE, SIDE)
    assert np.array_equal(images[:, :8], IMAGES[:, :8])
    assert not images[:, 8:].any()
    assert "images of 8 x 12 pixels were padded with dark ones to 12 x 12" in summary.sentences()
    convert(tmp_path / "a.npz", tmp_path / "crop.h5", square="crop")
    assert np.array_equal(read(tmp_path / "crop.h5")[0], IMAGES[:, :8, 2:10])
    with pytest.raises(InputError, match="the images are 8 x 12 pixels; square=pad adds"):
        convert(tmp_path / "a.npz", tmp_path / "refuse.h5", square="refuse")


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_energies_that_do_not_look_like_mev_are_doubted(factor: float, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES * factor)
    sentences = " ".join(convert(tmp_path / "a.npz", tmp_path / "out.h5").sentences())
    assert "are these energies in MeV?" in sentences


def test_a_compressed_archive_larger_than_a_block_is_read_in_parts(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("cdmtrain.data.conversion.source.BLOCK_BYTES", 4 * SIDE**2 * 7)
    write_compressed(tmp_path / "a.npz", IMAGES, LABELS)
    with open_arrays(tmp_path / "a.npz", {}) as source:
        assert [len(block) for block in source.read()] == [7, 7, 7, 7, 2]
    convert(tmp_path / "a.npz", tmp_path / "out.h5")
    assert np.array_equal(read(tmp_path / "out.h5")[0], IMAGES)


def test_an_array_in_the_order_of_fortran_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.asfortranarray(IMAGES))
    convert(tmp_path / "a.npz", tmp_path / "out.h5")
    assert np.array_equal(read(tmp_path / "out.h5")[0], IMAGES)


def with_value(value: float) -> np.ndarray:
    images = IMAGES.astype(np.float64)
    images[4, 5, 6] = value
    return images


BAD: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"images": with_value(np.nan)}, {}, {}, "event 4 has nan at row 5, column 6"),
    ({"images": with_value(-1)}, {}, {}, "threshold=0.05 makes pixels below 0.05 MeV dark"),
    ({"images": with_value(1e39)}, {}, {}, "event 4 has inf at row 5, column 6"),
    ({"images": IMAGES[0]}, {}, {}, r"numbers of shape \(event, row, column\)"),
    ({"images": IMAGES[:0]}, {}, {}, "there is no pixel in it"),
    ({"images": IMAGES.astype(str)}, {}, {}, "numbers of shape"),
    ({"images": np.stack([IMAGES] * 3, 1)}, {}, {}, "the images have 3 planes; plane=0, 1, 2 or sum is expected"),
    ({"images": np.stack([IMAGES] * 3, 1)}, {}, {"plane": 3}, "plane=3: the images have 3 planes"),
    ({"images": IMAGES, "labels": LABELS[:5]}, {}, {}, r"'labels' in .* has shape \(5,\), and there are 30 images"),
    ({"images": IMAGES, "labels": LABELS + 1000000}, {}, {}, "label of event 0 in .* is no particle"),
    ({"images": IMAGES, "labels": np.arange(N) % 3}, {}, {}, "say what 0, 1, ... mean, as in labels="),
    (
        {"images": IMAGES, "labels": np.arange(N) % 3},
        {},
        {"labels": ["e-", "mu-"]},
        "label of event 2 in .* is 2; labels=",
    ),
    ({"images": IMAGES, "labels": np.arange(N) / 3}, {}, {}, "one code, name or number of each event"),
    ({"images": IMAGES, "labels": LABELS}, {}, {"labels": ["unicorn"]}, "'unicorn' is no particle"),
    ({"images": IMAGES}, {"image": "pictures"}, {}, "keys.image=pictures is not in .*, which has 'images'"),
    ({"images": IMAGES}, {"label": "kind"}, {}, "keys.label=kind is not in"),
    ({"one": IMAGES, "two": IMAGES}, {}, {}, "keys.image=... says which one holds the images"),
    ({"images": IMAGES}, {}, {"crop": [0, 0, 13, 4]}, "inside 12 x 12 pixels are expected"),
]


@pytest.mark.parametrize(("arrays", "keys", "settings", "sentence"), BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arrays: dict[str, Any], keys: dict[str, Any], settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=sentence) as raised:
        convert(tmp_path / "a.npz", tmp_path / "out.h5", keys, **settings)
    assert "\n" not in str(raised.value)
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(("name", "write", "keys"), [("a.npy", write_npy, {}), *FORMATS])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.97])
def test_a_truncated_file_is_one_sentence_and_leaves_nothing(
    name: str, write: Callable[..., None], keys: dict[str, str], kept: float, tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path, IMAGES, LABELS)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError) as raised:
        convert(path, tmp_path / "out.h5", keys)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_objects_in_a_file_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], object))
    with pytest.raises(InputError, match="holds Python objects"):
        convert(tmp_path / "a.npz", tmp_path / "out.h5")
    torch.save({"images": Summary}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="cannot be read"):
        convert(tmp_path / "a.pt", tmp_path / "out.h5")
