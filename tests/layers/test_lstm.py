"""The LSTM without padding is PyTorch's, in outputs and gradients, for sequences of any lengths."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cdmtrain.layers import lstm as lstm_module
from cdmtrain.layers.lstm import find_steps, lstm

LENGTHS = [[3], [0, 1], [5, 0, 7, 7, 1, 2], list(range(20))]


def drawn(lengths: list[int], features: int = 3) -> tuple[Tensor, Tensor]:
    """Elements (event, element, feature), of which so many of each event are none of its padding."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    x = torch.randn(*mask.shape, features, generator=torch.Generator().manual_seed(1)) * mask.unsqueeze(2)
    return x.requires_grad_(), mask


def cells(directions: int, features: int = 3, hidden: int = 5) -> list[nn.LSTM]:
    torch.manual_seed(2)
    return [nn.LSTM(features, hidden, batch_first=True) for _ in range(directions)]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_every_element_is_read_from_both_ends(lengths):
    _, mask = drawn(lengths)
    steps = find_steps(mask)
    read = [(event, element) for event, length in enumerate(lengths) for element in range(max(length, 1))]
    for place in (steps.forwards, steps.backwards):
        assert sorted(divmod(number, mask.shape[1]) for number in place.tolist()) == read
    assert torch.equal(steps.forwards[steps.mirrored], steps.backwards)
    of_step = np.repeat(np.arange(len(steps.begin) - 1), np.diff(steps.begin))
    assert (steps.forwards.numpy() % mask.shape[1] == of_step).all()
    last = [(event, max(length, 1) - 1) for event, length in enumerate(lengths)]
    assert [divmod(number, mask.shape[1]) for number in steps.forwards[steps.last].tolist()] == last


@pytest.mark.parametrize("hidden", [5, 64])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_outputs_and_gradients_are_those_of_pytorch(lengths, hidden):
    x, mask = drawn(lengths)
    steps, both = find_steps(mask), cells(2, hidden=hidden)
    places = steps.forwards, steps.backwards
    found = lstm(torch.stack([x.flatten(0, 1)[place] for place in places]), both, steps)
    direction = torch.randn_like(found)
    expected = []
    for number, cell in enumerate(both):
        for event, length in enumerate(lengths):
            elements = x[event : event + 1, : max(length, 1)]
            y = cell(elements.flip(1) if number else elements)[0]
            rows = steps.forwards // mask.shape[1] == event
            torch.testing.assert_close(found[number, rows], y[0])
            expected.append((y[0] * direction[number, rows]).sum())
    leaves = [x, *(weight for cell in both for weight in cell.parameters())]
    ours, theirs = (torch.autograd.grad(total, leaves) for total in ((found * direction).sum(), sum(expected)))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_two_threads_compute_what_one_does():
    x, mask = drawn(LENGTHS[2])
    steps, both = find_steps(mask), cells(2)
    rows, found, threads = torch.stack([x.flatten(0, 1)[steps.forwards]] * 2), [], torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            h = lstm(rows, both, steps)
            found.append((h, *torch.autograd.grad(h.square().sum(), both[1].parameters())))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_number_that_is_none_stays_none():
    x, mask = drawn([4, 4])
    steps = find_steps(mask)
    with torch.no_grad():
        x[0, 2] = torch.nan
    h = lstm(x.flatten(0, 1)[steps.forwards].unsqueeze(0), cells(1), steps)[0]
    broken = steps.forwards // 4 == 0
    assert h[broken & (steps.forwards % 4 >= 2)].isnan().all()
    assert not h[~broken].isnan().any()


def test_gradients_that_fade_become_zero_and_no_subnormal_number():
    x = torch.zeros(1, 2000, 3, requires_grad=True)
    steps = find_steps(torch.ones(1, 2000, dtype=torch.bool))
    h = lstm(x[:, steps.forwards[:2000]], cells(1), steps)
    (gradient,) = torch.autograd.grad(h[0, -1].sum(), x)
    assert (gradient[0, -1] != 0).all()
    assert (gradient[0, 0] == 0).all()
    assert not ((gradient != 0) & (gradient.abs() < torch.finfo(torch.float32).tiny)).any()


@pytest.mark.parametrize("name", ["sigma", "tanh"])
def test_its_functions_are_exact_to_float32(name):
    x = np.linspace(-100, 100, 200_001, dtype=np.float32)
    exact = {"sigma": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh}[name](x.astype(np.float64))
    one = getattr(lstm_module, f"_{name}")
    assert np.abs(np.array([one(value) for value in x]) - exact).max() < 2e-7
    assert [float(one(np.float32(z))) for z in (-np.inf, np.inf)] == pytest.approx([0 if name == "sigma" else -1, 1])
