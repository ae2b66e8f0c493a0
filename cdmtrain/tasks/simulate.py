"""cdmtrain task=simulate: write simulated events in the challenge's format."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import cdmtrain
from cdmtrain.callbacks.resources import peak_memory_bytes
from cdmtrain.config.build import build
from cdmtrain.data.hdf5 import write_challenge_file
from cdmtrain.errors import InputError
from cdmtrain.report.kit.numbers import memory


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
        blocks = _Counted(simulation.blocks(events=cfg.events, seed=cfg.seed), progress, total=cfg.events)
        write_challenge_file(
            output,
            blocks,
            num_events=cfg.events,
            image_size=simulation.image_size,
            attributes={"generator": f"cdmtrain {cdmtrain.__version__}", "settings": json.dumps(made_by)},
        )
    Console().print(f"{cfg.events} events in {output}: {_cost(blocks)}", soft_wrap=True)


class _Counted:
    """Shows the blocks that pass on a progress bar, and times those after the first, which waits for compilation."""

    def __init__(self, blocks: Iterable[Any], progress: Progress, *, total: int) -> None:
        self.blocks, self.progress, self.total = blocks, progress, total
        self.events, self.since = 0, 0.0  # events after the first block

    def __iter__(self) -> Iterator[Any]:
        task = self.progress.add_task("simulating (compiling at first use)", total=self.total)
        for block in self.blocks:
            if self.since:
                self.events += len(block.pdg)
            else:
                self.since = time.perf_counter()
            yield block
            self.progress.update(task, advance=len(block.pdg), description="simulating")


def _cost(blocks: _Counted) -> str:
    """Events per second, with writing and without compilation, and the peak memory of the process."""
    peak = f"peak memory {memory(peak_memory_bytes(torch.device('cpu')))}"
    if blocks.events == 0:
        return peak
    return f"{blocks.events / (time.perf_counter() - blocks.since):.0f} events/s after the first block, {peak}"
