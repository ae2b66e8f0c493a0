"""cdmtrain task=train: train, evaluate the best epoch, leave a run directory with its page."""

import logging
from typing import Any

import lightning
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cdmtrain.atomic import write_json
from cdmtrain.callbacks.checkpoint import RunCheckpoint
from cdmtrain.callbacks.metrics_csv import MetricsCsv
from cdmtrain.callbacks.resources import Resources, peak_memory_bytes, reset_peak_memory
from cdmtrain.callbacks.status import StatusCallback
from cdmtrain.cluster.preemption import Preemption
from cdmtrain.config.explain import explain
from cdmtrain.config.show import show_config
from cdmtrain.data.event_data import EventData
from cdmtrain.devices.accelerator import accelerator_name
from cdmtrain.devices.interruption import Interruption
from cdmtrain.devices.processes import Processes, several_processes
from cdmtrain.errors import InputError
from cdmtrain.report.run.page import write_report
from cdmtrain.runs import files
from cdmtrain.runs.directory import RunDirectory, open_run
from cdmtrain.runs.open import load_weights, make_classifier, read_checkpoint
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.read import is_finished, read_metrics, read_results
from cdmtrain.runs.status import RunStatus
from cdmtrain.tasks.evaluate import numbers, quiet, show_results, tested, trainer_options

log = logging.getLogger(__name__)

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def train(cfg: DictConfig, *callbacks: Callback, silent: bool = False) -> float:
    """Run one training from its configuration to its page; returns the validation cross entropy of the best epoch."""
    with open_run(cfg) as run:
        results = finished_results(run)
        if results is not None and HydraConfig.get().mode == RunMode.MULTIRUN:
            return float(results["val_cross_entropy"])  # a sweep passes over what it has: the leaderboard shows it
        if results is None:
            status, interruption = RunStatus(run.path, explain_failure), Interruption(run)
            try:
                with status, interruption, several_processes(run.path) as processes, Preemption() as preemption:
                    own = (interruption, preemption, *callbacks)
                    results = trained_results(cfg, run, status, processes, *own)
            except KeyboardInterrupt:
                if is_first_process() and not interruption.at_once:
                    Console().print(f"page: {write_report(run.path)}", soft_wrap=True)
                raise
        if is_first_process():
            page = write_report(run.path)
            if not silent:
                show_results(results, page)
    return float(results["val_cross_entropy"])


def trained_results(
    cfg: DictConfig, run: RunDirectory, status: RunStatus, processes: Processes, *callbacks: Callback
) -> dict[str, Any]:
    """Train (or go on training), evaluate the best epoch, write results.json and predictions.h5."""
    provenance = RunProvenance(run.path, cfg)
    if cfg.print_config and run.cfg.print_config and is_first_process():
        show_config(run.cfg, provenance.record.choices)
    quiet()
    if run.cfg.seed < 0:
        raise InputError(f"seed={run.cfg.seed}: a whole number from 0 on is expected")
    lightning.seed_everything(run.cfg.seed, workers=True, verbose=False)
    resources = Resources()
    # first: a device that is not there is known before any work
    trainer = make_trainer(run, status, resources, *callbacks)
    reset_peak_memory(trainer.strategy.root_device)
    classifier = make_classifier(run.cfg)
    data: EventData = instantiate(run.cfg.data)
    data.reuse_stores(provenance.record.fingerprints)
    data.prepare_data()
    data.setup()
    provenance.record_data(data.describe(), accelerator_name(trainer.strategy.root_device))
    if run.last_checkpoint is not None:
        read_checkpoint(run.last_checkpoint)  # answers in a sentence what Lightning would answer in a traceback
    processes.join(trainer)
    trainer.fit(classifier, datamodule=data, ckpt_path=run.last_checkpoint, weights_only=True)
    load_weights(classifier, run.best_checkpoint)
    results = tested(classifier, data, run.cfg, run.path) | {
        "parameters": sum(parameter.numel() for parameter in classifier.model.parameters()),
        "events_per_second": resources.events_per_second,
        "train_seconds": resources.seconds,
        "peak_memory_bytes": peak_memory_bytes(trainer.strategy.root_device),
        "epochs": trainer.current_epoch,
        "best_epoch": checkpoint_callback(trainer).best_epoch,
    }
    if trainer.is_global_zero:
        write_json(run.path / files.RESULTS, numbers(results))
    return numbers(results)


def make_trainer(run: RunDirectory, status: RunStatus, *more: Callback) -> lightning.Trainer:
    """The Trainer of the configuration, with what every run directory needs."""
    check_trainer(run.cfg)
    own = [*more, StatusCallback(status, monitor=run.cfg.callbacks.checkpoint.monitor)]
    loggers: list[Logger] = [MetricsCsv(run.path, read_metrics(run.path)), *instantiate(run.cfg.logger).values()]
    callbacks = [*instantiate(run.cfg.callbacks).values(), *own]
    trainer: lightning.Trainer = instantiate(
        run.cfg.trainer, callbacks=callbacks, logger=loggers, **trainer_options(run.path)
    )
    for logger in trainer.loggers:
        logger.log_hyperparams(OmegaConf.to_container(run.cfg))  # type: ignore[arg-type]
    return trainer


def check_trainer(cfg: DictConfig) -> None:
    """Refuse what Lightning would refuse late or in words of its own."""
    trainer = cfg.trainer
    if "checkpoint" not in cfg.callbacks:
        raise InputError(
            "callbacks has no checkpoint, and a run is tested and gone on with from its checkpoints; "
            "use callbacks=default, checkpoint or early_stopping"
        )
    if str(trainer.precision) not in PRECISIONS:
        raise InputError(f"trainer.precision={trainer.precision}: one of {', '.join(PRECISIONS)} is expected")
    if trainer.gradient_clip_val and "mixed" in str(trainer.precision) and cfg.optimizer.get("fused"):
        raise InputError(
            "trainer.gradient_clip_val with mixed precision needs an optimizer in several kernels: "
            "set optimizer.fused=false"
        )


def finished_results(run: RunDirectory) -> dict[str, Any] | None:
    """The results of a run that has ended already; None where there is something left to do."""
    results = read_results(run.path) if is_finished(run.path) else None
    if results is not None:
        log.info("%s is finished; nothing is left to train", run.path)
    return results


def checkpoint_callback(trainer: lightning.Trainer) -> RunCheckpoint:
    return next(callback for callback in trainer.callbacks if isinstance(callback, RunCheckpoint))  # type: ignore[attr-defined]


def explain_failure(error: BaseException) -> str:
    """The sentence that status.json keeps."""
    return explain(error) or f"{type(error).__name__}: {error}"
