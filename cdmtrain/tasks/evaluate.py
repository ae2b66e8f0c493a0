"""cdmtrain task=evaluate: a run's network on its test events or on other files, with the report of a training."""

import logging
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from torch import nn

from cdmtrain.atomic import whole_directory, write_json, write_text
from cdmtrain.callbacks.predictions import PredictionsWriter
from cdmtrain.callbacks.progress import EpochProgress
from cdmtrain.classifier import Classifier
from cdmtrain.cluster.preemption import cluster_plugins
from cdmtrain.config.overrides import apply_overrides, override_keys
from cdmtrain.data.event_data import EventData
from cdmtrain.devices.accelerator import accelerator_name
from cdmtrain.errors import InputError
from cdmtrain.report.run.page import write_report
from cdmtrain.report.run.terminal import results_table
from cdmtrain.runs import files
from cdmtrain.runs.ensemble import combine_networks
from cdmtrain.runs.names import new_name
from cdmtrain.runs.open import Run, check_image_size, load_run
from cdmtrain.runs.provenance import describe_process, summary_of
from cdmtrain.runs.read import read_provenance, read_results
from cdmtrain.runs.records import Provenance

COST = ("events_per_second", "train_seconds", "peak_memory_bytes", "epochs", "best_epoch")  # of a training
EVERYTHING = {"_target_": "cdmtrain.data.split.FractionSplit", "train": [0, 0], "val": [0, 0], "test": [0, 1]}


def evaluate(cfg: DictConfig) -> None:
    """Compute the figures, write outputs/evaluate/<date>_<time>_<random> whole, show them."""
    quiet()
    runs = opened_runs(cfg)
    used = used_config(runs, cfg)
    lightning.seed_everything(used.seed, workers=True, verbose=False)
    data = open_test_data(used, runs[0])
    if "data" not in override_keys():
        check_same_events(runs, data)
    for run in runs:
        check_image_size(run, data.store.image_size)
    folder = Path("outputs/evaluate") / new_name()
    classifier = joined(runs, used, symmetries=cfg.symmetries)
    with whole_directory(folder) as temporary:
        figures = tested(classifier, data, used, temporary)
        results = numbers(figures | {"parameters": num_parameters(classifier)} | cost(runs))
        write_json(temporary / files.RESULTS, results)
        write_text(temporary / files.CONFIG, OmegaConf.to_yaml(used))
        write_json(temporary / files.PROVENANCE, provenance(cfg, runs, data, classifier.device))
        if len(runs) == 1 and (runs[0].path / files.METRICS).is_file():
            shutil.copyfile(runs[0].path / files.METRICS, temporary / files.METRICS)
        write_report(temporary)
    show_results(results, folder / files.PAGE)


def opened_runs(cfg: DictConfig) -> list[Run]:
    """The runs of run=a or run=[a,b,c]."""
    paths = [str(path) for path in cfg.run] if isinstance(cfg.run, ListConfig) else [str(cfg.run)]
    if not paths or len(set(paths)) < len(paths):
        raise InputError(f"run={cfg.run}: one run directory, or a list of different ones, is expected")
    return [load_run(path, checkpoint=str(cfg.ckpt)) for path in paths]


def used_config(runs: Sequence[Run], cfg: DictConfig, *, free: Sequence[str] = ()) -> DictConfig:
    """The (first) run's configuration with what was typed beside it, on one device; of other data every event tests."""
    own = ("ckpt", "symmetries", "simulation", *free)
    used = apply_overrides(runs[0].cfg, cfg, parts=("data", "trainer"), free=own)
    typed = override_keys()
    for key, value in (("devices", 1), ("num_nodes", 1), ("strategy", "auto")):
        if f"trainer.{key}" not in typed:
            used.trainer[key] = value
    if used.trainer.accelerator != "cpu" and not {"trainer", "trainer.accelerator"} & set(typed):
        used.trainer.accelerator = "auto"  # this machine need not have the GPU that trained
    if "data" in typed:
        for key in ("image_size", "batch_size"):
            if f"data.{key}" not in typed:
                used.data[key] = runs[0].cfg.data[key]
        if not any(key.startswith("data.split") for key in typed):
            used.data.split = EVERYTHING
    return used


