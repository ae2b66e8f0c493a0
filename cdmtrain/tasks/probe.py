"""cdmtrain task=probe: how much changed events move the output of a trained network, and what it has learned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console

from cdmtrain.atomic import whole_directory, write_json
from cdmtrain.batch import EventBatch
from cdmtrain.config.overrides import apply_overrides, override_keys
from cdmtrain.data.event_data import EventData
from cdmtrain.errors import InputError
from cdmtrain.evaluation import write_learned
from cdmtrain.particles import UNKNOWN_CLASS
from cdmtrain.probe.contributions import contributions, most_probable
from cdmtrain.probe.effects import responses
from cdmtrain.probe.learned import first_of_each
from cdmtrain.probe.measure import Sensitivity, sensitivities
from cdmtrain.probe.perturbations import perturbations
from cdmtrain.report.effects import draw_effects, effects_table
from cdmtrain.report.kit.page import Drawing
from cdmtrain.report.probe import draw_probe, probe_table
from cdmtrain.report.run.contributions import Explained, draw_contributions
from cdmtrain.report.run.learned import draw_learned
from cdmtrain.runs import files
from cdmtrain.runs.evaluation import check_same_events, open_runs, open_test_data
from cdmtrain.runs.names import new_output_path
from cdmtrain.runs.network import TrainedNetwork, check_image_size
from cdmtrain.runs.predictions import read_learned
from cdmtrain.terminal import say


def probe(cfg: DictConfig) -> None:
    """Change the test events of runs, write run_dir= or a new directory in outputs/probe as a whole, show the tables.

    The answers of every run are measured under detector effects; those of a single run also under symmetries and
    other changes, with what it has learned.
    """
    if cfg.events < 1:
        raise InputError(f"events={cfg.events}: at least 1 event is expected")
    folder = new_output_path(cfg, "probe")
    runs = open_runs(cfg, device=cfg.device)
    free = ("ckpt", "events", "device", "seed", "simulation", "run_dir")
    used = apply_overrides(runs[0].cfg, cfg, parts=("data",), free=free)
    used.data.cache_dir = cfg.data.cache_dir  # never the run's
    data = open_test_data(used, runs[0])
    if "data" not in override_keys():
        check_same_events(runs, data)
    for run in runs:
        check_image_size(run, data.store.image_size)
    batches = list(events(data, cfg.events, runs[0]))
    found = responses([run.classifier for run in runs], batches, seed=cfg.seed)
    networks = {name: [asdict(one) for one in several] for name, several in zip(labels(runs), found, strict=True)}
    moved = [asdict(one) for one in _sensitivities(runs[0], batches, cfg.seed)] if len(runs) == 1 else []
    write(folder, runs, data, moved, networks)
    console = Console()
    if moved:
        console.print(probe_table(moved))
    console.print(effects_table(networks))
    pictures = ", ".join(str(picture) for picture in sorted(folder.glob("*.png")))
    say(f"pictures: {pictures}")


def labels(runs: Sequence[TrainedNetwork]) -> list[str]:
    """Return the model of each run; where runs share one, the names of their directories."""
    models = [_model(run) for run in runs]
    return models if len(set(models)) == len(models) else [str(run.path) for run in runs]


def _model(run: TrainedNetwork) -> str:
    return str(run.cfg.model._target_).rpartition(".")[2]


def _sensitivities(run: TrainedNetwork, batches: Sequence[EventBatch], seed: int) -> list[Sensitivity]:
    return sensitivities(run.representation, run.model, batches, perturbations(seed))


def events(data: EventData, number: int, run: TrainedNetwork) -> Iterator[EventBatch]:
    """Yield `number` events of known classes spread evenly over the test part, in batches of the size of the run."""
    dataset_index = data.parts.test[data.store.class_index[data.parts.test] != UNKNOWN_CLASS]
    chosen = dataset_index[torch.linspace(0, len(dataset_index) - 1, min(number, len(dataset_index))).long()]
    for some in chosen.split(run.cfg.data.batch_size):
        yield data.store.make_batch(some).to(run.classifier.device)


def write(
    folder: Path,
    runs: Sequence[TrainedNetwork],
    data: EventData,
    moved: list[dict[str, Any]],
    networks: Mapping[str, list[dict[str, Any]]],
) -> None:
    """Write probe.json and the figures with their numbers as PNG and CSV; of a single run learned.h5 too."""
    drawings = draw_effects(networks)
    about = [
        {"run": str(run.path), "checkpoint": str(run.checkpoint), "model": _model(run), "effects": effects}
        for run, effects in zip(runs, networks.values(), strict=True)
    ]
    with whole_directory(folder) as temporary:
        if len(runs) == 1:
            drawings += [draw_probe(moved, _model(runs[0])), _explained(runs[0], data)]
            write_learned(temporary / files.LEARNED, runs[0].classifier, data)
            drawings += draw_learned(read_learned(temporary, len(runs[0].classes)), runs[0].particles)
        write_json(temporary / "probe.json", about[0] | {"movements": moved} if len(runs) == 1 else {"runs": about})
        for one in drawings:
            one.write(temporary)


def _explained(run: TrainedNetwork, data: EventData) -> Drawing:
    """Draw what spoke for the answer to the first test event of each particle, two in a row."""
    store, test = data.store, data.parts.test
    first = test[first_of_each(store.class_index[test], store.offset.diff()[test])]
    batch = store.make_batch(first).to(run.classifier.device)
    parts = (run.representation, run.model, batch)
    images, found = (batch.image(values)[:, 0].cpu().numpy() for values in (batch.energy, contributions(*parts)))
    columns = (images, found, batch.class_index.tolist(), most_probable(*parts).tolist())
    events = [Explained(*one) for one in zip(*columns, strict=True)]
    rows = [events[number : number + 2] for number in range(0, len(events), 2)]
    return draw_contributions(rows, run.particles, "contributions", "Why this answer")
