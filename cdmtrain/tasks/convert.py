"""cdmtrain task=convert: write images of another format in the challenge's."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import get_args

from omegaconf import DictConfig, ListConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import cdmtrain
from cdmtrain.data.conversion.arrays import open_arrays
from cdmtrain.data.conversion.convert import Settings, Summary, write_converted
from cdmtrain.data.conversion.larcv import open_larcv
from cdmtrain.data.conversion.pixels import Square
from cdmtrain.data.conversion.source import Source
from cdmtrain.errors import InputError
from cdmtrain.particles import name_of
from cdmtrain.report.kit.numbers import plural
from cdmtrain.terminal import say


def convert(cfg: DictConfig) -> None:
    """Convert `input` to `output`, which is whole or absent, and print what it holds and what was changed."""
    output, settings = Path(cfg.output), _settings(cfg)
    if output.exists():
        raise InputError(f"output={output} exists; choose another name or remove it")
    with _open(cfg) as source, _bar() as progress:
        task = progress.add_task(f"converting {source.path.name}", total=source.num_events)
        made_by = {"generator": f"cdmtrain {cdmtrain.__version__}", "converted_from": source.path.name}
        summary = write_converted(
            source, output, settings, attributes=made_by, progress=lambda events: progress.advance(task, events)
        )
    for sentence in _sentences(summary, output):
        say(sentence)


def _open(cfg: DictConfig) -> AbstractContextManager[Source]:
    path = Path(cfg.input)
    if not path.is_file():
        raise InputError(f"input={path} is not a file; .npy, .npz, .pt, HDF5 or .root is expected")
    return (open_larcv if path.suffix == ".root" else open_arrays)(path, cfg["keys"])


def _settings(cfg: DictConfig) -> Settings:
    if cfg.square not in get_args(Square):
        raise InputError(f"square={cfg.square}: {', '.join(get_args(Square))} is expected")
    if not cfg.scale > 0 or not cfg.threshold >= 0:
        raise InputError(
            f"scale={cfg.scale} threshold={cfg.threshold}: a scale above 0 and a threshold from 0 on are expected"
        )
    crop = list(cfg.crop) if isinstance(cfg.crop, ListConfig) else cfg.crop
    if crop is not None and (not isinstance(crop, list) or len(crop) != 4 or not all(type(one) is int for one in crop)):
        raise InputError(f"crop={cfg.crop}: [first row,first column,rows,columns] is expected")
    labels = list(cfg.labels) if isinstance(cfg.labels, ListConfig) else cfg.labels
    if labels is not None and not isinstance(labels, list):
        raise InputError(f"labels={cfg.labels}: a list of particles in brackets is expected, such as [electron,photon]")
    return Settings(cfg.plane, cfg.scale, cfg.threshold, crop, cfg.square, labels)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _sentences(summary: Summary, output: Path) -> list[str]:
    particles = ", ".join(f"{number:,} {name_of(code)}" for code, number in summary.codes.items())
    side = summary.window.side
    first = f"{plural(summary.num_events, 'event')} of {side} x {side} pixels in {output}: {particles or 'no labels'}"
    return [first, *summary.sentences()]
