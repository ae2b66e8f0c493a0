"""Encoding in groups of similar length gives what encoding all events at once gives."""

import pytest
import torch
from torch import Tensor

from cdmtrain.batch import Sequence
from cdmtrain.layers.by_length import encode_by_length, groups_by_length

CPU = torch.device("cpu")

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


def test_one_long_event_is_no_padding_for_others():
    ordinary = [100] * 95 + [400] * 5
    for long in (5000, 36_864):
        groups = groups_by_length([*ordinary, long], 8, CPU)
        assert [index for group, _ in groups for index in range(len(ordinary) + 1)[group]] == list(range(101))
        padded = sum((group.stop - group.start) * longest for group, longest in groups)
        assert padded < 2 * (sum(ordinary) + long)


def test_ordinary_events_are_cut_into_the_number_of_groups_asked_for():
    length = sorted(torch.randint(20, 400, (100,), generator=torch.Generator().manual_seed(1)).tolist())
    assert len(groups_by_length(length, 8, CPU)) == 8
