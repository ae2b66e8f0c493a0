"""Attention within events of any lengths is its formula, in values and gradients, and sees one event at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cdmtrain.layers.ragged_attention import ragged_attention

LENGTHS = [15, 0, 1, 2, 200, 16, 17, 700, 8]  # of 700 keys some queries are computed at a time
SIZES = [(4, 16), (1, 64), (3, 5), (2, 24)]  # heads, and the width of each

sizes = pytest.mark.parametrize(("heads", "width"), SIZES)


def starts(lengths: list[int]) -> np.ndarray:
    return np.cumsum([0, *lengths])


def drawn(lengths: list[int], heads: int, width: int, spread: float = 1.0) -> Tensor:
    x = torch.randn(sum(lengths), 3 * heads * width, generator=torch.Generator().manual_seed(1))
    return (spread * x).requires_grad_()


def formula(x: Tensor, lengths: list[int], heads: int) -> Tensor:
    """Event by event."""
    attended = []
    for event in x.split(lengths):
        query, key, value = event.unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)
        weights = (query @ key.transpose(1, 2) / query.shape[2] ** 0.5).softmax(2)
        attended.append((weights @ value).transpose(0, 1).flatten(1))
    return torch.cat(attended)


@pytest.mark.parametrize("spread", [1.0, 5.0])  # with 5 the weights are next to 0 and 1
@sizes
def test_values_and_gradients_are_those_of_the_formula_to_float32(heads, width, spread):
    x = drawn(LENGTHS, heads, width, spread)
    results = []
    for y in (
        ragged_attention(x, starts(LENGTHS), heads),
        formula(x, LENGTHS, heads),
        formula(x.double(), LENGTHS, heads),
    ):
        direction = torch.linspace(-1, 1, y.numel()).view_as(y)
        results.append((y, *torch.autograd.grad((y * direction).sum(), x)))
    for ours, rounded, exact in zip(*results, strict=True):
        assert (ours - exact).abs().max() < 3 * (rounded - exact).abs().max()


def test_an_event_does_not_depend_on_the_others():
    x = drawn(LENGTHS, 4, 16)
    whole = ragged_attention(x, starts(LENGTHS), 4)
    (of_all,) = torch.autograd.grad(whole.square().sum(), x)
    for number, part, gradient in zip(LENGTHS, x.detach().split(LENGTHS), of_all.split(LENGTHS), strict=True):
        alone = part.clone().requires_grad_()
        y = ragged_attention(alone, starts([number]), 4)
        assert torch.equal(torch.autograd.grad(y.square().sum(), alone)[0], gradient)
    assert torch.equal(y, whole[-LENGTHS[-1] :])


def test_two_threads_compute_what_one_does():
    x, found, threads = drawn(LENGTHS, 4, 16), [], torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            y = ragged_attention(x, starts(LENGTHS), 4)
            found.append((y, *torch.autograd.grad(y.square().sum(), x)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_large_products_do_not_overflow():
    x = drawn(LENGTHS, 4, 16, spread=1e3)
    y = ragged_attention(x, starts(LENGTHS), 4)
    assert y.isfinite().all()
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


def test_a_number_that_is_none_stays_in_its_event():
    x = drawn([3, 4, 5], 2, 8).detach()
    x[4, 1] = torch.nan  # of a query
    y = ragged_attention(x, starts([3, 4, 5]), 2)
    assert y.isnan().nonzero().tolist() == [[4, column] for column in range(8)]
