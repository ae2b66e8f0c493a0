"""What cannot be converted is one sentence, and nothing is left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cdmtrain.data.conversion.convert import Summary
from cdmtrain.errors import InputError
from tests.data.conversion.formats import (
    FORMATS,
    IMAGES,
    LABELS,
    N,
    convert,
    write_npy,
)


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
