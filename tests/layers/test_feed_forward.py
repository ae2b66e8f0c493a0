"""Normalisation, MLP and residual sum are what torch's layers give."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from cdmtrain.layers import feed_forward as module
from cdmtrain.layers.feed_forward import feed_forward


@pytest.mark.parametrize("rows", [1, 8, 20])
def test_values_and_gradients_are_those_of_torch(rows):
    torch.manual_seed(1)
    norm, mlp = nn.LayerNorm(6), nn.Sequential(nn.Linear(6, 21), nn.GELU(), nn.Linear(21, 6))
    for weight in (*norm.parameters(), *mlp.parameters()):
        nn.init.normal_(weight)
    x = (3 * torch.randn(rows, 6)).requires_grad_()
    exact_norm, exact_mlp = deepcopy(norm).double(), deepcopy(mlp).double()
    found, expected = feed_forward(x, norm, mlp), x.double() + exact_mlp(exact_norm(x.double()))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    direction = torch.randn(rows, 6)
    ours = torch.autograd.grad((found * direction).sum(), (x, *norm.parameters(), *mlp.parameters()))
    exact = (x, *exact_norm.parameters(), *exact_mlp.parameters())
    theirs = torch.autograd.grad((expected * direction).sum(), exact)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-4, atol=1e-4)


def test_gelu_and_its_derivative_are_exact_to_float32():
    x = torch.linspace(-20, 20, 100_001).unsqueeze(0)
    expected = x.double().requires_grad_()
    y = nn.functional.gelu(expected)
    (slope,) = torch.autograd.grad(y.sum(), expected)
    active, gradient = torch.empty_like(x), torch.ones_like(x)
    module._pass_back(x.numpy(), active.numpy(), gradient.numpy())
    assert ((active - y).abs() <= 3e-7 * x.abs().clamp(min=1)).all()
    assert (gradient - slope).abs().max() < 1e-6


def test_a_number_that_is_none_stays_none():
    x = torch.tensor([[torch.nan, torch.inf, -1.0]])
    active = torch.empty_like(x)
    module._activate(x.numpy(), active.numpy(), torch.zeros(3).numpy())
    assert active.isnan().tolist() == [[True, False, False]]
