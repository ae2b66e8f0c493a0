"""cdmtrain task=evaluate: a run's network on its test events or on other files, with the report of a training."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from cdmtrain.atomic import nan_to_none, whole_directory, write_json, write_text
from cdmtrain.calibration.conformal import in_set, set_figures
from cdmtrain.calibration.cuts import check_cuts, cut_figures, passes
from cdmtrain.calibration.prior import check_prior
from cdmtrain.classifier import Classifier
from cdmtrain.config.build import build
from cdmtrain.config.overrides import override_keys
from cdmtrain.data.event_data import EventData
from cdmtrain.data.quantiles import difference, sampled_events
from cdmtrain.devices.accelerator import accelerator_name, check_accelerator
from cdmtrain.evaluation import evaluate_run
from cdmtrain.intervals import as_results
from cdmtrain.metrics import ClassificationMetrics
from cdmtrain.report.run.page import write_report
from cdmtrain.report.run.tables import show_results
from cdmtrain.report.run.working_points import cut_table
from cdmtrain.runs import files
from cdmtrain.runs.calibration import Calibration
from cdmtrain.runs.evaluation import check_same_events, combine_runs, evaluation_config, open_runs, open_test_data
from cdmtrain.runs.inside import read_text
from cdmtrain.runs.names import new_output_path
from cdmtrain.runs.network import TrainedNetwork, check_image_size
from cdmtrain.runs.open import classes_and_pairs
from cdmtrain.runs.predictions import read_predictions
from cdmtrain.runs.provenance import describe_process
from cdmtrain.runs.read import read_provenance, read_results
from cdmtrain.training import configure_logging

log = logging.getLogger(__name__)

COST = ("events_per_second", "train_seconds", "peak_memory_bytes", "epochs", "best_epoch")  # of a training


def evaluate(cfg: DictConfig) -> None:
    """Compute the metrics, write run_dir= or a new directory in outputs/evaluate as a whole, show them."""
    configure_logging()
    folder = new_output_path(cfg, "evaluate")
    runs = open_runs(cfg)
    used = evaluation_config(runs, cfg, free=("run_dir", "cut", "prior"))
    cuts = check_cuts(cfg.cut, runs[0].classes)
    check_accelerator(str(used.trainer.accelerator))
    lightning.seed_everything(used.seed, workers=True, verbose=False)
    data = open_test_data(used, runs[0])
    if "data" not in override_keys():
        check_same_events(runs, data)
    for run in runs:
        check_image_size(run, data.store.image_size)
    if unlike := difference(sampled_events(data.store, data.parts.test), runs[0].trained_on):
        log.warning("%s", unlike)
    network, calibration = combine_runs(runs, cfg)
    classifier = as_classifier(network, used)
    prior = None if cfg.prior is None else check_prior(cfg.prior, runs[0].classes)
    if prior is not None:
        classifier.metrics = {
            split: ClassificationMetrics(*classes_and_pairs(used), prior=prior) for split in classifier.metrics
        }
    with whole_directory(folder) as temporary:
        trainer = build(used, "trainer", callbacks=[], logger=False, default_root_dir=temporary)
        metrics = evaluate_run(trainer, classifier, data, temporary)
        parameters = sum(parameter.numel() for parameter in classifier.model.parameters())
        add_answers(metrics, temporary, runs[0].classes, cuts, calibration if prior is None else None, prior)
        if prior is not None:
            metrics["prior"] = dict(zip(runs[0].classes, prior.tolist(), strict=True))
        results = metrics | {"parameters": parameters} | cost(runs)
        write_json(temporary / files.RESULTS, results)
        write_text(temporary / files.CONFIG, OmegaConf.to_yaml(used))
        write_json(temporary / files.PROVENANCE, provenance(cfg, runs, data, trainer.strategy.root_device))
        if len(runs) == 1 and (epochs := read_text(runs[0].path, files.METRICS)) is not None:
            write_text(temporary / files.METRICS, epochs)
        write_report(temporary)
    if cuts:
        Console().print(cut_table(results).terminal())
    show_results(results, runs[0].classes, folder / files.PAGE)


def as_classifier(network: nn.Module, cfg: DictConfig) -> Classifier:
    """The classifier of one run, or one around a network that takes events and averages or calibrates."""
    if isinstance(network, Classifier):
        return network
    unused = torch.optim.SGD
    classes, pairs = classes_and_pairs(cfg)
    parts = {"model": network, "representation": nn.Identity(), "loss": build(cfg, "loss")}
    return Classifier(**parts, optimizer=unused, classes=classes, pairs=pairs)


def add_answers(
    metrics: dict[str, Any],
    folder: Path,
    classes: Sequence[str],
    cuts: Mapping[str, float],
    calibration: Calibration | None,
    prior: Float[np.ndarray, " class"] | None,
) -> None:
    """Add what cuts keep of the events in predictions.h5, and how often prediction sets hold their true class."""
    events = read_predictions(folder, len(classes))
    if events is None:
        return
    passed = passes(events.probability, cuts, classes)
    found = cut_figures(passed, events.class_index, classes, prior) if cuts else {}
    for level, least in calibration.sets.items() if calibration else ():
        found |= set_figures(in_set(events.probability, np.array(least)), events.class_index, classes, level)
    added = nan_to_none(as_results(found))
    metrics["uncertainty"] |= added.pop("uncertainty")
    metrics |= added


def cost(runs: Sequence[TrainedNetwork]) -> dict[str, Any]:
    """What the training of one run cost, by its results.json; None for each where there are several runs."""
    results = (read_results(runs[0].path) if len(runs) == 1 else None) or {}
    return {name: results.get(name) for name in COST}


def provenance(
    cfg: DictConfig, runs: Sequence[TrainedNetwork], data: EventData, device: torch.device
) -> dict[str, Any]:
    """Where the metrics come from: this command, the runs and their checkpoints, the data."""
    recorded = read_provenance(runs[0].path)
    made = describe_process(cfg)
    choices = {**recorded.choices, "task": "evaluate"}
    if "data" in override_keys():
        choices["data"] = made["choices"]["data"]
    return {
        **made,
        "choices": choices,
        "changed": recorded.changed,
        "tested": [{"run": str(run.path), "checkpoint": str(run.checkpoint)} for run in runs],
        "accelerator": accelerator_name(device),
        "data": data.describe(),
    }
