"""Fit a run, make a Trainer: what the tasks that train have in common."""

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from cdmtrain.atomic import write_json
from cdmtrain.callbacks.checkpoint import RunCheckpoint
from cdmtrain.callbacks.loggers import closed_afterwards, log_run
from cdmtrain.callbacks.metrics_csv import MetricsCsv
from cdmtrain.callbacks.resources import Resources, peak_memory_bytes
from cdmtrain.callbacks.status import StatusCallback
from cdmtrain.classifier import Classifier
from cdmtrain.config.build import build, build_each, recorded
from cdmtrain.config.explain import explain_failure
from cdmtrain.config.own_code import own_parts, remember
from cdmtrain.config.show import show_settings
from cdmtrain.config.unused import check_used
from cdmtrain.data.event_data import EventData
from cdmtrain.devices.accelerator import accelerator_name
from cdmtrain.devices.interruption import Interruption
from cdmtrain.devices.processes import Processes, several_processes
from cdmtrain.devices.trainer import check_trainer
from cdmtrain.errors import InputError, Interrupted
from cdmtrain.evaluation import evaluate_run
from cdmtrain.learner import Learner
from cdmtrain.particles import names_of
from cdmtrain.pretraining.build import make_pretraining
from cdmtrain.pretraining.evaluate import evaluate_pretraining
from cdmtrain.pretraining.pretraining import Pretraining
from cdmtrain.pretraining.probe import LabelledEvents, Probe, labelled_events
from cdmtrain.probe.trial import try_network
from cdmtrain.runs import files
from cdmtrain.runs.checkpoint import check_states, read_checkpoint, restoring
from cdmtrain.runs.directory import RunDirectory, open_run
from cdmtrain.runs.open import classes_and_pairs, load_weights, make_classifier
from cdmtrain.runs.process import is_first_process, slurm_job
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.read import is_finished, read_history, read_metrics, read_results
from cdmtrain.runs.resume import checkpoint_to_resume
from cdmtrain.runs.status import RunStatus
from cdmtrain.runs.weights import check_weights, load_first_weights, loaded_names
from cdmtrain.terminal import say

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """A finished training."""

    path: Path  # of the run directory
    results: dict[str, Any]  # of results.json
    classes: tuple[str, ...]
    page: Path | None  # None in other processes than the first, and for a run that a sweep passes over


def train_run(
    cfg: DictConfig,
    preemption: AbstractContextManager[Callback] | None,
    *callbacks: Callback,
    write_page: Callable[[Path], Path],
    model: nn.Module | None = None,
) -> TrainedRun:
    """Train the run that a configuration asks for, or continue it, evaluate its best epoch and write its page.

    Args:
        cfg: as composed.
        preemption: answers the signals of a cluster from entry to exit; None where nothing shall.
        callbacks: called beside those of the configuration.
        write_page: writes the page of a run directory and returns its path.
        model: the network, copied, in place of the one that the configuration names.
    """
    with open_run(cfg, given=() if model is None else ("model",)) as run, closed_afterwards() as loggers:
        steps, results = 0, read_results(run.path) if is_finished(run.path) else None
        classes = names_of(classes_and_pairs(run.cfg)[0])
        if results is not None:
            log.info("%s is finished; nothing is left to train", run.path)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                return TrainedRun(run.path, results, classes, None)  # the leaderboard shows what a sweep has already
        else:
            status = RunStatus(run.path, explain_failure)
            interruption = Interruption(run.path, model=model, answers_sigterm=preemption is None or not slurm_job())
            signals: AbstractContextManager[Callback] = preemption or nullcontext(Callback())
            try:
                with status, interruption, several_processes(run) as processes, signals as preempted:
                    own = (interruption, preempted, *callbacks)
                    results, steps = _fit_and_evaluate(cfg, run, status, processes, loggers, *own, model=model)
            except KeyboardInterrupt:
                if is_first_process() and not interruption.at_once:
                    say(f"page: {write_page(run.path)}")
                if interruption.at_once or interruption.by_sigterm:
                    raise
                raise Interrupted(run.path) from None
        page = write_page(run.path) if is_first_process() else None
        log_run(loggers, run.path, results, classes, steps)
        return TrainedRun(run.path, results, classes, page)


def make_trainer(
    run: RunDirectory, status: RunStatus, *more: Callback, loggers: Sequence[Logger] = ()
) -> lightning.Trainer:
    """Make the Trainer of a configuration, with the callbacks that every run directory needs and its metrics.csv.

    Raises:
        InputError: for a device that this machine lacks, or settings that Lightning would refuse late.
    """
    check_trainer(run.cfg)
    own = [*more, StatusCallback(status.record_epoch, monitor=run.cfg.callbacks.checkpoint.monitor)]
    trainer: lightning.Trainer = build(
        run.cfg,
        "trainer",
        callbacks=[*build_each(run.cfg, "callbacks"), *own],
        logger=[MetricsCsv(run.path, read_metrics(run.path)), *loggers],
        default_root_dir=run.path,
    )
    return trainer


def configure_logging() -> None:
    """Hide Lightning's hints and advertisements; warnings about what the user can change stay."""
    hints = "The usage of `scatter", "The `srun` command is available", "GPU available but not used"
    for message in (".*LeafSpec.*", "The number of training batches", "Found .* in eval mode", *hints):
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time only


