"""Files of a run that a stranger has written: each costs its own run one sentence, and nothing is read beyond it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain.errors import InputError
from cdmtrain.report.leaderboard.ranking import make_leaderboard
from cdmtrain.report.leaderboard.side_by_side import draw_rocs
from cdmtrain.runs import files, inside
from cdmtrain.runs.provenance import read_json
from cdmtrain.runs.read import read_provenance, read_run
from tests.runs.malformed import Change, replaced
from tests.runs.test_read import edit_json, write

EVERY_FILE = (*files.EXPECTED, files.SUBMISSION, files.MISTAKES)


def refused(run: Path) -> str:
    with pytest.raises(InputError) as raised:
        read_run(run)
    assert str(raised.value).startswith(str(run))
    return str(raised.value)


@pytest.mark.parametrize("name", EVERY_FILE)
def test_no_link_is_followed_out_of_a_run(run: Path, name: str) -> None:
    replaced(run, name, lambda path: path.symlink_to("../secret"))
    assert f"{run / name} is a link out of" in refused(run)


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_pipe_is_not_waited_for(run: Path, name: str) -> None:
    replaced(run, name, os.mkfifo)
    assert f"{run / name} is not an ordinary file" in refused(run)


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_link_that_leads_nowhere_or_to_itself_is_refused(run: Path, name: str) -> None:
    replaced(run, name, lambda path: path.symlink_to(path.name))
    assert f"{run / name} " in refused(run)


@pytest.mark.parametrize("name", [one for one in EVERY_FILE if not one.endswith(".h5")])
def test_a_file_of_any_size_is_not_read(run: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (run / name).open("ab") as stream:
        stream.truncate(2**40)
    assert "1,099,511,627,776 bytes; at most" in refused(run)


def test_a_link_inside_a_run_is_followed(run: Path) -> None:
    (run / files.METRICS).rename(run / "moved.csv")
    (run / files.METRICS).symlink_to("moved.csv")
    assert len(read_run(run).history["epoch"]) == 3


def test_a_run_may_itself_be_reached_by_a_link(run: Path) -> None:
    (run.parent / "linked").symlink_to(run)
    assert read_run(run.parent / "linked").state == "finished"


YAML = {
    "a type of Python": "a: !!python/object/apply:os.system [ls]",
    "an object": "a: !!python/name:os.system",
    "bytes": "a: !!binary aGVsbG8=",
    "a set": "a: !!set {b, c}",
    "an ordered map": "a: !!omap [b: 1]",
    "a type of its own": "a: !mine 1",
    "a time": "a: !!timestamp 2026-01-01",
    "an alias": "a: &a 1\nb: *a",
    "aliases of aliases": "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
    "a merge of itself": "a: &a {<<: *a}",
    "depth": "a: " + "{a: " * 60 + "1" + "}" * 60,
    "a long value": f"a: {'x' * 20_000}",
    "a number in base 60": f"a: 1{':1' * 9000}",
    "a number without end": f"a: {'1' * 9000}",
    "a tab": "a:\n\t- b",
    "two documents": "a: 1\n---\nb: 1",
    "a list as a key": "? [a]\n: 1",
    "a number as a key": "1: 2",
    "a null byte": "a: \x00",
}


@pytest.mark.parametrize("content", YAML)
def test_a_configuration_of_more_than_plain_values_is_refused(run: Path, content: str) -> None:
    (run / files.CONFIG).write_text(YAML[content])
    assert files.CONFIG in refused(run)


def test_a_date_in_a_configuration_is_text(run: Path) -> None:
    (run / files.CONFIG).write_text("note: 2026-01-01\n")
    assert read_run(run).config == {"note": "2026-01-01"}


def hdf5(name: str, change: Callable[[h5py.File], object]) -> Change:
    def edit(run: Path) -> None:
        with h5py.File(run.parent / "elsewhere.h5", "w") as other:
            other["x"] = np.zeros(30, np.int64)
        with h5py.File(run / name, "a") as file:
            change(file)

    return edit


def put(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def make(name: str, *shape: int, **settings: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, shape, **settings)

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((30,), np.int64)
    layout[:] = h5py.VirtualSource("../elsewhere.h5", "x", (30,))
    del file["class_index"]
    file.create_virtual_dataset("class_index", layout)


HDF5 = {
    "a link to another file": hdf5(files.PREDICTIONS, put("class_index", h5py.ExternalLink("../elsewhere.h5", "x"))),
    "a link to a pipe": hdf5(files.PREDICTIONS, put("class_index", h5py.ExternalLink("../pipe", "x"))),
    "a soft link to nothing": hdf5(files.PREDICTIONS, put("class_index", h5py.SoftLink("/nothing"))),
    "a virtual dataset": hdf5(files.PREDICTIONS, virtual),
    "external storage": hdf5(
        files.PREDICTIONS, make("class_index", 30, dtype="i8", external=[("../secret", 0, h5py.h5f.UNLIMITED)])
    ),
    "a declared terabyte": hdf5(files.PREDICTIONS, make("class_index", 2**37, dtype="i8", chunks=(2**20,))),
    "a compressed bomb": hdf5(
        files.PREDICTIONS, make("class_index", 2**30, dtype="i1", chunks=(2**20,), compression=9)
    ),
    "a group": hdf5(
        files.PREDICTIONS, lambda file: (file.__delitem__("class_index"), file.create_group("class_index"))
    ),
    "no probability": hdf5(files.PREDICTIONS, lambda file: file.__delitem__("probability")),
    "an empty dataset": hdf5(files.PREDICTIONS, put("class_index", h5py.Empty("i8"))),
    "objects": hdf5(files.PREDICTIONS, make("class_index", 30, dtype=h5py.string_dtype())),
    "a scalar class": hdf5(files.PREDICTIONS, put("class_index", 1)),
    "mistakes of which offsets fall": hdf5(
        files.MISTAKES, lambda file: file["offset"].write_direct(file["offset"][:][::-1].copy())
    ),
    "mistakes that begin later": hdf5(files.MISTAKES, lambda file: file["offset"].__setitem__(0, -3)),
    "mistakes with a negative pixel": hdf5(files.MISTAKES, lambda file: file["pixel"].__setitem__(0, -1)),
    "mistakes with few contributions": hdf5(
        files.MISTAKES, lambda file: file.create_dataset("contribution", data=[1.0])
    ),
    "mistakes of a class 9": hdf5(files.MISTAKES, lambda file: file["class_index"].__setitem__(0, 9)),
    "an image size in words": hdf5(files.MISTAKES, lambda file: file.attrs.__setitem__("image_size", "16")),
    "a list of image sizes": hdf5(files.MISTAKES, lambda file: file.attrs.__setitem__("image_size", [16, 16])),
    "images of 4096 pixels": hdf5(files.MISTAKES, lambda file: file.attrs.__setitem__("image_size", 4096)),
}


@pytest.mark.parametrize("damage", HDF5)
def test_an_hdf5_file_that_holds_other_things_is_refused(run: Path, damage: str) -> None:
    os.mkfifo(run.parent / "pipe")
    HDF5[damage](run)
    assert "is damaged" in refused(run)


def test_a_fingerprint_is_no_path(run: Path) -> None:
    content = read_json(run, files.PROVENANCE)
    assert content is not None
    content["data"]["sources"][0]["fingerprint"] = "../../evil"
    edit_json(files.PROVENANCE, **content)(run)
    with pytest.raises(InputError, match="32 hexadecimal digits are expected"):
        _ = read_provenance(run).fingerprints


def test_a_malformed_run_costs_its_own_row_and_no_other(run: Path) -> None:
    for name in ("two", "three"):
        shutil.copytree(run, run.parent / name)
    write(files.STATUS, "{")(run)
    hdf5(files.PREDICTIONS, put("probability", 1.0))(run.parent / "two")
    board = make_leaderboard([run.parent])
    assert sorted(one.state for one in board.runs) == ["finished", "finished", "unreadable"]
    draw_rocs(board)


def test_a_link_deep_in_a_directory_is_found(run: Path) -> None:
    inside.refuse_links(run)
    (run / "report/assets").mkdir(parents=True)
    (run / "report/assets/here").symlink_to("../index.html")
    inside.refuse_links(run)
    (run / "report/assets/there").symlink_to("/etc")
    with pytest.raises(InputError, match="report/assets/there is a link out of"):
        inside.refuse_links(run)
