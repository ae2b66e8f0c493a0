"""Sequences in groups of similar length are the same sequences, and come back into order."""

import pytest
import torch

from cdmtrain.batch import Sequence


@pytest.mark.parametrize(("num_events", "num_groups"), [(7, 3), (2, 4), (1, 1), (10, 1)])
def test_groups_by_length_hold_every_event_without_most_of_its_padding(num_events, num_groups):
    length = torch.randint(0, 9, (num_events,), generator=torch.Generator().manual_seed(num_events))
    mask = torch.arange(9) < length.unsqueeze(1)
    feature = torch.arange(num_events * 9.0).view(num_events, 9, 1) * mask.unsqueeze(2)
    groups, index = Sequence(feature=feature, mask=mask).by_length(num_groups)
    assert len(groups) <= num_groups
    assert all(group.mask.shape[1] == max(int(group.mask.sum(1).max()), 1) for group in groups)
    assert torch.equal(torch.cat([group.mask.sum(1) for group in groups])[index], length)
    assert torch.equal(torch.cat([group.feature.sum(1) for group in groups])[index], feature.sum(1))
