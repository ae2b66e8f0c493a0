"""A sparse convolution is the dense one read at lit pixels, in values and gradients, in memory linear in hits."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cdmtrain.layers import pair_lists
from cdmtrain.layers.sites import find_stages
from cdmtrain.layers.sparse_convolution import SparseConvolution, sparse_convolution

CHANNELS = 3
SIZES = [1, 2, 7, 12]


def inputs(num_sites: int, elements: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    x = torch.randn(num_sites, CHANNELS, dtype=torch.float64, requires_grad=True)
    return x, torch.randn(elements, CHANNELS, CHANNELS + 1, dtype=torch.float64, requires_grad=True)


by_element_and_by_table = pytest.mark.parametrize("pairs", [True, False], ids=["by element", "by table"])


def site_of_pixel(images, halved) -> Tensor:
    """The site of each lit pixel of the halved images; sites are in the order of their first hits."""
    number: dict[tuple[int, ...], int] = {}
    for event, row, column in images.lit.nonzero().tolist():
        number.setdefault((event, row // 2, column // 2), len(number))
    return torch.tensor([number[tuple(pixel)] for pixel in halved.lit.nonzero().tolist()], dtype=torch.int64)


def assert_same_with_gradients(sparse: Tensor, reference: Tensor, *leaves: Tensor) -> None:
    torch.testing.assert_close(sparse, reference)
    direction = torch.randn_like(reference)
    ours = torch.autograd.grad(sparse, leaves, direction)
    theirs = torch.autograd.grad(reference, leaves, direction)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@by_element_and_by_table
@pytest.mark.parametrize("size", SIZES)
def test_a_submanifold_convolution_is_the_dense_one_at_lit_pixels(size, pairs, masked_images):
    images = masked_images.drawn(4, size)
    x, weight = inputs(int(images.lit.sum()), 9)
    image = functional.conv2d(images.dense(x), images.dense_kernel(weight), padding=1)
    found = sparse_convolution(x, weight, find_stages(images.batch, 1, pairs=pairs)[0].neighbours)
    assert_same_with_gradients(found, images.at_lit(image), x, weight)


@by_element_and_by_table
@pytest.mark.parametrize("size", SIZES)
def test_down_sampling_is_the_dense_convolution_of_stride_two_where_any_pixel_was_lit(size, pairs, masked_images):
    images = masked_images.drawn(4, size)
    x, weight = inputs(int(images.lit.sum()), 4)
    padded = functional.pad(images.dense(x), (0, size % 2, 0, size % 2))
    image = functional.conv2d(padded, images.dense_kernel(weight), stride=2)
    halved = find_stages(images.batch, 2, pairs=pairs)[1]
    found = sparse_convolution(x, weight, halved.down)
    expected = images.halved()
    order = site_of_pixel(images, expected)
    assert_same_with_gradients(found[order], expected.at_lit(image), x, weight)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.GELU()], ids=["relu", "gelu"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("with_residual", [True, False], ids=["residual", "alone"])
@pytest.mark.parametrize("map_name", ["neighbours", "down"])
def test_the_layer_normalises_adds_and_activates(
    map_name, with_residual, training, activation, masked_images, monkeypatch
):
    monkeypatch.setattr(pair_lists, "SMALLEST", 20)
    images = masked_images.drawn(9, 12)
    joined, alone = (
        getattr(find_stages(images.batch, 2, pairs=pairs)[map_name == "down"], map_name) for pairs in (True, False)
    )
    layer = SparseConvolution(CHANNELS, 5, kernel_elements=9 if map_name == "neighbours" else 4, activation=activation)
    layer = layer.double().train(training)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    other = copy.deepcopy(layer)
    x, _ = inputs(len(joined.target_of), 9)
    residual = torch.randn(len(joined.source_of), 5, dtype=torch.float64, requires_grad=True) if with_residual else None
    leaves = [x, *([residual] if with_residual else [])]
    found = [module(x, kernel_map, residual) for module, kernel_map in ((layer, joined), (other, alone))]
    torch.testing.assert_close(*found)
    direction = torch.randn_like(found[0])
    gradients = [
        torch.autograd.grad(y, [*leaves, *module.parameters()], direction)
        for y, module in zip(found, (layer, other), strict=True)
    ]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(dict(layer.named_buffers()), dict(other.named_buffers()))


def test_what_is_frozen_has_no_gradient_and_the_rest_has_its_own(masked_images):
    images = masked_images.drawn(4, 12)
    kernel_map = find_stages(images.batch, 1, pairs=True)[0].neighbours
    layer = SparseConvolution(CHANNELS, 5, kernel_elements=9, activation=nn.ReLU()).double()
    x, _ = inputs(int(images.lit.sum()), 9)
    expected = torch.autograd.grad(layer(x, kernel_map).square().sum(), [x, layer.norm.bias, layer.weight])
    layer.weight.requires_grad_(False)
    found = torch.autograd.grad(layer(x, kernel_map).square().sum(), [x, layer.norm.bias])
    torch.testing.assert_close(found, expected[:2])
    layer.weight.requires_grad_(True)
    of_weight = torch.autograd.grad(layer(x.detach(), kernel_map).square().sum(), layer.weight)
    torch.testing.assert_close(of_weight, expected[2:])


def test_two_threads_compute_what_one_does(masked_images, monkeypatch):
    monkeypatch.setattr(pair_lists, "SMALLEST", 20)
    images = masked_images.drawn(9, 12)
    kernel_map = find_stages(images.batch, 1, pairs=True)[0].neighbours
    layer = SparseConvolution(CHANNELS, 5, kernel_elements=9, activation=nn.ReLU()).double()
    x, _ = inputs(int(images.lit.sum()), 9)
    results, threads = [], torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            y = layer(x, kernel_map)
            results.append((y, *torch.autograd.grad(y.square().sum(), [x, layer.weight])))
    finally:
        torch.set_num_threads(threads)
    (y, of_x, of_weight), (other_y, other_of_x, other_of_weight) = results
    assert torch.equal(y, other_y)
    assert torch.equal(of_x, other_of_x)
    torch.testing.assert_close(of_weight, other_of_weight)


def test_it_keeps_its_arguments_and_two_rows_for_each_site(masked_images):
    images = masked_images.drawn(4, 12)
    x, _ = inputs(int(images.lit.sum()), 9)
    layer = SparseConvolution(CHANNELS, 5, kernel_elements=9, activation=nn.ReLU()).double()
    kernel_map = find_stages(images.batch, 1, pairs=True)[0].neighbours
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        y = layer(x, kernel_map)
    assert sum(tensor.numel() for tensor in saved) == x.numel() + layer.weight.numel() + 2 * y.numel()


def test_by_table_it_keeps_only_its_arguments(masked_images):
    images = masked_images.drawn(4, 12)
    x, weight = inputs(int(images.lit.sum()), 9)
    kernel_map = find_stages(images.batch, 1)[0].neighbours
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        sparse_convolution(x, weight, kernel_map)
    assert sum(tensor.numel() for tensor in saved if tensor.is_floating_point()) == x.numel() + weight.numel()
