"""Which sites of a sparse convolution feed which: kernel maps, found once for all layers of a resolution."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import LitPixels

# (rows, columns) from the upper left, upper, upper right and left neighbour of a pixel to the pixel
FIRST_HALF = ((1, 1), (1, 0), (1, -1), (0, 1))


@dataclass(frozen=True)
class Sites(LitPixels):
    """The lit pixels of a batch at one resolution."""

    pixel: Int[Tensor, " hit"]  # row * image_size + column, ascending and unique within an event
    offset: Int[Tensor, " event_plus_1"]  # sites of event i are offset[i] : offset[i + 1]
    image_size: int  # rows = columns at this resolution


class KernelMap(NamedTuple):
    """The pairs of sites that a kernel joins, one after another for each of its elements.

    Pair p leads from source[p] to target[p]. The last two fields list the pairs by source and by target, as
    (pairs, where those of each site begin): what a sum over the pairs of a site needs.
    """

    source: Int[Tensor, " pair"]
    target: Int[Tensor, " pair"]
    counts: list[int]  # pairs of each element
    by_source: tuple[Int[Tensor, " pair"], Int[Tensor, " source_plus_1"]]
    by_target: tuple[Int[Tensor, " pair"], Int[Tensor, " target_plus_1"]]


@torch.compiler.disable  # the numbers of pairs depend on the events; the compiler fuses what lies between
def sites_of(hits: LitPixels) -> tuple[Sites, Int[Tensor, " site"]]:
    """The sites of the hits, and the hit at each site. The hits of an event may come in any order."""
    key, hit = hits.pixel.add(hits.event, alpha=hits.image_size**2).sort()
    return Sites(key % hits.image_size**2, hits.offset, hits.image_size), hit


@torch.compiler.disable
def submanifold_map(sites: Sites) -> KernelMap:
    """The pairs of a 3 x 3 kernel between lit sites.

    Element 3 (a + 1) + b + 1 leads from (row + a, column + b) to (row, column): a dense convolution with padding 1.
    """
    here = torch.arange(len(sites.pixel), device=sites.pixel.device)
    first, second = zip(*sites.pairs(FIRST_HALF), strict=True)
    counts = [len(pairs) for pairs in first]
    counts = [*counts, len(here), *reversed(counts)]  # the last four elements join the same pairs, reversed
    source = torch.cat([*first, here, *reversed(second)])
    target = torch.cat([*second, here, *reversed(first)])
    order, begin = _grouped(target, len(here))
    reverse = torch.cat(torch.arange(len(source), device=here.device).split(counts)[::-1])  # pair t -> s of each s -> t
    return KernelMap(source, target, counts, by_source=(reverse[order], begin), by_target=(order, begin))


@torch.compiler.disable
def strided_map(sites: Sites) -> tuple[Sites, KernelMap]:
    """The sites at half the resolution, and the pairs of a 2 x 2 kernel of stride 2 that lead to them.

    A pixel is lit there if any of its four was. Element 2 a + b leads from (2 row + a, 2 column + b) to (row, column).
    """
    row, column, size = sites.row, sites.column, (sites.image_size + 1) // 2
    key, target = ((sites.event * size + row // 2) * size + column // 2).unique(return_inverse=True)
    offset = torch.searchsorted(key, torch.arange(len(sites.offset), device=key.device) * size**2)
    element, source = (row % 2 * 2 + column % 2).sort(stable=True)
    target = target[source]
    counts = torch.bincount(element, minlength=4).tolist()
    by_source, by_target = _grouped(source, len(source)), _grouped(target, len(key))
    return Sites(key % size**2, offset, size), KernelMap(source, target, counts, by_source, by_target)


def _grouped(site: Int[Tensor, " pair"], num_sites: int) -> tuple[Int[Tensor, " pair"], Int[Tensor, " site_plus_1"]]:
    """The pairs by site, and where those of each site begin."""
    order = site.int().argsort(stable=True)
    count = torch.bincount(site, minlength=num_sites)
    return order, torch.cat([count.new_zeros(1), count.cumsum(0)])
