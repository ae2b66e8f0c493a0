"""Every format becomes the challenge's without loss where it allows that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cdmtrain.data.conversion.arrays import open_arrays
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.errors import InputError
from tests.data.conversion.formats import (
    FORMATS,
    IMAGES,
    LABELS,
    SIDE,
    N,
    convert,
    read,
    write_compressed,
    write_npy,
)


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
