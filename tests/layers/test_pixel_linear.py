"""The linear layer on pixels is the dense matrix product, in values, gradients and training."""

import copy

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch import nn

from cdmtrain.layers.pixel_linear import PixelLinear
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.image import ImageRepresentation

IMAGE, HITS = ImageRepresentation(), HitsRepresentation()


@pytest.fixture
def layer() -> PixelLinear:
    torch.manual_seed(3)
    return PixelLinear(image_size=16, out_features=7)


def reference() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(256, 7)


@pytest.mark.parametrize("represent", [IMAGE, HITS])
@pytest.mark.parametrize("empty", [[], [0, 3], list(range(9))], ids=["lit", "some dark", "all dark"])
def test_values_and_gradients_are_those_of_a_dense_layer(represent, empty, layer, make_batch):
    batch, dense = make_batch(9, empty=empty), reference()
    found, expected = layer(represent(batch)), dense(IMAGE(batch).energy.flatten(1))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)  # float32 sums in another order
    weights = torch.linspace(-1, 1, found.numel()).view_as(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(layer.weight.grad, dense.weight.grad.t(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.bias.grad, dense.bias.grad, rtol=1e-5, atol=1e-6)


def test_it_begins_with_what_a_dense_layer_draws_and_leaves_the_generator_as_it_does(layer):
    after, dense = torch.rand(1), reference()
    assert torch.equal(layer.weight, dense.weight.t())
    assert torch.equal(layer.bias, dense.bias)
    assert torch.equal(after, torch.rand(1))


def test_hits_that_need_a_gradient_get_that_of_the_image(layer, make_batch):
    batch = make_batch(5)
    hits, image = HITS(batch), IMAGE(batch)
    hits.energy.requires_grad_()
    image.energy.requires_grad_()
    for pixels in (hits, image):
        layer(pixels).square().sum().backward()
    dense = image.energy.grad.flatten(1)[batch.event, batch.pixel]
    torch.testing.assert_close(hits.energy.grad, dense, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dnn", "perceptron"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_network_trained_on_hits_is_the_network_trained_on_images(name, optimizer, make_batch):
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        size = ["data=hdf5", "data.files=[x]", "data.image_size=16"]
        cfg = compose("config", overrides=[f"model={name}", f"optimizer={optimizer}", *size])
    assert isinstance(instantiate(cfg.representation), HitsRepresentation)
    net = instantiate(cfg.model)
    nets = {IMAGE: net, HITS: copy.deepcopy(net)}
    for represent, one in nets.items():
        make_step = instantiate(cfg.optimizer)(one.parameters())
        for seed in range(10):
            batch = make_batch(8, seed=seed, empty=[2])
            make_step.zero_grad()
            nn.functional.cross_entropy(one(represent(batch)), batch.class_index).backward()
            make_step.step()
    for mine, other in zip(nets[HITS].parameters(), nets[IMAGE].parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)  # Adam's quotients enlarge float32 noise


def test_the_gradient_lies_as_the_weight_does(layer, make_batch):
    """Fused optimizers copy what lies otherwise, which costs more than the step."""
    for represent in (IMAGE, HITS):
        layer(represent(make_batch(4))).sum().backward()
        assert layer.weight.grad.is_contiguous()
        assert layer.weight.is_contiguous()
