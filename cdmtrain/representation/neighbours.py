"""Which lit pixels of an event are joined by an edge, found for a whole batch at once.

Every definition gives edges (source, target) within one event and never from a pixel to itself. Memory grows with the
numbers of hits and edges, not with the square of the number of hits.

A GPU waits for the CPU twice: for the number of candidates of the hits, and for the number of edges.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from cdmtrain.batch import LitPixels, Pairs
from cdmtrain.compiled import jit
from cdmtrain.errors import InputError

Neighbours = Callable[[LitPixels], Int[Tensor, "2 edge"]]
# some hits, the candidates for each of them, and which candidates are valid
Candidates = tuple[Int[Tensor, " node"], Int[Tensor, "node candidate"], Bool[Tensor, "node candidate"]]

# pairs of hits compared in one step: few enough for the cache of a processor; on a GPU one step suits most batches
CANDIDATES_AT_A_TIME = {"cpu": 2**16, "gpu": 2**25}
NEVER = torch.iinfo(torch.int64).max  # greater than any squared distance


class _ShiftedNeighbours:
    """Pixels that lie a fixed number of rows and columns apart, in both directions."""

    shifts: Sequence[tuple[int, int]]  # (rows, columns), one of each pair of opposite shifts

    def __call__(self, hits: LitPixels) -> Int[Tensor, "2 edge"]:
        if not _on_cpu(hits):
            return _both_directions([hits.pairs(self.shifts)])
        arrays = hits.offset.numpy(), hits.pixel.numpy(), hits.image_size, np.array(self.shifts)
        return torch.from_numpy(_edges(*arrays))


class FourNeighbours(_ShiftedNeighbours):
    """Pixels that share a side, in both directions."""

    shifts = ((0, 1), (1, 0))


class EightNeighbours(_ShiftedNeighbours):
    """Pixels that share a side or a corner, in both directions."""

    shifts = ((0, 1), (1, 0), (1, 1), (1, -1))


class RadiusNeighbours:
    """Pixels whose centres are at most a radius apart, in both directions.

    Args:
        radius_px: in pixels; InputError below 1, where no pixel has a neighbour.
    """

    def __init__(self, *, radius_px: float) -> None:
        if not radius_px >= 1:
            raise InputError(f"representation.neighbours.radius_px={radius_px}: at least 1 pixel is expected")
        self.radius_px = radius_px

    def __call__(self, hits: LitPixels) -> Int[Tensor, "2 edge"]:
        search, pairs = _BandSearch(hits), list[Pairs]()
        following, end = search.hits + 1, search.band(int(self.radius_px))[1]  # later hits only: each pair once
        for hit, candidate, valid in search.candidates(search.hits, following, end):
            near = valid & (search.squared_distance(hit, candidate) <= self.radius_px**2)
            index, rank = near.nonzero(as_tuple=True)
            pairs.append((hit[index], candidate[index, rank]))
        return _both_directions(pairs) if pairs else search.hits.new_empty(2, 0)


class NearestNeighbours:
    """The k pixels of the event nearest to each pixel, by distance of centres; ties go to the smaller pixel number.

    Edges lead from the neighbour to the pixel, nearest first; an edge in the opposite direction need not exist. A pixel
    of an event of n hits has min(k, n - 1) neighbours.

    Args:
        k: number of neighbours; InputError below 1.
    """

    def __init__(self, *, k: int) -> None:
        if k < 1:
            raise InputError(f"representation.neighbours.k={k}: at least 1 neighbour is expected")
        self.k = k

    def __call__(self, hits: LitPixels) -> Int[Tensor, "2 edge"]:
        """A CPU walks from each pixel to ever farther rows; a GPU, for which that is slower, compares all pixels."""
        if _on_cpu(hits):
            arrays = (array.numpy() for array in (hits.offset, hits.row, hits.column))
            nearest = torch.from_numpy(_nearest(*arrays, self.k))
        else:
            search = _BandSearch(hits)
            nearest = search.hits.new_full((len(search.hits), self.k), -1)
            for hit, candidate, valid in search.candidates(search.hits, *search.band(hits.image_size)):
                valid &= candidate != hit.unsqueeze(1)
                found = self._nearest(candidate, valid, search.squared_distance(hit, candidate))
                nearest[hit, : found.shape[1]] = found
        hit, rank = (nearest >= 0).nonzero(as_tuple=True)
        return torch.stack([nearest[hit, rank], hit])

    def _nearest(
        self,
        candidate: Int[Tensor, "node candidate"],
        valid: Bool[Tensor, "node candidate"],
        squared: Int[Tensor, "node candidate"],
    ) -> Int[Tensor, "node nearest"]:
        """The nearest candidates in order, -1 where there are too few."""
        width = candidate.shape[1]
        key = squared * width + torch.arange(width, device=squared.device)  # candidates ascend: the smaller wins a tie
        found, index = key.masked_fill(~valid, NEVER).topk(min(self.k, width), largest=False)
        return candidate.gather(1, index).masked_fill(found == NEVER, -1)


class _BandSearch:
    """Compare hits with all hits of their event in the rows around them, in parts of bounded memory."""

    def __init__(self, hits: LitPixels) -> None:
        self.size, self.stride = hits.image_size, hits.image_size + 1
        self.device = "cpu" if hits.pixel.device.type == "cpu" else "gpu"
        self.hits = torch.arange(len(hits.pixel), device=hits.pixel.device)
        self.key, self.row, self.column = hits.key, hits.row, hits.column
        self.top = hits.event * self.stride + 1  # the line of the stacked image where the hit's own image begins

    def band(self, rows: int) -> tuple[Int[Tensor, " hit"], Int[Tensor, " hit"]]:
        """For each hit, the first hit of its event that is at most so many rows away, and the one after the last."""
        first = self.top + (self.row - rows).clamp(min=0)
        end = self.top + (self.row + rows + 1).clamp(max=self.size)
        return torch.searchsorted(self.key, first * self.stride), torch.searchsorted(self.key, end * self.stride)

    def candidates(
        self, chosen: Int[Tensor, " chosen"], first: Int[Tensor, " hit"], end: Int[Tensor, " hit"]
    ) -> Iterator[Candidates]:
        """Give each chosen hit the hits from `first` up to `end`; hits with similarly many candidates come together."""
        number, order = (end - first)[chosen].sort(stable=True)
        widest = number.cpu()  # of the hits up to each: all that the CPU needs to know
        total = len(order) * int(widest[-1]) if len(order) else 0
        parts = max(1, -(-total // CANDIDATES_AT_A_TIME[self.device]))
        for part, widths in zip(order.chunk(parts), widest.chunk(parts), strict=True):
            hit, width = chosen[part], int(widths[-1]) if len(part) else 0
            if width > 0:
                candidate = first[hit].unsqueeze(1) + torch.arange(width, device=hit.device)
                yield hit, candidate.clamp(max=len(self.key) - 1), candidate < end[hit].unsqueeze(1)

    def squared_distance(
        self, hit: Int[Tensor, " node"], candidate: Int[Tensor, "node candidate"]
    ) -> Int[Tensor, "node candidate"]:
        rows = self.row[candidate] - self.row[hit].unsqueeze(1)
        columns = self.column[candidate] - self.column[hit].unsqueeze(1)
        return rows * rows + columns * columns


def _both_directions(pairs: Sequence[Pairs]) -> Int[Tensor, "2 edge"]:
    """Every pair as an edge from the first hit to the second, then every pair as an edge back."""
    first, second = zip(*pairs, strict=True)
    return torch.cat([*first, *second, *second, *first]).view(2, -1)


def _on_cpu(hits: LitPixels) -> bool:
    return hits.pixel.device.type == "cpu" and not torch.compiler.is_compiling()


@jit
@no_type_check  # numba knows the types
def _edges(offset, pixel, size, shifts):
    """What `_both_directions` gives of `LitPixels.pairs`, from the grid of one image after another."""
    width = size + 2  # with a dark border
    key, hit_at = pixel + 2 * (pixel // size) + width + 1, np.full(width * width, -1)
    pairs, number = np.empty((len(shifts), 2, len(pixel)), np.int64), np.zeros(len(shifts), np.int64)
    for event in range(len(offset) - 1):
        first, last = offset[event], offset[event + 1]
        for hit in range(first, last):
            hit_at[key[hit]] = hit
        for shift in range(len(shifts)):
            step = shifts[shift, 0] * width + shifts[shift, 1]
            for hit in range(first, last):
                other = hit_at[key[hit] + step]
                if other >= first:  # not of an event before
                    pairs[shift, 0, number[shift]], pairs[shift, 1, number[shift]] = hit, other
                    number[shift] += 1
    half, begin = number.sum(), 0
    edges = np.empty((2, 2 * half), np.int64)
    for shift in range(len(shifts)):
        end = begin + number[shift]
        edges[:, begin:end] = pairs[shift, :, : number[shift]]
        edges[0, half + begin : half + end] = edges[1, begin:end]
        edges[1, half + begin : half + end] = edges[0, begin:end]
        begin = end
    return edges


@jit
@no_type_check
def _nearest(offset, row, column, k):
    """The k nearest hits of each in order, -1 where there are too few. The rows of an event ascend."""
    nearest, squared = np.full((len(row), k), -1), np.empty(k, np.int64)
    for event in range(len(offset) - 1):
        first, last = offset[event], offset[event + 1]
        for hit in range(first, last):
            found, number, before, after = nearest[hit], 0, hit - 1, hit + 1
            while before >= first or after < last:
                up = row[hit] - row[before] if before >= first else NEVER
                down = row[after] - row[hit] if after < last else NEVER
                rows = min(up, down)
                if number == k and rows * rows > squared[k - 1]:
                    break
                other = before if up <= down else after
                before, after = before - (up <= down), after + (up > down)
                columns = column[hit] - column[other]
                distance = rows * rows + columns * columns
                place = min(number, k)  # of this one in what is found; ties go to the smaller number
                while place > 0 and (distance, other) < (squared[place - 1], found[place - 1]):
                    if place < k:
                        squared[place], found[place] = squared[place - 1], found[place - 1]
                    place -= 1
                if place < k:
                    squared[place], found[place] = distance, other
                    number = min(number + 1, k)
    return nearest
