"""Computed at lit cells alone, a convolutional network is the dense one: in double precision to 1e-12."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cdmtrain.batch import Hits
from cdmtrain.layers.activation import ACTIVATIONS
from cdmtrain.model.cnn import CNN

EXACT = {"rtol": 1e-12, "atol": 1e-12}
LECTURE = {"channels": [2, 4, 8], "kernel_size": 2, "stride": 1, "padding": 1, "pool_size": 2}


def hits_of(events: list[list[int]], size: int) -> Hits:
    """Events with these lit pixels, in this order, and energies of some MeV."""
    pixel = torch.tensor([pixel for event in events for pixel in event], dtype=torch.int64)
    return Hits(
        pixel=pixel,
        energy=(0.5 + torch.rand(len(pixel), generator=torch.Generator().manual_seed(1)).double()).requires_grad_(),
        offset=torch.tensor([0, *itertools.accumulate(map(len, events))]),
        image_size=size,
        feature=torch.empty(len(pixel), 0),
        event_feature=torch.empty(len(events), 0),
    )


def always_lit(net: CNN) -> CNN:
    """The network in double precision, as if a dense one were never faster."""
    for stage in net.stages or ():
        stage.dense_cost = 1e15
    return net.double()


def logits_and_gradients(net: CNN, hits: Hits) -> list[torch.Tensor]:
    logits = net(hits)
    direction = torch.linspace(-1, 2, logits.numel()).double().view_as(logits)
    return [logits, *torch.autograd.grad(logits, (hits.energy, *net.parameters()), direction, materialize_grads=True)]


def assert_lit_is_dense(size: int, events: list[list[int]], **setting: Any) -> None:
    torch.manual_seed(1)
    lit = always_lit(CNN(image_size=size, **setting))
    dense = CNN(image_size=size, **setting, dense=True).double()
    dense.load_state_dict(lit.state_dict())
    hits = hits_of(events, size)
    for one, other in zip(logits_and_gradients(lit, hits), logits_and_gradients(dense, hits), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def border(size: int) -> list[int]:
    return [r * size + c for r in range(size) for c in range(size) if {r, c} & {0, size - 1}]


EVENTS = {
    "no event": lambda size: [],
    "an empty event": lambda size: [[]],
    "empty events among others": lambda size: [[], [5, 6], [], [size + 3, 5], []],
    "a full event among others": lambda size: [[7], list(range(size**2)), []],
    "each pixel of the border alone": lambda size: [[pixel] for pixel in border(size)],
    "the border": lambda size: [border(size), []],
    "pixels in no order": lambda size: [[9, 3, size, 2], [2 * size + 1, 0]],
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("size", [19, 24])
def test_the_lectures_network_is_the_dense_one_on(name, size):
    assert_lit_is_dense(size, EVENTS[name](size), **LECTURE)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.integers(4, 26),
    channels=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    kernel_size=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    pool_size=st.integers(1, 4),
    pool_stride=st.none() | st.integers(1, 5),
    pooling=st.sampled_from(["max", "average"]),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    data=st.data(),
)
def test_every_setting_is_the_dense_network(size, data, **setting):
    try:
        CNN(image_size=size, **setting)
    except ValueError:
        assume(False)
    event = st.lists(st.integers(0, size**2 - 1), unique=True, max_size=12)
    assert_lit_is_dense(size, data.draw(st.lists(event, min_size=1, max_size=4)), **setting)
