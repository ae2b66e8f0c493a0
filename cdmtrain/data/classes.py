"""Which events of a data set a list of classes leaves: those of other particles are refused, dropped or only tested."""

import logging

import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.data.split import Parts
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.particles import UNKNOWN_CLASS, UNKNOWN_PDG, Classes, counts_in_words, names_of

log = logging.getLogger(__name__)

OTHERS = ("refuse", "drop", "test")  # what happens to events of other particles, see EventData


def kept_events(store: EventStore, classes: Classes, others: str) -> Int[Tensor, " kept"]:
    """Return the dataset indices of the events that are split.

    Raises:
        InputError: where there are events of other particles and they are neither dropped nor tested.
    """
    is_other = (store.class_index == UNKNOWN_CLASS) & (store.pdg != UNKNOWN_PDG)
    if others == "test" or not is_other.any():
        return torch.arange(len(store))
    words = counts_in_words(store.pdg[is_other].numpy())
    if others == "refuse":
        names = ",".join(names_of(classes))
        most = words.partition(",")[0].partition(" ")[2]
        raise InputError(
            f"{int(is_other.sum()):,} of {len(store):,} events are of other particles than {names}: {words}; leave "
            f"them out with data.others=drop, or name each class: data.particles=[{names},{most}]"
        )
    log.info("events of other particles are left out: %s", words)
    return (~is_other).nonzero().squeeze(1)


def without_others(store: EventStore, parts: Parts) -> Parts:
    """Leave out of the training and validation part what is of no class, and say what the test part has of it."""
    train, val = (part[store.class_index[part] != UNKNOWN_CLASS] for part in parts[:2])
    test = parts.test
    pdg = store.pdg[test][(store.class_index[test] == UNKNOWN_CLASS) & (store.pdg[test] != UNKNOWN_PDG)]
    if len(pdg):
        log.info(
            "events of other particles are predicted and left out of the metrics: %s", counts_in_words(pdg.numpy())
        )
    return parts._replace(train=train, val=val)


def absent_classes(class_index: Int[Tensor, " chosen"], classes: Classes) -> list[str]:
    """Return the names of the classes that do not occur."""
    return [name for index, name in enumerate(names_of(classes)) if not (class_index == index).any()]


def check_not_empty(name: str, part: Int[Tensor, " chosen"], store: EventStore) -> None:
    """Refuse a part of the data that has no event."""
    if len(part) == 0:
        raise InputError(
            f"the {name} part of {len(store)} events is empty; widen data.split.{name} or give more events"
        )


def check_labelled(name: str, part: Int[Tensor, " chosen"], store: EventStore) -> None:
    """Refuse a part of the data that has no event of a class, or one of which nothing is known.

    Raises:
        InputError: that says what is missing.
    """
    if (store.pdg[part] == UNKNOWN_PDG).any():
        raise InputError(
            f"the {name} part has events without 'pdg'; a classifier is trained and tested on labelled ones"
        )
    if (store.class_index[part] == UNKNOWN_CLASS).all():
        words = counts_in_words(store.pdg[part].numpy())
        raise InputError(f"the {name} part has no event of a class of this network, only {words}; use task=predict")
