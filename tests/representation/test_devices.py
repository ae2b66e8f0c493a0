"""Batches move between devices as a whole; torch's meta device stands in for any other."""

from dataclasses import fields

import pytest
import torch

from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.representation.sequence import SequenceRepresentation

MAKERS = {
    "event batch": lambda batch: batch,
    "image": ImageRepresentation(),
    "graph": GraphRepresentation(threshold_mev=0.1),
    "sequence": SequenceRepresentation(),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_tensor_moves_and_every_number_stays(make_batch, make):
    here = make(make_batch(3))
    there = here.to("meta")
    assert type(there) is type(here)
    for field in fields(here):
        before, after = getattr(here, field.name), getattr(there, field.name)
        if isinstance(before, torch.Tensor):
            assert before.device.type == "cpu"
            assert after.device.type == "meta"
            assert (after.shape, after.dtype) == (before.shape, before.dtype)
        else:
            assert after == before


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_move_to_the_same_device_changes_nothing(make_batch, make):
    here = make(make_batch(3, empty=[1]))
    there = here.to("cpu")
    for field in fields(here):
        before, after = getattr(here, field.name), getattr(there, field.name)
        assert torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after


def test_each_hit_knows_its_event(make_batch):
    batch = make_batch(5, empty=[0, 3])
    assert batch.num_hits[[0, 3]].tolist() == [0, 0]
    assert batch.event.tolist() == [event for event, hits in enumerate(batch.num_hits.tolist()) for _ in range(hits)]
