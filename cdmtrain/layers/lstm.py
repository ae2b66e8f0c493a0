"""A long short-term memory on a CPU, over sequences of any lengths without padding.

The rows of step t of all sequences follow those of step t - 1, the longest sequence first: the sequences that are still
read at a step are the first rows of the step before.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cdmtrain.compiled import jit
from cdmtrain.layers.exponential import LOG2_E, ONE, ZERO, power_of_two, vectorised
from cdmtrain.layers.in_parts import in_parts
from cdmtrain.layers.row_products import add_outer_products, add_products, padded

TWO = np.float32(2)
VANISHED = np.float32(1e-30)


class Steps(NamedTuple):
    """The rows of sequences, step by step: those of step t are begin[t] to begin[t + 1]."""

    begin: Int[np.ndarray, " step_plus_1"]
    forwards: Int[Tensor, " row"]  # event * length + element: the element that is read, from the first to the last
    backwards: Int[Tensor, " row"]  # the same, from the last to the first
    mirrored: Int[Tensor, " row"]  # the row of the same element where it is read from the other end
    last: Int[Tensor, " event"]  # the row of the last step of each event


def find_steps(mask: Bool[Tensor, "event element"]) -> Steps:
    """The steps of sequences with these elements, of which the first is read even if there is none."""
    number = mask.sum(1).clamp(min=1)
    length, order = number.sort(descending=True, stable=True)
    active = (length > torch.arange(mask.shape[1]).unsqueeze(1)).sum(1)  # sequences at each step
    begin = torch.cat([active.new_zeros(1), active.cumsum(0)])
    step = torch.repeat_interleave(active)
    rank = torch.arange(len(step)) - begin[step]
    event, left = order[rank], length[rank] - 1 - step
    last = torch.empty_like(number).scatter_(0, order, begin[length - 1] + torch.arange(len(order)))
    first = event * mask.shape[1]
    return Steps(begin.numpy(), first + step, first + left, begin[left] + rank, last)


def lstm(
    x: Float[Tensor, "direction row feature"], cells: Sequence[nn.Module], steps: Steps
) -> Float[Tensor, "direction row hidden"]:
    """The outputs of networks of one layer that read the rows step by step, as PyTorch's LSTM computes them; float32.

        i, f, g, o = sigma(a_i), sigma(a_f), tanh(a_g), sigma(a_o)   with a = W x_t + b + U h_{t-1} + c
        c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)

    Each direction has a cell of its own; two threads compute one each.
    """
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weight, recurrent, bias, other = (torch.stack([getattr(cell, name) for cell in cells]) for name in names)
    weight = torch.cat([weight.transpose(1, 2), (bias + other).unsqueeze(1)], dim=1)
    with_one = functional.pad(x, (0, 1), value=1.0)
    h: Tensor = _Recurrence.apply(with_one, weight, recurrent.transpose(1, 2), steps.begin)
    return h


class _Recurrence(torch.autograd.Function):
    """All directions, each in a thread, step by step: what a step needs stays in the cache of a core."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, recurrent: Tensor, begin: np.ndarray) -> Tensor:
        rows, inputs = x.shape[:2], x.detach().contiguous().numpy()
        gates, c, h = (x.new_empty(*rows, width).numpy() for width in (weight.shape[2], *[recurrent.shape[1]] * 2))
        matrices = padded(weight), padded(recurrent)

        def read(first: int, last: int) -> None:
            for i in range(first, last):
                _read(begin, inputs[i], *(matrix[i : i + 1] for matrix in matrices), gates[i], c[i], h[i])

        in_parts(len(inputs), read)
        ctx.save_for_backward(weight, recurrent)
        ctx.arrays = inputs, gates, c, h, begin
        return torch.from_numpy(h)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        (weight, recurrent), (*arrays, begin) = ctx.saved_tensors, ctx.arrays
        matrices = padded(weight.transpose(1, 2)), padded(recurrent.transpose(1, 2))
        of_h = gradient.clone(memory_format=torch.contiguous_format)
        of_x = gradient.new_zeros(arrays[0].shape if ctx.needs_input_grad[0] else (len(gradient), 0, 0))
        results = of_h, of_x, weight.new_zeros(weight.shape), recurrent.new_zeros(recurrent.shape)
        of_rows = [result.numpy() for result in results]

        def read_back(first: int, last: int) -> None:
            for i in range(first, last):
                own = [array[i] for array in arrays], [array[i : i + 1] for array in (*matrices, *of_rows[2:])]
                _read_back(begin, *own[0], of_rows[0][i], of_rows[1][i], *own[1])

        in_parts(len(gradient), read_back)
        return of_x if ctx.needs_input_grad[0] else None, *results[2:], None


