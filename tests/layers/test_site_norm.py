"""Normalisation over sites is torch's batch normalisation, and survives a batch without a variance."""

import pytest
import torch
from torch import nn

from cdmtrain.layers.site_norm import SiteNorm


@pytest.mark.parametrize("num_sites", [2, 20])
@pytest.mark.parametrize("training", [True, False])
def test_it_is_batch_normalisation(training, num_sites):
    x = torch.randn(num_sites, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    mine, other = SiteNorm(3).train(training), nn.BatchNorm1d(3).train(training)
    for _ in range(2):
        found, expected = mine(x), other(x)
        torch.testing.assert_close(found, expected)
        weight = torch.linspace(-1, 1, x.numel()).view_as(x)
        torch.testing.assert_close(*(torch.autograd.grad(y, x, weight)[0] for y in (found, expected)))
    state, expected = mine.state_dict(), other.state_dict()
    assert state.pop("num_batches_tracked") == 0  # kept for old checkpoints, and not counted: it would cost a kernel
    del expected["num_batches_tracked"]
    torch.testing.assert_close(state, expected)


@pytest.mark.parametrize("num_sites", [0, 1])
def test_without_a_variance_the_running_statistics_normalise_and_stay(num_sites):
    norm = SiteNorm(3).train()
    norm(torch.randn(20, 3, generator=torch.Generator().manual_seed(1)))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.ones(num_sites, 3)
    expected = (x - before["running_mean"]) / (before["running_var"] + norm.eps).sqrt()
    torch.testing.assert_close(norm(x), expected)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
