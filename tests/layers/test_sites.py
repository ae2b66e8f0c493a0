"""Kernel maps join each lit pixel with its lit neighbours, and with the pixel of half the resolution."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from cdmtrain.layers.sites import KernelMap, Sites, sites_of, strided_map, submanifold_map

SIZES = [1, 2, 7, 12]


def elements_of(kernel_map: KernelMap) -> list[int]:
    """The element of the kernel of each pair."""
    return [element for element, count in enumerate(kernel_map.counts) for _ in range(count)]


def assert_pairs_are_grouped(kernel_map: KernelMap) -> None:
    """The last two fields list the pairs of every site."""
    for site, (pairs, begin) in ((kernel_map.source, kernel_map.by_source), (kernel_map.target, kernel_map.by_target)):
        number = torch.repeat_interleave(begin.diff())
        assert torch.equal(site[pairs], number)
        assert torch.equal(pairs.sort().values, torch.arange(len(site)))


@pytest.mark.parametrize("size", SIZES)
def test_a_submanifold_map_joins_each_lit_pixel_with_its_lit_neighbours(size, masked_images):
    images = masked_images.drawn(4, size)
    found = submanifold_map(sites_of(images.batch)[0])
    number = {tuple(pixel): site for site, pixel in enumerate(images.lit.nonzero().tolist())}
    expected = [
        (3 * (a + 1) + b + 1, number[event, row + a, column + b], target)
        for (event, row, column), target in number.items()
        for a in (-1, 0, 1)
        for b in (-1, 0, 1)
        if (event, row + a, column + b) in number
    ]
    pairs = zip(elements_of(found), found.source.tolist(), found.target.tolist(), strict=True)
    assert list(pairs) == sorted(expected)
    assert_pairs_are_grouped(found)


@pytest.mark.parametrize("size", SIZES)
def test_a_strided_map_joins_each_lit_pixel_with_that_of_half_the_resolution(size, masked_images):
    images = masked_images.drawn(4, size)
    coarse, found = strided_map(sites_of(images.batch)[0])
    lit = images.halved().lit
    assert coarse.image_size == (size + 1) // 2
    assert torch.equal(coarse.num_hits, lit.flatten(1).sum(1))
    assert torch.equal(torch.stack([coarse.event, coarse.row, coarse.column], 1), lit.nonzero())
    number = {tuple(pixel): site for site, pixel in enumerate(lit.nonzero().tolist())}
    expected = [
        (2 * (row % 2) + column % 2, source, number[event, row // 2, column // 2])
        for source, (event, row, column) in enumerate(images.lit.nonzero().tolist())
    ]
    pairs = zip(elements_of(found), found.source.tolist(), found.target.tolist(), strict=True)
    assert list(pairs) == sorted(expected)
    assert_pairs_are_grouped(found)


def test_the_sites_do_not_depend_on_the_order_of_the_hits_of_an_event(masked_images):
    batch = masked_images.drawn(4, 7).batch
    ends = batch.offset.tolist()
    order = torch.cat([torch.randperm(end - begin) + begin for begin, end in pairwise(ends)])
    sites, hit = sites_of(replace(batch, pixel=batch.pixel[order]))
    assert torch.equal(sites.pixel, batch.pixel)
    assert torch.equal(order[hit], torch.arange(len(order)))


def test_a_track_has_a_third_of_the_pairs_of_a_full_image(masked_images):
    track = masked_images(torch.eye(12, dtype=torch.bool).unsqueeze(0))
    assert submanifold_map(sites_of(track.batch)[0]).counts == [11, 0, 0, 0, 12, 0, 0, 0, 11]
    full = masked_images(torch.ones(1, 12, 12, dtype=torch.bool))
    assert sum(submanifold_map(sites_of(full.batch)[0]).counts) == (3 * 12 - 2) ** 2


def test_a_batch_without_a_hit_has_neither_sites_nor_pairs(masked_images):
    sites, _ = sites_of(masked_images(torch.zeros(3, 7, 7, dtype=torch.bool)).batch)
    coarse, strided = strided_map(sites)
    assert isinstance(coarse, Sites)
    assert coarse.num_hits.tolist() == sites.num_hits.tolist() == [0, 0, 0]
    assert sum(submanifold_map(sites).counts) == sum(strided.counts) == 0
