"""A checkpoint that holds more than ordinary tensors, numbers and words is refused."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from cdmtrain.errors import InputError
from cdmtrain.runs.checkpoint import checkpoint_path, read_checkpoint
from tests.runs.malformed import Change


def archive(**settings: Any) -> Change:
    def change(path: Path) -> None:
        with zipfile.ZipFile(path) as old:
            parts = [(part, old.read(part.filename)) for part in old.infolist()]
        with zipfile.ZipFile(path, "w", **settings) as new:
            for part, content in parts:
                new.writestr(part.filename, content)

    return change


def bomb() -> list[Any]:
    content: list[Any] = []
    for _ in range(60):
        content = [content, content]
    return content


def itself() -> list[Any]:
    content: list[Any] = []
    content.append(content)
    return content


CHECKPOINTS: dict[str, Change] = {
    "compressed": archive(compression=zipfile.ZIP_DEFLATED),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "text": lambda path: path.write_text("x"),
    "tensors that repeat a number": lambda path: torch.save({"state_dict": {"a": torch.zeros(1).expand(2**40)}}, path),
    "lists of lists": lambda path: torch.save({"state_dict": {}, "a": bomb()}, path),
    "a list of itself": lambda path: torch.save({"state_dict": {}, "a": itself()}, path),
    "a sparse tensor": lambda path: torch.save({"state_dict": {"a": torch.eye(3).to_sparse()}}, path),
    "a tensor of no device": lambda path: torch.save({"state_dict": {"a": torch.empty(3, device="meta")}}, path),
    "a set": lambda path: torch.save({"state_dict": {}, "a": {1, 2}}, path),
    "no dictionary": lambda path: torch.save([1], path),
    "of the old format": lambda path: torch.save({"state_dict": {}}, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("damage", CHECKPOINTS)
def test_a_checkpoint_of_more_than_ordinary_tensors_is_refused(run: Path, damage: str) -> None:
    path = checkpoint_path(run, "best")
    CHECKPOINTS[damage](path)
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    assert str(raised.value).startswith(str(path))


def test_a_checkpoint_is_read_as_it_was_saved(tmp_path: Path) -> None:
    saved = {"state_dict": {"a": torch.randn(2, 3).t()}, "b": [1, 2.5, "x", None, (True, {3: torch.tensor(1)})]}
    torch.save(saved, tmp_path / "a.ckpt")
    read = read_checkpoint(tmp_path / "a.ckpt")
    torch.testing.assert_close(read["state_dict"], saved["state_dict"], rtol=0, atol=0)
    assert read["b"][:4] == saved["b"][:4]
    assert read["b"][4] == (True, {3: 1})


def test_a_checkpoint_is_not_found_through_a_link(run: Path) -> None:
    shutil.move(run / "checkpoints", run.parent / "elsewhere")
    (run / "checkpoints").symlink_to("../elsewhere")
    with pytest.raises(InputError, match="is a link out of"):
        checkpoint_path(run, "best")
