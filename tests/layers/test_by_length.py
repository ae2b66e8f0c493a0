"""Encoding in groups of similar length gives what encoding all events at once gives."""

import pytest
import torch
from torch import Tensor

from cdmtrain.batch import Sequence
from cdmtrain.layers.by_length import encode_by_length

sizes = pytest.mark.parametrize(("num_events", "num_groups"), [(7, 3), (2, 4), (1, 1), (10, 1)])


def padded_sequence(num_events: int) -> Sequence:
    """Return events of 0 to 8 elements, padded to 9."""
    generator = torch.Generator().manual_seed(num_events)
    mask = torch.arange(9) < torch.randint(0, 9, (num_events, 1), generator=generator)
    feature = torch.randn(num_events, 9, 2, generator=generator, dtype=torch.float64) * mask.unsqueeze(2)
    return Sequence(feature=feature.requires_grad_(), mask=mask)


@sizes
def test_values_and_gradients_are_those_of_all_events_at_once(num_events, num_groups, assert_equal_with_gradients):
    sequence = padded_sequence(num_events)

    def encode(part: Sequence) -> Tensor:
        return (part.feature.sin() * part.mask.unsqueeze(2)).sum(1)

    found = encode_by_length(encode, sequence, num_groups=num_groups)
    assert_equal_with_gradients(found, encode(sequence), sequence.feature)


@sizes
def test_a_group_is_padded_to_its_longest_event(num_events, num_groups):
    masks = []

    def encode(part: Sequence) -> Tensor:
        masks.append(part.mask)
        return part.mask.sum(1)

    sequence = padded_sequence(num_events)
    assert torch.equal(encode_by_length(encode, sequence, num_groups=num_groups), sequence.mask.sum(1))
    assert len(masks) <= num_groups
    total = sequence.mask.shape[1]
    assert all(mask.shape[1] == min(max(int(mask.sum(1).max()), 2), total) for mask in masks)