def open_test_data(cfg: DictConfig, run: Run) -> EventData:
    """The test events of a configuration; the run's own events no longer need their source file."""
    data: EventData = instantiate(cfg.data)
    if {"data", "data.files", "data.dir"}.isdisjoint(override_keys()):
        data.reuse_stores(recorded_provenance(run).fingerprints)
    data.prepare_data()
    data.setup("test")
    return data


def check_same_events(runs: Sequence[Run], data: EventData) -> None:
    """Refuse test events that are not those that each of the runs was tested on."""
    found = summary_of(data.describe())
    for run in runs:
        recorded = recorded_provenance(run).data
        told = recorded.summary if recorded else found
        if told != found or run.cfg.data.split != runs[0].cfg.data.split:
            raise InputError(
                f"{run.path} was tested on {told}, parts by {run.cfg.data.split}, and finds {found}, parts by "
                f"{runs[0].cfg.data.split}; say which events to test on, as in data=hdf5 data.files=[a.h5]"
            )


def joined(runs: Sequence[Run], cfg: DictConfig, *, symmetries: bool) -> Classifier:
    """The classifier of one run as it is, or of the mean of several runs or views."""
    network = combine_networks([run.classifier for run in runs], symmetries=symmetries)
    if isinstance(network, Classifier):
        return network
    loss, optimizer = instantiate(cfg.loss), torch.optim.SGD  # never used
    return Classifier(model=network, representation=nn.Identity(), loss=loss, optimizer=optimizer)


def num_parameters(classifier: Classifier) -> int:
    return sum(parameter.numel() for parameter in classifier.model.parameters())


def cost(runs: Sequence[Run]) -> dict[str, Any]:
    """What the training of one run cost, as it says itself."""
    results = (read_results(runs[0].path) if len(runs) == 1 else None) or {}
    return {name: results.get(name) for name in COST}


def recorded_provenance(run: Run) -> Provenance:
    return read_provenance(run.path) or Provenance()


def provenance(cfg: DictConfig, runs: Sequence[Run], data: EventData, device: torch.device) -> dict[str, Any]:
    """Where the figures come from: this command, the runs and their checkpoints, the data."""
    recorded = recorded_provenance(runs[0])
    made = describe_process(cfg)
    choices = {**recorded.choices, "task": "evaluate"}
    if "data" in override_keys():
        choices["data"] = made["choices"]["data"]
    tested_runs = [{"run": str(run.path), "checkpoint": str(run.checkpoint)} for run in runs]
    return {
        **made,
        "choices": choices,
        "changed": recorded.changed,
        "tested": tested_runs,
        "accelerator": accelerator_name(device),
        "data": data.describe(),
    }


def tested(classifier: Classifier, data: EventData, cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Test figures, the validation figures beside them with the prefix val_ where there are such events.

    Writes predictions.h5 into `folder`.
    """
    callbacks = [EpochProgress(), PredictionsWriter(folder)]
    trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=False, **trainer_options(folder))
    if len(data.parts.val):
        trainer.validate(classifier, datamodule=data, verbose=False)
    trainer.test(classifier, datamodule=data, verbose=False)
    val = {f"val_{name}": value for name, value in classifier.results.get("val", {}).items()}
    return classifier.results["test"] | val


def trainer_options(folder: Path) -> dict[str, Any]:
    """What every Trainer of this program is given."""
    own = {"default_root_dir": folder, "enable_model_summary": False, "num_sanity_val_steps": 0}
    return own | {"plugins": cluster_plugins()}


def show_results(results: dict[str, Any], page: Path) -> None:
    """Show the figures and say where the page is."""
    console = Console()
    console.print(results_table(results))
    console.print(f"page: {page}", soft_wrap=True)


def numbers(results: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: a figure that does not exist is null."""
    return {
        name: numbers(value) if isinstance(value, dict) else None if value != value else value
        for name, value in results.items()
    }


def quiet() -> None:
    """Keep Lightning's advertisements off the screen; its warnings of what the user can change stay."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="The number of training batches")
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # time for nothing
