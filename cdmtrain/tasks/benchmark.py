"""cdmtrain task=benchmark: what a network costs, and what this program and Lightning add to a plain loop."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cdmtrain.atomic import write_json
from cdmtrain.benchmark.cost import device_seconds, flops, num_parameters
from cdmtrain.benchmark.rounds import BatchTimes, Clock, Epochs, Rounds
from cdmtrain.benchmark.stages import make_stages
from cdmtrain.callbacks.resources import Resources, peak_memory_bytes, reset_peak_memory
from cdmtrain.config.build import build
from cdmtrain.config.explain import explain_failure
from cdmtrain.data.event_data import EventData
from cdmtrain.devices.accelerator import accelerator_name
from cdmtrain.errors import InputError
from cdmtrain.report.benchmark.page import write_benchmarks
from cdmtrain.report.benchmark.tables import JOB, comparison_table, job_tables, read_benchmarks
from cdmtrain.runs.directory import RunDirectory
from cdmtrain.runs.names import job_name, new_output_path
from cdmtrain.runs.open import make_classifier
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.status import RunStatus
from cdmtrain.terminal import say
from cdmtrain.training import configure_logging, make_trainer


def benchmark(cfg: DictConfig) -> None:
    """Time whole epochs, then each stage in turn; show the tables and leave a directory with all numbers."""
    check(cfg)
    configure_logging()
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir) if hydra.mode == RunMode.MULTIRUN else None
    folder = sweep / job_name(cfg) if sweep else new_output_path(cfg, "benchmark")
    write_json(folder / JOB, measure(cfg, RunProvenance(folder, cfg)))
    show(folder, sweep)


def check(cfg: DictConfig) -> None:
    """Refuse settings that cannot be measured."""
    for name in ("passes", "blocks", "block_batches"):
        if cfg[name] < 1:
            raise InputError(f"{name}={cfg[name]}: at least 1 is expected")
    if cfg.trainer.devices not in (1, "auto") or cfg.trainer.num_nodes != 1:
        raise InputError("a benchmark measures one device: leave trainer.devices=1")
    if cfg.weights is not None:
        raise InputError(f"weights={cfg.weights}: a benchmark measures random weights; leave out weights=")


def measure(cfg: DictConfig, provenance: RunProvenance) -> dict[str, Any]:
    """Measure everything that benchmark.json holds."""
    device = lightning.Fabric(accelerator=cfg.trainer.accelerator, devices=1).device
    reset_peak_memory(device)
    before = peak_memory_bytes(device)
    data: EventData = build(cfg, "data")
    data.prepare_data()
    data.setup()
    provenance.record_data(data.describe(), accelerator_name(device))
    epochs = time_epochs(cfg, data, device)
    peak = peak_memory_bytes(device)
    stages, cost = time_stages(cfg, data, device)
    return {
        "model": provenance.record.choices["model"],
        "overrides": list(HydraConfig.get().overrides.task),
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "device": accelerator_name(device),
        "threads": torch.get_num_threads(),
        "precision": str(cfg.trainer.precision),
        "batch_size": cfg.data.batch_size,
        "train_events": len(data.parts.train),
        "val_events": len(data.parts.val),
        **cost,
        "memory_before_bytes": before,
        "peak_memory_bytes": peak,
        "stages": {name: [asdict(block) for block in blocks] for name, blocks in {**stages, "epoch": epochs}.items()},
    }


def time_epochs(cfg: DictConfig, data: EventData, device: torch.device) -> list[BatchTimes]:
    """Time the first epochs of the training that the configuration describes, as a user would run it."""
    epochs = Epochs(device)
    with scratch_trainer(cfg, epochs, max_epochs=cfg.passes, check_val_every_n_epoch=1) as trainer:
        trainer.fit(make_classifier(cfg), datamodule=data)
    return epochs.blocks


def time_stages(
    cfg: DictConfig, data: EventData, device: torch.device
) -> tuple[dict[str, list[BatchTimes]], dict[str, Any]]:
    """Time blocks of every stage in turn with blocks of training steps; also returns the cost of the network."""
    classifier = make_classifier(cfg).to(device)
    loader = data.train_dataloader()  # gives batches on the device of the Trainer that timed the epochs
    steps = min(cfg.block_batches, len(loader))
    batches = list(islice(loader, steps))
    tensors = classifier.representation(batches[0])
    epochs = math.ceil((cfg.blocks + 1) / (len(loader) // steps)) + 1  # the last is not reached, so none is validated
    settings = {"max_epochs": epochs, "check_val_every_n_epoch": epochs, "limit_train_batches": 1.0}
    turns = Rounds(device, repeats=cfg.blocks, steps=steps)
    with scratch_trainer(cfg, turns, progress=False, accumulate_grad_batches=1, **settings) as trainer:
        precision = trainer.precision_plugin.forward_context
        turns.stages = make_stages(classifier, loader, batches, optimizer=build(cfg, "optimizer"), precision=precision)
        trainer.fit(classifier, datamodule=data)
    model = classifier.model.to(device)  # the Trainer leaves the network on the CPU
    forward, both = flops(lambda: model(tensors))
    cost: dict[str, Any] = {
        "events": loader.events.where,
        "parameters": num_parameters(model),
        "inference_flops": forward / tensors.num_events,
        "training_flops": both / tensors.num_events,
        "device_seconds": None,
    }
    if device.type == "cuda":  # how long a GPU computes in a step of a block of training steps
        clock = Clock(device)
        busy = device_seconds(lambda: [turns.stages[name](clock) for name in ("representation", "plain")])
        cost["device_seconds"] = busy / steps
    return turns.blocks, cost


@contextmanager
def scratch_trainer(
    cfg: DictConfig, callback: Callback, *, progress: bool = True, **settings: Any
) -> Iterator[lightning.Trainer]:
    """The Trainer of a run with one more callback and changed settings; its directory is removed in the end."""
    with TemporaryDirectory() as scratch:
        other = OmegaConf.create(OmegaConf.to_container(cfg))
        assert isinstance(other, DictConfig)
        changed = {"max_steps": -1, "enable_progress_bar": progress, **settings}
        other.merge_with({"run_dir": scratch, "trainer": changed})
        if not progress:
            other.callbacks.pop("progress", None)
        with RunStatus(Path(scratch), explain_failure) as status:
            trainer = make_trainer(RunDirectory(Path(scratch), other), status, Resources())
            trainer.callbacks.append(callback)  # type: ignore[attr-defined]
            yield trainer


def show(folder: Path, sweep: Path | None) -> None:
    """Print the tables and write the page of this benchmark, or of all jobs of a comparison so far."""
    console = Console()
    jobs = read_benchmarks([folder])
    console.print(job_tables(jobs[0]))
    if sweep:
        ended = sorted(sweep.glob(f"*/{JOB}"), key=lambda path: path.stat().st_mtime_ns)
        jobs = read_benchmarks([path.parent for path in ended])
        console.print(comparison_table(jobs).terminal())
    say(f"page: {write_benchmarks(sweep or folder, jobs)}")