def _go_on(checkpoint: Path, learner: Learner, trainer: lightning.Trainer, keeper: RunCheckpoint) -> Path | None:
    """Prepare to go on from a checkpoint; return it, or None where it is best.ckpt, which gives its weights alone."""
    content, run = read_checkpoint(checkpoint), Path(trainer.default_root_dir)
    check_states(content, trainer.callbacks, run, checkpoint)  # type: ignore[attr-defined]
    learner.loaded = loaded_names(content, checkpoint)
    if checkpoint != run / files.BEST_CHECKPOINT:
        return checkpoint
    load_weights(learner, checkpoint)
    keeper.begin_after(trainer, content["epoch"] + 1, read_history(run))
    return None


def _try(learner: Learner, cfg: DictConfig, data: EventData) -> LabelledEvents | None:
    """Try the network with a few events before it is trained; return the events that probe a pretraining, if any."""
    if isinstance(learner, Classifier):
        some = data.store.make_batch(data.parts.train[:2]).to(learner.device)
        try_network(learner, some, own_parts(), classes=len(data.classes))
        return None
    assert isinstance(learner, Pretraining)
    learner.leave_alone(data.store.make_batch(data.parts.train[:100]).to(learner.device))
    return labelled_events(cfg)


def _fit_and_evaluate(
    cfg: DictConfig,
    run: RunDirectory,
    status: RunStatus,
    processes: Processes,
    loggers: list[Logger],
    *callbacks: Callback,
    model: nn.Module | None,
) -> tuple[dict[str, Any], int]:
    """Train or continue, evaluate the best epoch, write results.json and predictions.h5.

    Returns the results and the number of steps; the loggers of the configuration are put into `loggers`.
    """
    provenance = RunProvenance(run.path, cfg, model)
    if run.cfg.print_config and is_first_process():
        show_settings(cfg.print_config, run.cfg, provenance.record.choices, provenance.record.changed or {})
    configure_logging()
    if run.cfg.seed < 0:
        raise InputError(f"seed={run.cfg.seed}: a whole number from 0 on is expected")
    check_weights(run.cfg)
    resumed_from = checkpoint_to_resume(run.path)
    lightning.seed_everything(run.cfg.seed, workers=True, verbose=False)
    resources = Resources()
    check_trainer(run.cfg)  # first, since it refuses a device that is not there
    with recorded(run.path / files.CONFIG) if cfg.get("run") else nullcontext():
        loggers += build_each(run.cfg, "logger")
        for logger in loggers:
            logger.log_hyperparams(OmegaConf.to_container(run.cfg))  # type: ignore[arg-type]
        trainer = make_trainer(run, status, resources, *callbacks, loggers=loggers)
        device = trainer.strategy.root_device
        learner = make_pretraining(run.cfg, model) if run.cfg.get("objective") else make_classifier(run.cfg, model)
        if resumed_from is None:
            check_used(run.cfg, type(learner.model))
        data: EventData = build(run.cfg, "data")
        if not isinstance(learner, Classifier):
            data.ignore_labels()
        data.reuse_stores(provenance.record.fingerprints)
        data.prepare_data()
        data.setup()
    provenance.record_data(data.describe(), accelerator_name(device))
    checkpoint = next(callback for callback in trainer.callbacks if isinstance(callback, RunCheckpoint))  # type: ignore[attr-defined]
    checkpoint.made_longer = bool(provenance.record.trained_longer)
    if resumed_from is None:
        load_first_weights(learner, run.cfg, run.path, provenance)
    else:
        resumed_from = _go_on(resumed_from, learner, trainer, checkpoint)
    if model is not None:
        if trainer.world_size > 1:
            raise InputError("a network that is given as an object trains on one device; write it in two files")
        remember("model", f"{type(model).__module__}.{type(model).__qualname__}")
    labelled = _try(learner.to(device), run.cfg, data)
    trainer.callbacks += [Probe(labelled)] if labelled else []  # type: ignore[attr-defined]
    processes.join(trainer)
    source = resumed_from or (run.path / files.CONFIG if cfg.get("run") else None)
    with restoring(source, lambda: checkpoint.has_begun):
        trainer.fit(learner, datamodule=data, ckpt_path=resumed_from, weights_only=True)
    if checkpoint.diverged:
        log.warning("%s diverged: %s is no number any more; try a smaller optimizer.lr", run.path, checkpoint.monitor)
        status.record_divergence()
    cost = {
        "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
        "events_per_second": resources.events_per_second,
        "train_seconds": resources.seconds,
        "epochs": trainer.current_epoch,
        "best_epoch": checkpoint.best_epoch,
    }
    if (best := run.path / files.BEST_CHECKPOINT).exists():  # a damaged one was set aside
        load_weights(learner, best)
    if isinstance(learner, Classifier):
        results = evaluate_run(trainer, learner, data, run.path)
    else:
        results = evaluate_pretraining(trainer, learner, data, labelled, run.path)
    results |= cost | {
        "peak_memory_bytes": peak_memory_bytes(device),
        **({"diverged": True} if checkpoint.diverged else {}),
    }
    if trainer.is_global_zero:
        write_json(run.path / files.RESULTS, results)
    return results, trainer.global_step
