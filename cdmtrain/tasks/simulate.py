"""cdmtrain task=simulate: write simulated events in the challenge's format."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import cdmtrain
from cdmtrain.callbacks.resources import peak_memory_bytes
from cdmtrain.config.build import build
from cdmtrain.data.hdf5 import write_challenge_file
from cdmtrain.errors import InputError
from cdmtrain.report.kit.numbers import memory
from cdmtrain.simulation.simulator import BLOCK_EVENTS
from cdmtrain.terminal import say


def simulate(cfg: DictConfig) -> None:
    """Simulate `events` events from `seed`, write them to `output` atomically, and print the cost."""
    output = Path(cfg.output)
    if cfg.events < 1:
        raise InputError(f"events={cfg.events}: at least 1 event is expected")
    if output.exists():
        raise InputError(f"output={output} exists; choose another name or remove it")
    simulation = build(cfg, "simulation")
    made_by = {"events": cfg.events, "seed": cfg.seed, **simulation.settings()}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        blocks = _shown(simulation.blocks(events=cfg.events, seed=cfg.seed), progress, total=cfg.events)
        write_challenge_file(
            output,
            blocks,
            num_events=cfg.events,
            image_size=simulation.image_size,
            attributes={"generator": f"cdmtrain {cdmtrain.__version__}", "settings": json.dumps(made_by)},
        )
    cost = f"peak memory {memory(peak_memory_bytes(torch.device('cpu')))}"
    seconds = progress.tasks[0].elapsed
    if seconds and cfg.events > BLOCK_EVENTS:
        cost = f"{(cfg.events - BLOCK_EVENTS) / seconds:.0f} events/s after the first block, {cost}"
    say(f"{cfg.events} events in {output}: {cost}")


def _shown(blocks: Iterable[Any], progress: Progress, *, total: int) -> Iterator[Any]:
    """Show the blocks that pass on a progress bar, timed from the first one on, which waits for compilation."""
    task = progress.add_task("simulating (compiling at first use)", total=total, start=False)
    for block in blocks:
        progress.start_task(task)
        yield block
        progress.update(task, advance=len(block.pdg), description="simulating")
