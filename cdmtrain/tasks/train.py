"""cdmtrain task=train: train, evaluate the best epoch, leave a run directory with its page."""

import json
import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cdmtrain.atomic import write_json
from cdmtrain.callbacks.checkpoint import RunCheckpoint
from cdmtrain.callbacks.metrics_csv import MetricsCsv
from cdmtrain.callbacks.predictions import Predictions
from cdmtrain.callbacks.progress import EpochProgress
from cdmtrain.callbacks.resources import Resources, peak_memory_bytes
from cdmtrain.classifier import Classifier
from cdmtrain.data.datamodule import EventData
from cdmtrain.errors import InputError
from cdmtrain.launch.provenance import Provenance
from cdmtrain.launch.run_directory import RunDirectory, is_first_process, opened
from cdmtrain.launch.sentences import explain_job
from cdmtrain.launch.show import show_config
from cdmtrain.launch.status import RunStatus, StatusCallback, is_finished
from cdmtrain.report.page import write_report
from cdmtrain.report.terminal import results_table
from cdmtrain.run import load_weights, make_classifier, read_checkpoint

log = logging.getLogger(__name__)

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def train(cfg: DictConfig) -> float:
    """Run one training from its configuration to its page; returns the validation cross entropy of the best epoch."""
    with opened(cfg) as run:
        results = finished_results(run)
        if results is None:
            with RunStatus(run.path / "status.json", explain) as status, interruptible(run):
                results = trained_results(run, status, show=cfg.print_config)
        if is_first_process():
            show_results(run, results)
    return float(results["val_cross_entropy"])


def trained_results(run: RunDirectory, status: RunStatus, *, show: bool) -> dict[str, Any]:
    """Train (or go on training), evaluate the best epoch, write results.json and predictions.h5."""
    record = Provenance(run.path / "provenance.json")
    if show and run.cfg.print_config and is_first_process():
        show_config(run.cfg, record.choices)
    quiet()
    if run.cfg.seed < 0:
        raise InputError(f"seed={run.cfg.seed}: a whole number from 0 on is expected")
    lightning.seed_everything(run.cfg.seed, workers=True, verbose=False)
    resources = Resources()
    trainer = make_trainer(run, status, resources)  # first: a device that is not there is known before any work
    classifier = make_classifier(run.cfg)
    data: EventData = instantiate(run.cfg.data)
    data.prepare_data()
    data.setup()
    record.used(data.describe(), trainer.strategy.root_device)
    if run.last_checkpoint is not None:
        read_checkpoint(run.last_checkpoint)  # answers in a sentence what Lightning would answer in a traceback
    trainer.fit(classifier, datamodule=data, ckpt_path=run.last_checkpoint, weights_only=True)
    results = evaluate(classifier, data, run) | {
        "parameters": sum(parameter.numel() for parameter in classifier.model.parameters()),
        "events_per_second": resources.events_per_second,
        "train_seconds": resources.seconds,
        "peak_memory_bytes": peak_memory_bytes(trainer.strategy.root_device),
        "epochs": trainer.current_epoch,
        "best_epoch": checkpoint_callback(trainer).best_epoch,
    }
    if trainer.is_global_zero:
        write_json(run.path / "results.json", numbers(results))
    return numbers(results)


@contextmanager
def interruptible(run: RunDirectory) -> Iterator[None]:
    """Ctrl-C and SIGTERM, which Lightning turns into an exit, end in the words to go on with the run."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        Console().print(f"interrupted; to go on: cdmtrain run={run.path}", soft_wrap=True)
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


def make_trainer(run: RunDirectory, status: RunStatus, resources: Resources) -> lightning.Trainer:
    """The Trainer of the configuration, with what every run directory needs."""
    check_trainer(run.cfg)
    own = [resources, StatusCallback(status, monitor=run.cfg.callbacks.checkpoint.monitor)]
    loggers: list[Logger] = [MetricsCsv(run.path / "metrics.csv"), *instantiate(run.cfg.logger).values()]
    callbacks = [*instantiate(run.cfg.callbacks).values(), *own]
    trainer: lightning.Trainer = instantiate(
        run.cfg.trainer, callbacks=callbacks, logger=loggers, **trainer_options(run)
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
    if HydraConfig.get().mode == RunMode.MULTIRUN and (trainer.devices not in (1, "auto") or trainer.num_nodes != 1):
        raise InputError("a sweep trains each run on one device: set trainer.devices=1, or start the runs one by one")


def evaluate(classifier: Classifier, data: EventData, run: RunDirectory) -> dict[str, Any]:
    """Test figures of the best epoch, the validation figures beside them with the prefix val_."""
    load_weights(classifier, run.best_checkpoint)
    callbacks = [EpochProgress(), Predictions(run.path / "predictions.h5")]
    trainer = instantiate(run.cfg.trainer, callbacks=callbacks, logger=False, **trainer_options(run))
    trainer.validate(classifier, datamodule=data, verbose=False)
    trainer.test(classifier, datamodule=data, verbose=False)
    val = {f"val_{name}": value for name, value in classifier.results["val"].items()}
    return classifier.results["test"] | val


def finished_results(run: RunDirectory) -> dict[str, Any] | None:
    """The results of a run that has ended already; None where there is something left to do."""
    path = run.path / "results.json"
    if not (path.exists() and is_finished(run.path / "status.json")):
        return None
    log.info("%s is finished; nothing is left to train", run.path)
    return json.loads(path.read_text())


def trainer_options(run: RunDirectory) -> dict[str, Any]:
    return {"default_root_dir": run.path, "enable_model_summary": False, "num_sanity_val_steps": 0}


def show_results(run: RunDirectory, results: dict[str, Any]) -> None:
    """Write the page, show the figures and say where the page is."""
    page = write_report(run.path)
    console = Console()
    console.print(results_table(results))
    console.print(f"page: {page}", soft_wrap=True)


def checkpoint_callback(trainer: lightning.Trainer) -> RunCheckpoint:
    return next(callback for callback in trainer.callbacks if isinstance(callback, RunCheckpoint))  # type: ignore[attr-defined]


def numbers(results: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: a figure that does not exist is null."""
    return {
        name: numbers(value) if isinstance(value, dict) else None if value != value else value
        for name, value in results.items()
    }


def explain(error: BaseException) -> str:
    return explain_job(error) or f"{type(error).__name__}: {error}"


def quiet() -> None:
    """Keep Lightning's advertisements off the screen; its warnings of what the user can change stay."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="The number of training batches")
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # time for nothing
