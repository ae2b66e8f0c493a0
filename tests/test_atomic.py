"""What is written is whole or absent, whatever interrupts it."""

import json
import os
import sys

import pytest

from cdmtrain.atomic import whole_directory, whole_file, write_json, write_text

INTERRUPTIONS = [RuntimeError("fault"), OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(1)]


def write_half(path, error):
    path.write_text("half of the ne")
    raise error


@pytest.mark.parametrize("error", INTERRUPTIONS, ids=repr)
@pytest.mark.parametrize("old", [None, "old"])
def test_an_interrupted_write_leaves_the_old_file_or_none(old, error, tmp_path):
    path = tmp_path / "file.txt"
    if old is not None:
        path.write_text(old)
    with pytest.raises(type(error)), whole_file(path) as temporary:
        write_half(temporary, error)
    assert [file.name for file in tmp_path.iterdir()] == ([] if old is None else ["file.txt"])
    assert old is None or path.read_text() == old


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with whole_file(path) as temporary:
        temporary.write_text("all")
        assert temporary.parent == path.parent  # a rename within one file system
        assert not path.exists()
    assert path.read_text() == "all"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_what_was_never_written_does_not_replace_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), whole_file(path):
        pass
    assert path.read_text() == "old"


@pytest.mark.parametrize("error", INTERRUPTIONS, ids=repr)
def test_an_interrupted_directory_leaves_nothing(error, tmp_path):
    with pytest.raises(type(error)), whole_directory(tmp_path / "store") as temporary:
        write_half(temporary / "a", error)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_write_and_that_of_a_living_one_stays(tmp_path):
    with whole_file(tmp_path / "file[1].txt") as temporary:
        temporary.write_text("")
        ours = temporary.name
    beginning = ours.rpartition("-")[0]
    left = [beginning + "-4194305.tmp", beginning + "-4194306.tmp"]  # above the largest number of a process
    (tmp_path / left[0]).write_text("half")
    (tmp_path / left[1] / "inside").mkdir(parents=True)
    others = [f"{beginning}-{os.getppid()}.tmp", ".file[1].txt.0badcafe-4194305.tmp", ".file1.txt.tmp"]
    for name in others:
        (tmp_path / name).write_text("being written")
    write_text(tmp_path / "file[1].txt", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {
        "file[1].txt",
        *(others if sys.platform == "linux" else [*left, *others]),
    }


def test_a_directory_appears_when_it_is_whole_and_holds_nothing_of_a_killed_one(tmp_path):
    with whole_directory(tmp_path / "store") as temporary:
        place = temporary
    (tmp_path / "store").rmdir()
    place.mkdir()
    (place / "left by a killed process of the same number").write_text("")
    with whole_directory(tmp_path / "store") as temporary:
        (temporary / "a").write_text("a")
        assert not (tmp_path / "store").exists()
    assert [file.name for file in tmp_path.rglob("*")] == ["store", "a"]


def test_a_directory_does_not_replace_another(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("old")
    with pytest.raises(OSError, match="not empty"), whole_directory(tmp_path / "store"):
        pass
    assert [file.name for file in tmp_path.rglob("*")] == ["store", "old"]


def test_text_comes_back(tmp_path):
    write_text(tmp_path / "a.txt", "Bethe μ\n")
    assert (tmp_path / "a.txt").read_bytes() == "Bethe μ\n".encode()


def test_json_comes_back_and_replaces_the_old(tmp_path):
    for content in ({"a": 1}, {"b": [1.5, None, "γ"]}):
        write_json(tmp_path / "a.json", content)
        assert json.loads((tmp_path / "a.json").read_text()) == content


def test_a_list_of_numbers_is_on_one_line(tmp_path):
    content = {"numbers": [1, -2.5e-7, None], "rows": [[1, 2], [3]], "none": [], "text": ["a [1, 2]", "[\n1\n]"]}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == content
    assert '"numbers": [1, -2.5e-07, null],\n' in text
    assert "    [1, 2],\n    [3]\n" in text


def test_what_is_no_json_leaves_the_old(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
