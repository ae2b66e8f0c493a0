"""The layout of LArCV: planes of pixels column by column, and the particle of each event. The trees are made here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cdmtrain.data.conversion.larcv import open_larcv
from cdmtrain.errors import InputError

EVENTS, PLANES, ROWS, COLUMNS = 5, 3, 4, 6
IMAGES = np.random.default_rng(1).random((EVENTS, PLANES, ROWS, COLUMNS)).astype(np.float32)
CODES = [np.array([11, 22]), np.array([2212]), np.array([13]), np.array([11]), np.array([-211])]
CORNERS = "image2d_data_branch/_image_v/_image_v."


class Branch:
    def __init__(self, values: list[Any]) -> None:
        self._values, self.num_entries = values, len(values)

    def array(self, *, library: str, entry_start: int = 0, entry_stop: int | None = None) -> np.ndarray:
        assert library == "np"
        some = np.empty(len(self._values[entry_start:entry_stop]), object)
        some[:] = self._values[entry_start:entry_stop]
        return some


class Tree(dict[str, Branch]):
    name = "tree"


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tree]:
    """The trees that uproot finds in the next file."""
    pixels = [[plane.T.reshape(-1).tolist() for plane in event] for event in IMAGES]
    images = {"_img": pixels, "_meta._row_count": [[ROWS] * PLANES] * EVENTS}
    images |= {"_meta._col_count": [[COLUMNS] * PLANES] * EVENTS}
    found = {
        "image2d_data_tree": Tree({CORNERS + name: Branch(values) for name, values in images.items()}),
        "particle_mctruth_tree": Tree({"particle_mctruth_branch/_part_v/_part_v._pdg": Branch(CODES)}),
    }

    class File(dict[str, Tree]):
        def keys(self, *, filter_classname: str) -> list[str]:  # type: ignore[override]
            assert filter_classname == "TTree"
            return [f"{name};1" for name in super().__iter__()]

    @contextmanager
    def opened(path: Path) -> Iterator[File]:
        yield File(found)

    monkeypatch.setitem(sys.modules, "uproot", SimpleNamespace(open=opened))
    return found


def test_pixels_are_read_by_event_plane_row_and_column(trees: dict[str, Tree], tmp_path: Path) -> None:
    with open_larcv(tmp_path / "a.root", {}) as source:
        assert source.image_shape == (PLANES, ROWS, COLUMNS)
        assert np.array_equal(np.concatenate(list(source.read())), IMAGES)
        assert source.label is not None
        assert source.label.tolist() == [11, 2212, 13, 11, -211]


def test_a_file_without_particles_has_no_labels(trees: dict[str, Tree], tmp_path: Path) -> None:
    del trees["particle_mctruth_tree"]
    with open_larcv(tmp_path / "a.root", {}) as source:
        assert source.label is None


@pytest.mark.parametrize(
    ("change", "keys", "sentence"),
    [
        (lambda trees: trees.clear(), {}, r"has the trees \(none\); keys.image="),
        (
            lambda trees: trees.update(image2d_other_tree=Tree()),
            {},
            "keys.image=... names one that begins with image2d_",
        ),
        (lambda trees: trees["image2d_data_tree"].clear(), {}, "has no branch that ends in _meta._row_count"),
        (lambda trees: None, {"image": "image2d_none_tree"}, "has the trees image2d_data_tree"),
        (
            lambda trees: trees["image2d_data_tree"].update({CORNERS + "_meta._row_count": Branch([[4, 4, 5]] * 5)}),
            {},
            "differ in size or number of planes",
        ),
        (
            lambda trees: (
                trees["particle_mctruth_tree"].update({"a/_part_v._pdg": Branch([np.empty(0)] * 5)})
                or trees["particle_mctruth_tree"].pop("particle_mctruth_branch/_part_v/_part_v._pdg")
            ),
            {},
            "event 0 in .* has no particle",
        ),
    ],
)
def test_another_layout_is_one_sentence(
    change: Any, keys: dict[str, str], sentence: str, trees: dict[str, Tree], tmp_path: Path
) -> None:
    change(trees)
    with pytest.raises(InputError, match=sentence), open_larcv(tmp_path / "a.root", keys):
        pass
