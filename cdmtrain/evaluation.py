"""Evaluate a classifier on the validation and test events of a run, and show what it has learned."""

from pathlib import Path
from typing import Any

import lightning

from cdmtrain.atomic import nan_to_none
from cdmtrain.callbacks.predictions import PredictionsWriter, write_columns
from cdmtrain.callbacks.progress import EpochProgress
from cdmtrain.classifier import Classifier
from cdmtrain.data.event_data import EventData
from cdmtrain.probe.contributions import contributions
from cdmtrain.probe.learned import first_of_each, look_inside
from cdmtrain.runs import files


def evaluate_run(trainer: lightning.Trainer, classifier: Classifier, data: EventData, folder: Path) -> dict[str, Any]:
    """Compute the test metrics, with those of the validation events, if there are any, under the prefix `val_`.

    Writes predictions.h5, mistakes.h5 and learned.h5 into `folder`; replaces the callbacks and loggers of a training.
    """
    trainer.callbacks = [EpochProgress(), PredictionsWriter(folder, contributions)]  # type: ignore[attr-defined]
    trainer.loggers = []
    if len(data.parts.val):
        trainer.validate(classifier, datamodule=data, verbose=False)
    trainer.test(classifier, datamodule=data, verbose=False)
    if trainer.is_global_zero:
        write_learned(folder / files.LEARNED, classifier, data)
    val = {f"val_{name}": value for name, value in classifier.results.get("val", {}).items()}
    return nan_to_none(classifier.results["test"] | val)


def write_learned(path: Path, classifier: Classifier, data: EventData) -> None:
    """Write what the network shows of itself and of the first test event of each particle, if it shows anything."""
    store, test = data.store, data.parts.test
    first = first_of_each(store.class_index[test], store.offset.diff()[test])
    batch = store.make_batch(test[first])
    classifier.eval()
    found = look_inside(classifier.representation, classifier.model, batch.to(classifier.device))
    if found:
        events = {name: getattr(batch, name) for name in ("class_index", "offset", "pixel")}
        write_columns(path, events | {"energy_mev": batch.energy} | found, image_size=batch.image_size)
