"""Read checkpoints: as tensors, numbers, text and containers of these; and check the states that they hold."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.inside import file_inside

NAMES = {"best": files.BEST_CHECKPOINT, "last": files.LAST_CHECKPOINT}
FREE = ("stopping_reason_message", "mean")  # of EarlyStopping and WeightAveraging, who open no file by what is in them
MOST_VALUES = 10**6  # in all containers; ours hold a few thousand
MOST_VIEWS = 4  # times that the bytes of the file may be declared again, by tensors that share their memory
UNREADABLE = (  # what torch and zipfile raise for damaged files
    *(OSError, EOFError, RuntimeError, ValueError, LookupError),
    *(TypeError, AttributeError, AssertionError, zipfile.BadZipFile),
)


class HasState(Protocol):
    """A callback of Lightning."""

    state_key: str

    def state_dict(self) -> dict[str, Any]: ...


def checkpoint_path(run: Path, name: str) -> Path:
    """Return the file of the checkpoint "best" or "last" of a run; any other name is a path."""
    path = file_inside(run, NAMES[name], most_bytes=None) if name in NAMES else Path(name)
    if path is None or not path.is_file():
        where = path or run / NAMES[name]
        raise InputError(f"ckpt={name}: {where} is not a file; best, last or the path of a checkpoint is expected")
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as tensors, numbers, text and containers of these, and nothing else.

    Raises:
        InputError: where the file is damaged, holds objects of other types, or declares more than it holds.
    """
    try:
        _check_archive(path)
        with warnings.catch_warnings(action="ignore"):  # of damaged files
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds objects other than tensors and numbers, which could run code") from error
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a checkpoint ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{path} is not a checkpoint: it has no state_dict")
    try:
        _check_size(content, most_bytes=MOST_VIEWS * path.stat().st_size)
        return _copied(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a checkpoint of this program ({error})") from error


def check_states(checkpoint: Mapping[str, Any], callbacks: Iterable[HasState], run: Path, path: Path) -> None:
    """Refuse saved states of callbacks that hold what the callback itself never puts there.

    A state has the keys that the callback has now. Text in it is text that the callback has now, or a path in the run
    directory: a callback may remove what its state names.

    Raises:
        InputError: with the callback and the key.
    """
    states = checkpoint.get("callbacks") or {}
    if not isinstance(states, dict):
        raise InputError(f"{path} does not fit this run (callbacks is no mapping); restore the file or remove it")
    for callback in callbacks:
        state, now = states.get(callback.state_key), callback.state_dict()
        if state is None:
            continue
        known = {value for value in _values(now) if isinstance(value, str)}
        name = type(callback).__name__
        if not isinstance(state, dict) or not state.keys() <= now.keys():
            raise InputError(f"{path}: the saved state of {name} is not one of {name}; continue without that file")
        checked = [value for key, value in state.items() if key not in FREE]
        for text in (value for value in _values(checked) if isinstance(value, str)):
            if text not in known and not _is_inside(text, run):
                raise InputError(f"{path}: the saved state of {name} names {text!r}, which is outside of {run}")


@contextmanager
def restoring(path: Path | None, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Turn what is raised while a checkpoint is restored, and in the first step with it, into a sentence.

    An optimizer takes any state, and notices in its first step that it is of other weights.
    """
    try:
        yield
    except (InputError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if path is None or has_begun():
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path} does not fit this run ({reason}); restore the file or remove it") from error


def _is_inside(text: str, run: Path) -> bool:
    return Path(os.path.realpath(text)).is_relative_to(os.path.realpath(run))


def _check_archive(path: Path) -> None:
    """Refuse an archive whose parts are compressed or declare more than the file has: torch allocates what they say."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise ValueError("it is compressed")
    if sum(part.file_size for part in parts) > path.stat().st_size:
        raise ValueError("it declares more bytes than it has")


def _check_size(content: dict[str, Any], *, most_bytes: int) -> None:
    """Refuse containers that hold each other many times over, and tensors that repeat their memory."""
    declared = 0
    for number, value in enumerate(_values(content)):
        if number > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values")
        declared += value.numel() * value.element_size() if isinstance(value, Tensor) else 0
    if declared > most_bytes:
        raise ValueError(f"it declares {declared:,} bytes of tensors, which the file does not hold")


def _values(content: Any) -> Iterator[Any]:
    """Every container, key and value in nested containers."""
    yield content
    if isinstance(content, Mapping):
        yield from content
    inner = content.values() if isinstance(content, Mapping) else content if isinstance(content, list | tuple) else ()
    for value in inner:
        yield from _values(value)


def _copied(content: Any) -> Any:
    """The same in memory of its own; a file that is replaced meanwhile changes nothing."""
    if isinstance(content, Tensor):
        if content.layout != torch.strided or content.is_quantized or content.device.type != "cpu":
            raise ValueError("it holds a tensor that is not an ordinary one")
        return content.detach().clone()
    if isinstance(content, dict):
        return {key: _copied(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_copied(value) for value in content)
    if content is None or isinstance(content, str | bool | int | float):
        return content
    raise ValueError(f"it holds a {type(content).__name__} among its tensors and numbers")
