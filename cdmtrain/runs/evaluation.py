"""What a task that uses trained runs needs: the runs that were named, their configuration and their test events."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from cdmtrain.calibration.prior import check_prior, log_weights
from cdmtrain.config.build import build
from cdmtrain.config.overrides import apply_overrides, override_keys
from cdmtrain.data.event_data import EventData
from cdmtrain.errors import InputError
from cdmtrain.particles import read_classes
from cdmtrain.runs.calibration import Calibration, find_calibration
from cdmtrain.runs.combined import combine_networks
from cdmtrain.runs.find import is_shipped, run_directory
from cdmtrain.runs.network import TrainedNetwork
from cdmtrain.runs.open import open_network
from cdmtrain.runs.provenance import summary_of
from cdmtrain.runs.read import read_provenance, read_results
from cdmtrain.runs.trust import trusted

ALL_EVENTS_TEST = {"_target_": "cdmtrain.data.split.FractionSplit", "train": [0, 0], "val": [0, 0], "test": [0, 1]}
NEW_EVENTS = {"events": 10_000, "sample_seed": 2026, "fresh": False, "uses": 1, "train_events": None}
SOURCES = ("data", "data.files", "data.dir")  # keys that name other events
log = logging.getLogger(__name__)

ONE_DEVICE = {"devices": 1, "num_nodes": 1, "strategy": "auto"}


def open_runs(cfg: DictConfig, *, device: str = "cpu") -> list[TrainedNetwork]:
    """Load the runs of `run=a` or `run=[a,b,c]` with the weights of `ckpt=`, to compute on `device`.

    The shipped network is tested on new simulated events, since nobody has those that it was trained beside.
    """
    paths = [run_directory(path) for path in (cfg.run if isinstance(cfg.run, ListConfig) else [cfg.run])]
    if not paths or len(set(paths)) < len(paths):
        raise InputError(f"run={cfg.run}: one run directory, or a list of different ones, is expected")
    trust = trusted(cfg.trust)
    runs = [open_network(path, checkpoint=str(cfg.ckpt), device=device, trust=trust) for path in paths]
    runs = [replace(run, cfg=_with_new_events(run.cfg)) if is_shipped(run.path) else run for run in runs]
    for run in runs[1:]:
        if run.particles != runs[0].particles:
            raise InputError(
                f"{run.path} tells {', '.join(run.classes)} apart, and {runs[0].path} {', '.join(runs[0].classes)}; "
                "only runs of the same classes in the same order go together"
            )
    return runs


def _with_new_events(cfg: DictConfig) -> DictConfig:
    return OmegaConf.merge(cfg, {"data": {**NEW_EVENTS, "split": ALL_EVENTS_TEST}})  # type: ignore[return-value]


def combine_runs(runs: Sequence[TrainedNetwork], cfg: DictConfig) -> tuple[nn.Module, Calibration | None]:
    """Return the network of one run or several as `symmetries=`, `calibrated=`, `prior=` ask, and its calibration."""
    calibration = find_calibration(runs, symmetries=cfg.symmetries) if cfg.calibrated else None
    weights = None
    if cfg.get("prior") is not None:
        prior = check_prior(cfg.prior, runs[0].classes)
        weights = log_weights(prior, _mix(runs[0], calibration)).tolist()
    networks = [run.classifier for run in runs]
    combined = combine_networks(networks, symmetries=cfg.symmetries, calibration=calibration, log_weights=weights)
    return combined, calibration


def _mix(run: TrainedNetwork, calibration: Calibration | None) -> Float[np.ndarray, " class"]:
    """The shares of the classes that probabilities are for: of validation events, else of equally many."""
    matrix = (read_results(run.path) or {}).get("val_confusion_matrix")
    events = calibration.events if calibration else [sum(row) for row in matrix or ()]
    if not any(events):
        log.warning("prior: %s does not say which mix it was trained on; equal numbers are assumed", run.path)
        events = [1] * len(run.classes)
    return np.array(events, float) / sum(events)


def evaluation_config(runs: Sequence[TrainedNetwork], cfg: DictConfig, *, free: Sequence[str] = ()) -> DictConfig:
    """The configuration of the first run with what was typed beside it.

    The Trainer, but for its precision, and the cache are the default ones, or those that were typed. With other data
    every event is tested, and those of other particles are predicted too. The classes are those of the run.

    Args:
        runs: the first of them gives the configuration.
        cfg: as composed from the command line.
        free: further keys that may be typed, which are the task's own.
    """
    own = ("ckpt", "symmetries", "calibrated", "simulation", "trainer", *free)
    used = apply_overrides(runs[0].cfg, cfg, parts=("data",), free=own)
    typed = override_keys()
    used.trainer = _trainer(runs[0], cfg, typed)
    used.data.cache_dir = cfg.data.cache_dir
    if "data" in typed:
        for key in ("image_size", "batch_size"):
            if f"data.{key}" not in typed:
                used.data[key] = runs[0].cfg.data[key]
        if not any(key.startswith("data.split") for key in typed):
            used.data.split = ALL_EVENTS_TEST
    if any(key in typed for key in SOURCES) and "data.others" not in typed and "others" in used.data:
        used.data.others = "test"
    if read_classes(used.data.get("particles")) != runs[0].particles:
        if "data.particles" in typed:
            raise InputError(
                f"data.particles={used.data.particles}: {runs[0].path} tells {', '.join(runs[0].classes)} apart; leave "
                "data.particles out"
            )
        OmegaConf.update(used, "data.particles", runs[0].cfg.data.get("particles"), force_add=True)
    return used


def _trainer(run: TrainedNetwork, cfg: DictConfig, typed: Sequence[str]) -> DictConfig:
    """The Trainer that was typed, on one device unless another number was, with the precision of the run."""
    trainer = cfg.trainer.copy()
    trainer.update({key: value for key, value in ONE_DEVICE.items() if f"trainer.{key}" not in typed})
    if not {"trainer", "trainer.precision"} & set(typed):
        trainer.precision = OmegaConf.select(run.cfg, "trainer.precision") or trainer.precision
    return trainer


def open_test_data(cfg: DictConfig, run: TrainedNetwork) -> EventData:
    """The test events of a configuration; the run's own events no longer need their source file."""
    data: EventData = build(cfg, "data")
    if set(SOURCES).isdisjoint(override_keys()):
        data.reuse_stores(read_provenance(run.path).fingerprints)
    try:
        data.prepare_data()
    except InputError as error:
        kept = run.cfg.data.cache_dir
        hint = "" if kept == cfg.data.cache_dir else f"; that run kept them: data.cache_dir={kept}"
        raise InputError(f"{error}{hint}") from error
    data.setup("test")
    return data


def check_same_events(runs: Sequence[TrainedNetwork], data: EventData) -> None:
    """Refuse test events that are not those that each of the runs was tested on; the shipped network saw none."""
    found = summary_of(data.describe())
    for run in (one for one in runs if not is_shipped(one.path)):
        recorded = read_provenance(run.path).data
        tested_on = recorded.summary if recorded else found
        if tested_on != found or run.cfg.data.split != runs[0].cfg.data.split:
            raise InputError(
                f"{run.path} was tested on {tested_on}, split by {run.cfg.data.split}, but here are {found}, split by "
                f"{runs[0].cfg.data.split}; say which events to test on, as in data=hdf5 data.files=[a.h5]"
            )
