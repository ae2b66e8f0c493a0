"""A mistake in code of the user is told as theirs: which class, which line, and the lines of theirs that led there."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

PROGRAM = ("cdmtrain", "torch", "torch_geometric", "torchmetrics", "lightning", "hydra", "hydra_plugins")
PLAIN = (RuntimeError, ValueError, TypeError, ImportError, SyntaxError)  # whose messages are told without their type

own_targets: dict[str, str] = {}  # classes and functions of the user that this process has looked up, and their keys


def remember(key: str, target: str) -> None:
    """Note that the configuration names a class or function at `key`; those of the program itself are left out."""
    package = target.partition(".")[0]
    if package not in PROGRAM and package not in sys.stdlib_module_names:
        own_targets[target] = key


def own_parts() -> dict[str, str]:
    """The parts of the configuration that are the user's, {"model": "mynet.MyNet"}."""
    return {key.partition(".")[0]: target for target, key in own_targets.items()}


def explain_own(error: BaseException) -> str | None:
    """The sentence for an exception that code of the user raised; None where it was not among what called."""
    places = list(_own_frames(error))
    if isinstance(error, SyntaxError) and (target := _target_of(Path(str(error.filename)).stem)):
        return _sentence(target, str(error.filename), error.lineno or 0, error.msg)
    if not places:
        return None
    target = _target_of(str(places[0][0].f_globals.get("__name__"))) or ""
    frame, line = places[-1]
    message = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, PLAIN):
        message = f"{type(error).__name__}: {message}"
    return _sentence(target, frame.f_code.co_filename, line, message)


def own_lines(error: BaseException) -> str:
    """The part of a traceback that is the user's; empty where there is none."""
    at: BaseException | None = error
    seen: list[BaseException] = []  # an exception may be the cause of its own cause
    while at is not None and at not in seen:
        if places := list(_own_frames(at)):
            return "".join(traceback.format_list(traceback.StackSummary.extract(iter(places))))
        seen.append(at)
        at = at.__cause__
    return ""


def _sentence(target: str, file: str, line: int, message: str) -> str:
    return f"your {own_targets[target]} {target} failed at {Path(file).name}:{line}: {message}"


def _target_of(module: str) -> str | None:
    """The class or function of the user in a module, or else in its package."""
    package = module.partition(".")[0]
    inside = [one for one in own_targets if one.startswith(f"{module}.")]
    return next((one for one in (*inside, *own_targets) if one.partition(".")[0] == package), None)


def _own_frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _target_of(str(frame.f_globals.get("__name__"))):
            yield frame, line
