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
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from cdmtrain.atomic import write_json
from cdmtrain.benchmark.clock import Block, Clock
from cdmtrain.benchmark.cost import device_seconds, flops, num_parameters
from cdmtrain.benchmark.rounds import Epochs, Rounds
from cdmtrain.benchmark.stages import Inference, Loading, PlainLoop, Representing
from cdmtrain.callbacks.resources import Resources, peak_memory_bytes, reset_peak_memory
from cdmtrain.data.event_data import EventData
from cdmtrain.devices.accelerator import accelerator_name
from cdmtrain.errors import InputError
from cdmtrain.report.benchmark.page import write_benchmarks
from cdmtrain.report.benchmark.tables import comparison_table, stage_table
from cdmtrain.report.benchmark.timings import JOB, read_benchmarks
from cdmtrain.runs.directory import RunDirectory
from cdmtrain.runs.names import job_name, new_name
from cdmtrain.runs.open import make_classifier
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.status import RunStatus
from cdmtrain.training import configure_logging, explain_failure, make_trainer


def benchmark(cfg: DictConfig) -> None:
    """Time whole epochs, then each stage in turn; show the tables and leave a directory with all numbers."""
    check(cfg)
    configure_logging()
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    folder = place(cfg)
    write_json(folder / JOB, measured(cfg, RunProvenance(folder, cfg)))
    show(folder)


def check(cfg: DictConfig) -> None:
    """Refuse what cannot be measured."""
    for name in ("passes", "blocks", "block_batches"):
        if cfg[name] < 1:
            raise InputError(f"{name}={cfg[name]}: at least 1 is expected")
    if cfg.trainer.devices not in (1, "auto") or cfg.trainer.num_nodes != 1:
        raise InputError("a benchmark measures one device: leave trainer.devices=1")


def place(cfg: DictConfig) -> Path:
    """The directory of this benchmark: of its own, or a job's place in the directory of the comparison."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        return Path(hydra.sweep.dir) / job_name(cfg)
    return Path("outputs/benchmark") / new_name()


def measured(cfg: DictConfig, provenance: RunProvenance) -> dict[str, Any]:
    """Everything benchmark.json says."""
    with scratch_trainer(cfg, Callback()) as trainer:
        device = trainer.strategy.root_device
    reset_peak_memory(device)
    before = peak_memory_bytes(device)
    data: EventData = instantiate(cfg.data)
    data.prepare_data()
    data.setup()
    provenance.record_data(data.describe(), accelerator_name(device))
    epochs = whole_epochs(cfg, data, device)
    peak = peak_memory_bytes(device)
    stages, cost = rounds(cfg, data, device)
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


def whole_epochs(cfg: DictConfig, data: EventData, device: torch.device) -> list[Block]:
    """The first epochs of the training that the configuration describes, as a user has them."""
    epochs = Epochs(device)
    with scratch_trainer(cfg, epochs, max_epochs=cfg.passes, check_val_every_n_epoch=1) as trainer:
        trainer.fit(make_classifier(cfg), datamodule=data)
    return epochs.blocks


def rounds(cfg: DictConfig, data: EventData, device: torch.device) -> tuple[dict[str, list[Block]], dict[str, Any]]:
    """Blocks of every stage in turn with the training's own steps, and what the network is."""
    classifier = make_classifier(cfg).to(device)
    model, representation = classifier.model, classifier.representation
    loader = data.train_dataloader()
    steps = min(cfg.block_batches, len(loader))
    batches = [batch.to(device) for batch in islice(loader, steps)]
    ready = [(representation(batch), batch.class_index) for batch in batches]
    epochs = math.ceil((cfg.blocks + 1) / (len(loader) // steps)) + 1  # the last is not reached, so none is validated
    settings = {"max_epochs": epochs, "check_val_every_n_epoch": epochs, "limit_train_batches": 1.0}
    turns = Rounds(device, repeats=cfg.blocks, steps=steps)
    with scratch_trainer(cfg, turns, progress=False, accumulate_grad_batches=1, **settings) as trainer:
        precision = trainer.precision_plugin.forward_context
        turns.stages = {
            "loader": Loading(loader, steps=steps),
            "representation": Representing(representation, batches),
            "plain": PlainLoop(classifier, ready, optimizer=instantiate(cfg.optimizer), precision=precision),
            "inference": Inference(representation, model, batches, precision=precision),
        }
        trainer.fit(classifier, datamodule=data)
    cost = network_cost(model.to(device), ready[0][0])  # the Trainer leaves the network on the CPU
    cost["device_seconds"] = busy_seconds(turns, device) / steps if device.type == "cuda" else None
    return turns.blocks, cost


def busy_seconds(turns: Rounds, device: torch.device) -> float:
    """How long a GPU computes what is in a block of training steps."""
    clock = Clock(device)
    return device_seconds(lambda: [turns.stages[name](clock) for name in ("representation", "plain")])


def network_cost(model: nn.Module, tensors: Any) -> dict[str, Any]:
    """Parameters, and floating-point operations of an event."""
    forward, both = flops(lambda: model(tensors))
    return {
        "parameters": num_parameters(model),
        "inference_flops": forward / tensors.num_events,
        "training_flops": both / tensors.num_events,
    }


@contextmanager
def scratch_trainer(
    cfg: DictConfig, callback: Callback, *, progress: bool = True, **settings: Any
) -> Iterator[lightning.Trainer]:
    """The Trainer of a run with a last callback and some other settings; its directory is removed in the end."""
    with TemporaryDirectory() as scratch:
        changed = OmegaConf.create(OmegaConf.to_container(cfg))
        assert isinstance(changed, DictConfig)
        changed.merge_with(
            {"run_dir": scratch, "trainer": {"max_steps": -1, "enable_progress_bar": progress, **settings}}
        )
        if not progress:
            changed.callbacks.pop("progress", None)
        with RunStatus(Path(scratch), explain_failure) as status:
            trainer = make_trainer(RunDirectory(Path(scratch), changed), status, Resources())
            trainer.callbacks.append(callback)  # type: ignore[attr-defined]
            yield trainer


def show(folder: Path) -> None:
    """Print the tables and write the page: of this benchmark, or of a comparison's jobs so far."""
    console = Console()
    jobs = read_benchmarks([folder])
    console.print(stage_table(jobs[0]))
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        folder = folder.parent
        jobs = read_benchmarks(sorted(path.parent for path in folder.glob(f"*/{JOB}")))
        console.print(comparison_table(jobs))
    console.print(f"page: {write_benchmarks(folder, jobs)}", soft_wrap=True)
