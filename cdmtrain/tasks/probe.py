"""cdmtrain task=probe: how much changed events move the output of a trained network, and what it has learned."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console

from cdmtrain.atomic import whole_directory, write_json
from cdmtrain.batch import EventBatch
from cdmtrain.config.overrides import apply_overrides
from cdmtrain.data.event_data import EventData
from cdmtrain.errors import InputError
from cdmtrain.particles import UNKNOWN_CLASS
from cdmtrain.probe.measure import Sensitivity, sensitivities
from cdmtrain.probe.perturbations import perturbations
from cdmtrain.report.probe import draw_probe, probe_table
from cdmtrain.report.run.learned import draw_learned
from cdmtrain.runs import files
from cdmtrain.runs.evaluation import open_test_data
from cdmtrain.runs.names import new_output_path
from cdmtrain.runs.open import TrainedNetwork, check_image_size, open_network
from cdmtrain.runs.predictions import read_learned
from cdmtrain.runs.trust import trusted
from cdmtrain.terminal import say
from cdmtrain.training import write_learned


def probe(cfg: DictConfig) -> None:
    """Perturb a run's test events, write run_dir= or a new directory in outputs/probe as a whole, show the table."""
    if cfg.events < 1:
        raise InputError(f"events={cfg.events}: at least 1 event is expected")
    folder = new_output_path(cfg, "probe")
    run = open_network(cfg.run, checkpoint=str(cfg.ckpt), device=cfg.device, trust=trusted(cfg.trust))
    free = ("ckpt", "events", "device", "seed", "simulation", "run_dir")
    used = apply_overrides(run.cfg, cfg, parts=("data",), free=free)
    used.data.cache_dir = cfg.data.cache_dir  # never the run's
    data = open_test_data(used, run)
    check_image_size(run, data.store.image_size)
    found = sensitivities(run.representation, run.model, events(data, cfg.events, run), perturbations(cfg.seed))
    write(folder, run, data, found)
    console = Console()
    console.print(probe_table([asdict(one) for one in found]))
    pictures = ", ".join(str(picture) for picture in sorted(folder.glob("*.png")))
    say(f"pictures: {pictures}")


def events(data: EventData, number: int, run: TrainedNetwork) -> Iterator[EventBatch]:
    """Yield `number` events of known classes spread evenly over the test part, in batches of the size of the run."""
    dataset_index = data.parts.test[data.store.class_index[data.parts.test] != UNKNOWN_CLASS]
    chosen = dataset_index[torch.linspace(0, len(dataset_index) - 1, min(number, len(dataset_index))).long()]
    for some in chosen.split(run.cfg.data.batch_size):
        yield data.store.make_batch(some).to(run.classifier.device)


def write(folder: Path, run: TrainedNetwork, data: EventData, found: list[Sensitivity]) -> None:
    """Write probe.json, learned.h5, and the figures with their numbers as PNG and CSV."""
    rows: list[dict[str, Any]] = [asdict(one) for one in found]
    model = run.cfg.model._target_.rpartition(".")[2]
    drawing = draw_probe(rows, model)
    with whole_directory(folder) as temporary:
        about = {"run": str(run.path), "checkpoint": str(run.checkpoint), "model": model}
        write_json(temporary / "probe.json", {**about, "movements": rows})
        write_learned(temporary / files.LEARNED, run.classifier, data)
        for one in [drawing, *draw_learned(read_learned(temporary, len(run.classes)), run.particles)]:
            one.write(temporary)
