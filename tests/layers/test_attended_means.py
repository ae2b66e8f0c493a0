"""The means that queries of an event attend to are their formula, in values and gradients."""

import numpy as np
import pytest
import torch

from cdmtrain.layers.attended_means import attended_means


@pytest.mark.parametrize(("heads", "width"), [(4, 64), (1, 5), (17, 32)])
def test_values_and_gradients_are_those_of_the_formula(heads, width):
    lengths, generator = [15, 1, 2, 200, 16], torch.Generator().manual_seed(1)
    query = torch.randn(len(lengths), heads, width, generator=generator).requires_grad_()
    x = torch.randn(sum(lengths), width, generator=generator).requires_grad_()
    found = attended_means(query, x, np.cumsum([0, *lengths]))
    expected = []
    for own, rows in zip(query.double(), x.double().split(lengths), strict=True):
        expected.append((own @ rows.t()).softmax(1) @ rows)
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=1e-5, atol=1e-5)
    direction = torch.randn(found.shape, generator=generator)
    ours, theirs = (torch.autograd.grad((y * direction).sum(), (query, x)) for y in (found, torch.stack(expected)))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=5e-5)
