"""cdmtrain task=calibrate: make the probabilities of a run true, and its prediction sets, by its validation events."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from omegaconf import DictConfig
from torch import nn

from cdmtrain.atomic import nan_to_none
from cdmtrain.batch import EventBatch
from cdmtrain.calibration.conformal import LEVELS, in_set, least_probabilities, set_figures
from cdmtrain.calibration.likeness import Distance, Likeness, fit_likeness, references
from cdmtrain.calibration.scaling import LogProbability, Scaling, Truth, fit_scaling
from cdmtrain.data.event_data import EventData
from cdmtrain.errors import InputError
from cdmtrain.intervals import as_results
from cdmtrain.metrics import ClassificationMetrics
from cdmtrain.probe.features import embed
from cdmtrain.report.run.calibrated import calibration_words, show_calibration
from cdmtrain.report.run.correctness import reliability
from cdmtrain.report.run.page import write_report
from cdmtrain.runs.calibration import Calibration, Reliability, Tested, digests, write_calibration
from cdmtrain.runs.combined import combine_networks
from cdmtrain.runs.evaluation import check_same_events, evaluation_config, open_runs, open_test_data
from cdmtrain.runs.find import is_shipped
from cdmtrain.runs.network import TrainedNetwork
from cdmtrain.terminal import say
from cdmtrain.training import configure_logging

SETS = {"all": False, "class": True}
MOST_TRAINING_EVENTS = 4000  # that describe the training sample
FEW_EVENTS = 100  # of a class: one of them moves a level by a per cent

log = logging.getLogger(__name__)


def calibrate(cfg: DictConfig) -> None:
    """Write calibration.json beside the run, the first of several, and its page anew; show before and after."""
    configure_logging()
    if cfg.sets not in SETS:
        raise InputError(f"sets={cfg.sets}: one of {', '.join(SETS)} is expected")
    runs = open_runs(cfg)
    if is_shipped(runs[0].path):
        raise InputError("run=best comes calibrated (calibrated=true); calibrate a run of your own")
    used = evaluation_config(runs, cfg, free=("sets",))
    data = open_test_data(used, runs[0])
    check_same_events(runs, data)
    device = lightning.Fabric(accelerator=used.trainer.accelerator, devices=1).device
    network = combine_networks([run.classifier for run in runs], symmetries=cfg.symmetries).to(device)
    log_p, truth = outputs(network, data.val_dataloader(), device)
    events = np.bincount(truth, minlength=log_p.shape[1])
    warn_of_few(dict(zip(runs[0].classes, events.tolist(), strict=True)))
    scaling = fit_scaling(log_p, truth)
    probability = np.exp(scaling.apply(log_p))
    likeness, distances = describe_training(runs, data, device)
    limits = [least_probabilities(probability, truth, one / 100, per_class=SETS[cfg.sets]) for one in LEVELS]
    sets = {str(level): least for level, least in zip(LEVELS, limits, strict=True)}
    found = Calibration(
        networks=digests(runs),
        symmetries=bool(cfg.symmetries),
        classes=list(runs[0].classes),
        scale=scaling.scale.tolist(),
        bias=scaling.bias.tolist(),
        sets={level: least.tolist() for level, least in sets.items()},
        per_class=SETS[cfg.sets],
        events=events.tolist(),
        tested=tested(*outputs(network, data.test_dataloader(), device), scaling, sets, runs[0].classes),
        likeness=likeness,
        distances=distances,
    )
    write_calibration(runs[0].path, found)
    say(f"calibrated on {events.sum():,} validation events: {calibration_words(found)}")
    show_calibration(found, write_report(runs[0].path))


def describe_training(
    runs: Sequence[TrainedNetwork], data: EventData, device: torch.device
) -> tuple[list[Likeness], list[float]]:
    """Return the training sample in the features of each network, and the distances of validation events from it.

    Both are empty where a network has no features to show.
    """
    train = data.parts.train[torch.linspace(0, len(data.parts.train) - 1, MOST_TRAINING_EVENTS).long().unique()]
    truth, found, distances = data.store.class_index[train].numpy(), [], []
    try:
        for run in runs:
            found.append(fit_likeness(features(run, data, train, device), truth))
            distances.append(Distance(found[-1])(features(run, data, data.parts.val, device)))
    except InputError as error:
        log.warning("no p_value: %s", error)
        return [], []
    return found, references(np.mean(distances, axis=0))


def features(run: TrainedNetwork, data: EventData, dataset_index: torch.Tensor, device: torch.device) -> np.ndarray:
    """Return the features (event, feature) of events in double precision."""
    batches = (data.store.make_batch(some).to(device) for some in dataset_index.split(run.cfg.data.batch_size))
    return torch.cat([embed(run.representation, run.model, batch).cpu() for batch in batches]).double().numpy()


@torch.inference_mode()
def outputs(network: nn.Module, batches: Iterable[EventBatch], device: torch.device) -> tuple[LogProbability, Truth]:
    """Return log probabilities and classes of events, in double precision.

    Raises:
        InputError: where there is no event, or an output of the network is not finite.
    """
    parts = [(network(batch.to(device)).cpu(), batch.class_index.cpu()) for batch in batches]
    if not parts:
        raise InputError("there are no validation events to calibrate with; widen data.split.val")
    logits, truth = (torch.cat(part) for part in zip(*parts, strict=True))
    if not logits.isfinite().all():
        raise InputError("the network gives numbers that are not finite for some events, and cannot be calibrated")
    return logits.double().log_softmax(1).numpy(), truth.long().numpy()


def warn_of_few(events: dict[str, int]) -> None:
    """Say which classes have few validation events."""
    few = [f"{number} of {name}" for name, number in events.items() if number < FEW_EVENTS]
    if few:
        log.warning("the sample is small: of the validation events there are only %s", ", ".join(few))


def tested(
    log_p: LogProbability, truth: Truth, scaling: Scaling, sets: dict[str, np.ndarray], classes: tuple[str, ...]
) -> Tested:
    """Return the metrics of test events before and after, with the coverage and the size of their sets."""
    after = scaling.apply(log_p)
    probability, found = np.exp(after), metrics(after, truth)
    for level, least in sets.items():
        own = as_results(set_figures(in_set(probability, least), truth, classes, level))
        found["uncertainty"] |= own.pop("uncertainty")
        found |= own
    return Tested(metrics(log_p, truth), nan_to_none(found), bins(np.exp(log_p), truth), bins(probability, truth))


def metrics(log_p: LogProbability, truth: Truth) -> dict[str, Any]:
    """Return the metrics of log probabilities as in results.json."""
    computed = ClassificationMetrics()
    computed.update(torch.from_numpy(log_p), torch.from_numpy(truth))
    return nan_to_none(computed.compute())


def bins(probability: np.ndarray, truth: Truth) -> Reliability:
    """Return how often the most probable class is right, in bins of its probability."""
    mean, right, total = reliability(probability.max(1), probability.argmax(1) == truth)
    return Reliability(mean.tolist(), right.astype(int).tolist(), total.astype(int).tolist())
