"""Sparse convolutions are dense ones read at lit pixels, gradients included, in memory linear in hits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Hits
from cdmtrain.model.sparse_resnet import (
    Sites,
    SparseConvolution,
    SparseResNet,
    coarser,
    event_features,
    hit_features,
    neighbours,
    sites_of,
    sparse_convolution,
)

CHANNELS = 3
SIZES = [1, 2, 7, 12]


def hits_of(lit: Tensor) -> Hits:
    """Return the hits of images whose lit pixels (B, S, S) are given, with energies that differ."""
    event, pixel = lit.flatten(1).nonzero(as_tuple=True)
    energy = 0.1 + torch.rand(len(pixel), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    offset = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(event, minlength=len(lit)).cumsum(0)])
    return Hits(pixel=pixel, energy=energy, offset=offset, image_size=lit.shape[1])


def lit_pixels(num_events: int, size: int, *, fraction: float = 0.3, seed: int = 1) -> Tensor:
    """Return (B, S, S): some pixels of each image, none of event 1, all of event 2."""
    lit = torch.rand(num_events, size, size, generator=torch.Generator().manual_seed(seed)) < fraction
    lit[1:2], lit[2:3] = False, True
    return lit


def dense(x: Tensor, lit: Tensor) -> Tensor:
    """Return (B, C, S, S) with x (N, C) at the lit pixels and zeros elsewhere."""
    image = x.new_zeros(*lit.shape, x.shape[1])
    return image.index_put(lit.nonzero(as_tuple=True), x).movedim(3, 1)


def at(lit: Tensor, image: Tensor) -> Tensor:
    """Return (N, C): an image (B, C, S, S) read at the lit pixels."""
    return image.movedim(1, 3)[lit]


def dense_kernel(weight: Tensor) -> Tensor:
    """Return a sparse convolution's weight (K, inputs, outputs) as conv2d's (outputs, inputs, rows, columns)."""
    side = int(len(weight) ** 0.5)
    return weight.permute(2, 1, 0).unflatten(2, (side, side))


def inputs(num_sites: int, elements: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    x = torch.randn(num_sites, CHANNELS, dtype=torch.float64, requires_grad=True)
    return x, torch.randn(elements, CHANNELS, CHANNELS + 1, dtype=torch.float64, requires_grad=True)


def assert_same_with_gradients(sparse: Tensor, reference: Tensor, *leaves: Tensor) -> None:
    torch.testing.assert_close(sparse, reference)
    direction = torch.randn_like(reference)
    ours = torch.autograd.grad(sparse, leaves, direction)
    theirs = torch.autograd.grad(reference, leaves, direction)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("size", SIZES)
def test_submanifold_convolution_is_the_dense_one_at_lit_pixels(size):
    lit = lit_pixels(4, size)
    sites, _ = sites_of(hits_of(lit))
    x, weight = inputs(int(lit.sum()), 9)
    reference = at(lit, functional.conv2d(dense(x, lit), dense_kernel(weight), padding=1))
    assert_same_with_gradients(sparse_convolution(x, weight, neighbours(sites)), reference, x, weight)


@pytest.mark.parametrize("size", SIZES)
def test_down_sampling_is_the_dense_convolution_of_stride_two_where_any_pixel_was_lit(size):
    lit = lit_pixels(4, size)
    sites, _ = sites_of(hits_of(lit))
    coarse, pairs = coarser(sites)
    x, weight = inputs(int(lit.sum()), 4)
    odd = size % 2
    padded = functional.pad(dense(x, lit), (0, odd, 0, odd))
    lit_coarse = functional.max_pool2d(functional.pad(lit.double(), (0, odd, 0, odd)), 2) > 0
    assert coarse == Sites(coarse.key, (size + 1) // 2)
    assert torch.equal(torch.stack([coarse.row, coarse.column], 1), lit_coarse.nonzero()[:, 1:])
    assert torch.equal(coarse.num_in(4), lit_coarse.flatten(1).sum(1))
    reference = at(lit_coarse, functional.conv2d(padded, dense_kernel(weight), stride=2))
    assert_same_with_gradients(sparse_convolution(x, weight, pairs), reference, x, weight)


@pytest.mark.parametrize("backwards", [False, True])
def test_event_features_are_those_computed_event_by_event(backwards):
    hits = hits_of(lit_pixels(6, 12, fraction=0.1))
    if backwards:  # hits of an event in descending order
        hits = replace(hits, pixel=143 - hits.pixel)
    for event, features in enumerate(event_features(hits).expm1().numpy()):
        one = slice(*hits.offset[event : event + 2].tolist())
        pixel, energy = hits.pixel[one].numpy(), hits.energy[one].numpy()
        if event == 1:  # without a hit
            np.testing.assert_allclose(features, [0] * 8 + [11] * 4, atol=1e-9)
            continue
        row, column = pixel // 12, pixel % 12
        spreads = [
            np.sqrt(np.linalg.eigvalsh(np.cov(row, column, bias=True, aweights=weight))[::-1].clip(min=0))
            for weight in (energy, np.ones_like(energy))
        ]
        gaps = [(place.min(), 11 - place.max()) for place in (row, column)]
        sums = [len(pixel), energy.sum(), (energy**2).sum(), energy.max()]
        expected = np.concatenate([sums, *spreads, [min(gap) for gap in gaps], [max(gap) for gap in gaps]])
        np.testing.assert_allclose(features, expected, atol=1e-6)


def tiny(image_size: int = 12, **settings: object) -> SparseResNet:
    torch.manual_seed(1)
    net = SparseResNet(image_size=image_size, channels=[4, 6, 8], blocks=[1, 2, 1], dropout=0.0, **settings)
    return net.double()


def dense_network(net: SparseResNet, hits: Hits, lit: Tensor) -> Tensor:
    """Return the logits of the same weights by dense convolutions on images masked after every layer."""

    num_hits = hits.offset.diff()

    def layer(part: SparseConvolution, image: Tensor, lit: Tensor, **how: int) -> Tensor:
        return dense(part.norm(at(lit, functional.conv2d(image, dense_kernel(part.weight), **how))), lit)

    event = event_features(hits)
    features = torch.cat([hit_features(hits), event.repeat_interleave(num_hits, 0)], 1)
    x = layer(net.stem, dense(features, lit), lit, padding=1).relu()
    pooled = []
    for number, stage in enumerate(net.stages):
        if number > 0:
            lit = functional.max_pool2d(lit.double(), 2) > 0
            x = layer(net.downs[number - 1], x, lit, stride=2).relu()
        for block in stage:
            inner = layer(block.first, x, lit, padding=1).relu()
            x = (x + layer(block.second, inner, lit, padding=1)).relu()
        pooled += [x.sum((2, 3)) / lit.flatten(1).sum(1, keepdim=True).clamp(min=1), x.amax((2, 3))]
    return net.head(torch.cat([*pooled, event], 1))


@pytest.mark.parametrize("training", [True, False])
def test_network_is_the_dense_one_masked_to_lit_pixels(training):
    lit = lit_pixels(5, 12)
    hits, net, other = hits_of(lit), tiny().train(training), tiny().train(training)
    assert_same_with_gradients_of(net, other, net(hits), dense_network(other, hits, lit))


def assert_same_with_gradients_of(net: SparseResNet, other: SparseResNet, mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs)
    direction = torch.randn_like(mine)
    mine.backward(direction)
    theirs.backward(direction)
    for name, weight in net.named_parameters():
        torch.testing.assert_close(weight.grad, other.get_parameter(name).grad)


def test_logits_do_not_depend_on_the_order_of_hits_or_events():
    hits, net = hits_of(lit_pixels(6, 12)), tiny().eval()
    events = [slice(*hits.offset[k : k + 2].tolist()) for k in range(6)]
    shuffled = torch.cat([torch.randperm(part.stop - part.start) + part.start for part in events])
    torch.testing.assert_close(net(replace(hits, pixel=hits.pixel[shuffled], energy=hits.energy[shuffled])), net(hits))
    backwards = torch.cat([torch.arange(part.start, part.stop) for part in reversed(events)])
    offset = torch.cat([hits.offset[:1], hits.offset.diff().flip(0).cumsum(0)])
    turned = Hits(pixel=hits.pixel[backwards], energy=hits.energy[backwards], offset=offset, image_size=12)
    torch.testing.assert_close(net(turned).flip(0), net(hits))


@pytest.mark.parametrize("num_hits", [0, 1])
def test_a_batch_without_variance_leaves_the_running_figures(num_hits):
    lit = torch.zeros(2, 12, 12, dtype=torch.bool)
    lit[1, 5, 7] = num_hits > 0
    net = tiny().train()
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(hits_of(lit)).sum().backward()
    of_sites = {name: value for name, value in net.named_buffers() if not name.startswith("head")}
    assert all(torch.equal(value, before[name]) for name, value in of_sites.items())
    assert all(weight.grad.isfinite().all() for weight in net.parameters())
    features = torch.cat([torch.zeros(2 * sum([4, 6, 8])).double(), event_features(hits_of(lit))[0]])
    torch.testing.assert_close(net.eval()(hits_of(lit))[0], net.head(features.unsqueeze(0))[0])  # event 0 is empty


def test_bfloat16_pools_thousands_of_sites_as_float32_does():
    net, hits = tiny().eval().float(), hits_of(torch.ones(1, 64, 64, dtype=torch.bool))
    hits = replace(hits, energy=hits.energy.float())
    pooled = []
    net.head.register_forward_pre_hook(lambda _, arguments: pooled.append(arguments[0].float()))
    net(hits)
    with torch.autocast("cpu", torch.bfloat16):
        net(hits)
    exact, rough = pooled
    torch.testing.assert_close(rough, exact, rtol=0.03, atol=0.01)  # 8 bits, a few roundings


def test_a_single_event_leaves_the_running_figures_of_events():
    net = tiny().train()
    before = {name: value.clone() for name, value in net.head.named_buffers()}
    net(hits_of(lit_pixels(1, 12))).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in net.head.named_buffers())
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


def test_a_convolution_keeps_its_arguments_alone_for_the_backward_pass():
    lit = lit_pixels(4, 12)
    x, weight = inputs(int(lit.sum()), 9)
    pairs = neighbours(sites_of(hits_of(lit))[0])
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        sparse_convolution(x, weight, pairs)
    assert sum(tensor.numel() for tensor in kept) == x.numel() + weight.numel()


def test_pairs_of_a_track_are_a_third_of_those_of_a_full_image():
    track = torch.eye(12, dtype=torch.bool).unsqueeze(0)
    assert neighbours(sites_of(hits_of(track))[0]).counts == [11, 0, 0, 0, 12, 0, 0, 0, 11]
    full = torch.ones(1, 12, 12, dtype=torch.bool)
    assert sum(neighbours(sites_of(hits_of(full))[0]).counts) == (3 * 12 - 2) ** 2


def test_stages_beyond_one_pixel_are_refused():
    assert tiny(image_size=3)(hits_of(lit_pixels(3, 3))).shape == (3, 4)
    with pytest.raises(ValueError, match="3 stages halve a 2 x 2 image beyond one pixel"):
        tiny(image_size=2)


@pytest.mark.parametrize(("channels", "blocks"), [([4], [1, 1]), ([], []), ([4, 0], [1, 1])])
def test_stages_without_channels_or_blocks_are_refused(channels, blocks):
    with pytest.raises(ValueError, match="one number of at least 1 for every stage"):
        SparseResNet(image_size=12, channels=channels, blocks=blocks, dropout=0.0)
