"""A sparse convolution is the dense one read at lit pixels, in values and gradients, in memory linear in hits."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.layers.sites import find_stages
from cdmtrain.layers.sparse_convolution import SparseConvolution, sparse_convolution

CHANNELS = 3
SIZES = [1, 2, 7, 12]


def inputs(num_sites: int, elements: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    x = torch.randn(num_sites, CHANNELS, dtype=torch.float64, requires_grad=True)
    return x, torch.randn(elements, CHANNELS, CHANNELS + 1, dtype=torch.float64, requires_grad=True)


by_pairs_and_by_table = pytest.mark.parametrize("pairs", [True, False], ids=["by pairs", "by table"])


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


@by_pairs_and_by_table
@pytest.mark.parametrize("size", SIZES)
def test_a_submanifold_convolution_is_the_dense_one_at_lit_pixels(size, pairs, masked_images):
    images = masked_images.drawn(4, size)
    x, weight = inputs(int(images.lit.sum()), 9)
    image = functional.conv2d(images.dense(x), images.dense_kernel(weight), padding=1)
    found = sparse_convolution(x, weight, find_stages(images.batch, 1, pairs=pairs)[0].neighbours)
    assert_same_with_gradients(found, images.at_lit(image), x, weight)


@by_pairs_and_by_table
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


def test_the_layer_normalises_the_convolution_over_sites(masked_images):
    images = masked_images.drawn(4, 7)
    x, _ = inputs(int(images.lit.sum()), 9)
    layer = SparseConvolution(CHANNELS, 5, kernel_elements=9).double()
    kernel_map = find_stages(images.batch, 1, pairs=True)[0].neighbours
    y = sparse_convolution(x, layer.weight, kernel_map)
    variance, mean = torch.var_mean(y, dim=0, correction=0)
    torch.testing.assert_close(layer(x, kernel_map), (y - mean) / (variance + layer.norm.eps).sqrt())


@by_pairs_and_by_table
def test_it_keeps_only_its_arguments_for_the_backward_pass(pairs, masked_images):
    images = masked_images.drawn(4, 12)
    x, weight = inputs(int(images.lit.sum()), 9)
    kernel_map = find_stages(images.batch, 1, pairs=pairs)[0].neighbours
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        sparse_convolution(x, weight, kernel_map)
    assert sum(tensor.numel() for tensor in saved if tensor.is_floating_point()) == x.numel() + weight.numel()
