"""cdmtrain task=simulate: write simulated events in the challenge's format."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import cdmtrain
from cdmtrain.data.hdf5 import write_challenge_file
from cdmtrain.errors import InputError


def simulate(cfg: DictConfig) -> None:
    """Simulate `events` events from `seed` and write them to `output`, whole or not at all."""
    output = Path(cfg.output)
    if cfg.events < 1:
        raise InputError(f"events={cfg.events}: at least 1 event is expected")
    if output.exists():
        raise InputError(f"output={output} exists; choose another name or remove it")
    simulation = instantiate(cfg.simulation)
    made_by = {"events": cfg.events, "seed": cfg.seed, **simulation.settings()}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        write_challenge_file(
            output,
            _counted(simulation.blocks(events=cfg.events, seed=cfg.seed), progress, total=cfg.events),
            num_events=cfg.events,
            image_size=simulation.image_size,
            attributes={"generator": f"cdmtrain {cdmtrain.__version__}", "settings": json.dumps(made_by)},
        )
    Console().print(f"{cfg.events} events in {output}", soft_wrap=True)


def _counted(blocks: Iterable[Any], progress: Progress, *, total: int) -> Iterator[Any]:
    task = progress.add_task("simulating (compiling at first use)", total=total)
    for block in blocks:
        yield block
        progress.update(task, advance=len(block.pdg), description="simulating")
