"""The network is its formula, by dense convolutions of images that are masked to the lit pixels."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Hits
from cdmtrain.model import sparse_resnet
from cdmtrain.model.sparse_resnet import SparseResNet
from cdmtrain.representation import event_features, features
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.scale import LogScale

REPRESENTATION = HitsRepresentation(
    scale=LogScale(reference_mev=0.1),
    features={"energy": features.Energy(), "border_distance": features.BorderDistance()},
    event_features={"num_hits": event_features.NumHits(), "extent": event_features.Extent()},
)
NUM_EVENT_FEATURES = 5
CHANNELS = [4, 6, 8]


DROPOUT = 0.3


def tiny(image_size: int = 12) -> SparseResNet:
    torch.manual_seed(1)
    net = SparseResNet(
        image_size=image_size,
        channels=CHANNELS,
        blocks=[1, 2, 1],
        dropout=DROPOUT,
        num_features=3 + NUM_EVENT_FEATURES,
        num_event_features=NUM_EVENT_FEATURES,
    )
    return net.double()


def formula(net: SparseResNet, hits: Hits, images) -> Tensor:
    """The logits by dense convolutions of images that are masked to the lit pixels after every layer."""
    w = net.state_dict(keep_vars=True)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        if net.training:
            mean, variance = x.mean(0), x.var(0, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def layer(name: str, image: Tensor, images, **how: int) -> Tensor:
        convolved = functional.conv2d(image, images.dense_kernel(w[f"{name}.weight"]), **how)
        return images.dense(norm(images.at_lit(convolved), f"{name}.norm"))

    x = layer("stem", images.dense(hits.feature), images, padding=1).clamp(min=0)
    pooled = []
    for number, blocks in enumerate([1, 2, 1]):
        if number > 0:
            images = images.halved()
            x = layer(f"downs.{number - 1}", x, images, stride=2).clamp(min=0)
        for block in range(blocks):
            inner = layer(f"stages.{number}.{block}.first", x, images, padding=1).clamp(min=0)
            x = (x + layer(f"stages.{number}.{block}.second", inner, images, padding=1)).clamp(min=0)
        num_sites = images.lit.flatten(1).sum(1, keepdim=True)
        pooled += [x.sum((2, 3)) / num_sites.clamp(min=1), x.amax((2, 3))]
    dropped = functional.dropout(torch.cat(pooled, dim=1), DROPOUT, training=net.training)
    features = norm(torch.cat([dropped, hits.event_feature], dim=1), "head.0")
    hidden = (features @ w["head.1.weight"].T + w["head.1.bias"]).clamp(min=0)
    return hidden @ w["head.3.weight"].T + w["head.3.bias"]


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_are_those_of_the_formula(training, masked_images, drawn, assert_equal_with_gradients):
    images = masked_images.drawn(5, 12)
    hits, net = REPRESENTATION(images.batch), drawn(tiny()).train(training)
    leaves = hits.feature.requires_grad_(), hits.event_feature.requires_grad_(), *net.parameters()
    torch.manual_seed(7)
    expected = formula(net, hits, images)
    torch.manual_seed(7)  # the same numbers are dropped
    assert_equal_with_gradients(net(hits), expected, *leaves)


def test_logits_are_invariant_to_the_order_of_hits_and_follow_the_order_of_events(masked_images):
    hits, net = REPRESENTATION(masked_images.drawn(6, 12).batch), tiny().eval()
    events = [slice(*hits.offset[k : k + 2].tolist()) for k in range(6)]
    shuffled = torch.cat([torch.randperm(part.stop - part.start) + part.start for part in events])
    backwards = torch.cat([torch.arange(part.start, part.stop) for part in reversed(events)])

    def reordered(hits: Hits, order: Tensor) -> Hits:
        return replace(hits, pixel=hits.pixel[order], energy=hits.energy[order], feature=hits.feature[order])

    torch.testing.assert_close(net(reordered(hits, shuffled)), net(hits))
    offset = torch.cat([hits.offset[:1], hits.offset.diff().flip(0).cumsum(0)])
    turned = replace(reordered(hits, backwards), offset=offset, event_feature=hits.event_feature.flip(0))
    torch.testing.assert_close(net(turned).flip(0), net(hits))


@pytest.mark.parametrize(
    "how", [{"pairs": False}, {"pairs": False, "merge": False}], ids=["by table", "a row for each hit"]
)
def test_logits_do_not_depend_on_how_sites_are_listed(how, monkeypatch, masked_images):
    hits, net = REPRESENTATION(masked_images.drawn(5, 12).batch), tiny().eval()
    expected = net(hits)
    find_stages = sparse_resnet.find_stages
    monkeypatch.setattr(
        sparse_resnet, "find_stages", lambda hits, number, **usual: find_stages(hits, number, **{**usual, **how})
    )
    torch.testing.assert_close(net(hits), expected)


@pytest.mark.parametrize("num_hits", [0, 1])
def test_a_batch_without_variance_leaves_the_running_statistics(num_hits, masked_images):
    lit = torch.zeros(2, 12, 12, dtype=torch.bool)
    lit[1, 5, 7] = num_hits > 0
    hits, net = REPRESENTATION(masked_images(lit).batch), tiny().train()
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(hits).sum().backward()
    of_sites = {name: value for name, value in net.named_buffers() if not name.startswith("head")}
    assert all(torch.equal(value, before[name]) for name, value in of_sites.items())
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


def test_an_event_without_a_hit_pools_to_zeros(masked_images):
    hits, net = REPRESENTATION(masked_images.drawn(3, 12).batch), tiny().eval()
    features = torch.cat([torch.zeros(2 * sum(CHANNELS)).double(), hits.event_feature[1]])
    torch.testing.assert_close(net(hits)[1], net.head(features.unsqueeze(0))[0])


def test_a_single_event_leaves_the_running_statistics_of_events(masked_images):
    net = tiny().train()
    before = {name: value.clone() for name, value in net.head.named_buffers()}
    net(REPRESENTATION(masked_images.drawn(1, 12).batch)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in net.head.named_buffers())
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


def test_stages_beyond_one_pixel_are_refused(masked_images):
    assert tiny(image_size=3)(REPRESENTATION(masked_images.drawn(3, 3).batch)).shape == (3, 4)
    with pytest.raises(ValueError, match="3 stages halve a 2 x 2 image beyond one pixel"):
        tiny(image_size=2)


@pytest.mark.parametrize(("channels", "blocks"), [([4], [1, 1]), ([], []), ([4, 0], [1, 1])])
def test_stages_without_channels_or_blocks_are_refused(channels, blocks):
    with pytest.raises(ValueError, match="one number of at least 1 for every stage"):
        SparseResNet(image_size=12, channels=channels, blocks=blocks, dropout=0.0)


def test_hits_without_a_feature_are_refused():
    with pytest.raises(ValueError, match="at least one feature of each hit is expected"):
        SparseResNet(image_size=12, channels=[4], blocks=[1], dropout=0.0, num_features=0)