@jit
@no_type_check  # numba knows the types
def _read(begin, x, weight, recurrent, gates, c, h):
    every, cell = np.arange(begin[1]).astype(np.int32), np.zeros((begin[1], c.shape[1]), c.dtype)
    for step in range(len(begin) - 1):
        number, rows = begin[step + 1] - begin[step], slice(begin[step], begin[step + 1])
        pairs = np.array([0, number])
        gates[rows] = 0
        add_products(x[rows], weight, gates[rows], every, every, pairs)
        if step > 0:
            before = slice(begin[step - 1], begin[step - 1] + number)
            add_products(h[before], recurrent, gates[rows], every, every, pairs)
            cell = c[before]
        _step(gates[rows], cell, c[rows], h[rows])


@jit
@no_type_check
def _read_back(begin, x, gates, c, h, of_h, of_x, weight, recurrent, of_weight, of_recurrent):
    every, start = np.arange(begin[1]).astype(np.int32), np.zeros((begin[1], c.shape[1]), c.dtype)
    of_c, of_gates = np.zeros_like(start), np.empty((begin[1], gates.shape[1]), gates.dtype)
    for step in range(len(begin) - 2, -1, -1):
        number, rows = begin[step + 1] - begin[step], slice(begin[step], begin[step + 1])
        pairs, before = np.array([0, number]), slice(begin[step - 1], begin[step - 1] + number)
        _step_back(gates[rows], c[before] if step > 0 else start, c[rows], of_h[rows], of_c, of_gates)
        add_outer_products(x[rows], of_gates, of_weight, every, every, pairs)
        if len(of_x):
            add_products(of_gates, weight, of_x[rows], every, every, pairs)
        if step > 0:
            add_outer_products(h[before], of_gates, of_recurrent, every, every, pairs)
            add_products(of_gates, recurrent, of_h[before], every, every, pairs)


@vectorised
@no_type_check
def _step(gates, before, c, h):
    """Replace what enters the gates by what they give."""
    width = c.shape[1]
    for row in range(len(c)):
        enters, forgets, offers, leaves = _four(gates[row], width)
        old, new, out = before[row], c[row], h[row]
        for k in range(width):
            i, f, g, o = _sigma(enters[k]), _sigma(forgets[k]), _tanh(offers[k]), _sigma(leaves[k])
            new[k] = f * old[k] + i * g
            out[k] = o * _tanh(new[k])
            enters[k], forgets[k], offers[k], leaves[k] = i, f, g, o


@vectorised
@no_type_check
def _step_back(gates, before, c, of_h, of_c, of_gates):
    """The gradients of what enters the gates, and of the cells before in place of those of the cells after.

    What has faded to less than VANISHED is set to 0: a processor takes a hundred times as long for such numbers.
    """
    width = c.shape[1]
    for row in range(len(c)):
        enters, forgets, offers, leaves = _four(gates[row], width)
        of_i, of_f, of_g, of_o = _four(of_gates[row], width)
        old, new, of_out, of_cell = before[row], c[row], of_h[row], of_c[row]
        for k in range(width):
            i, f, g, o, squashed = enters[k], forgets[k], offers[k], leaves[k], _tanh(new[k])
            out = ZERO if abs(of_out[k]) < VANISHED else of_out[k]
            of_new = of_cell[k] + out * o * (ONE - squashed * squashed)
            of_new = ZERO if abs(of_new) < VANISHED else of_new
            of_i[k] = of_new * g * i * (ONE - i)
            of_f[k] = of_new * old[k] * f * (ONE - f)
            of_g[k] = of_new * i * (ONE - g * g)
            of_o[k] = out * squashed * o * (ONE - o)
            of_cell[k] = of_new * f


@jit
@no_type_check
def _four(row, width):
    return row[:width], row[width : 2 * width], row[2 * width : 3 * width], row[3 * width :]


@vectorised
@no_type_check
def _sigma(x):
    power = power_of_two(-LOG2_E * abs(x))
    return (power if x < ZERO else ONE) / (ONE + power)


@vectorised
@no_type_check
def _tanh(x):
    return TWO * _sigma(TWO * x) - ONE
