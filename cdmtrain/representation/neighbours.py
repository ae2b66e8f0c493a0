"""Which lit pixels of an event are joined: found for a whole batch by searching its sorted pixel keys.

Every definition gives edges (source, target) within one event and never from a pixel to itself. Memory grows with the
hits and the edges, not with the square of the hits.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from cdmtrain.batch import Hits
from cdmtrain.errors import InputError

Neighbours = Callable[[Hits], Int[Tensor, "2 edge"]]
Pairs = tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
# some hits, the candidates of each, and which of those count
Candidates = tuple[Int[Tensor, " node"], Int[Tensor, "node candidate"], Bool[Tensor, "node candidate"]]

CANDIDATES_AT_A_TIME = 2**16  # pairs of hits that are looked at together: they stay in the processor's cache
NEVER = torch.iinfo(torch.int64).max  # farther than anything


class _Shifted:
    """Hits that are some (rows, columns) apart, in both directions."""

    shifts: Sequence[tuple[int, int]]  # one of each pair of opposite shifts

    def __call__(self, hits: Hits) -> Int[Tensor, "2 edge"]:
        grid = _Grid(hits)
        return _both_ways([grid.joined(rows, columns) for rows, columns in self.shifts])


class FourNeighbours(_Shifted):
    """Pixels that share a side, in both directions."""

    shifts = ((0, 1), (1, 0))


class EightNeighbours(_Shifted):
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

    def __call__(self, hits: Hits) -> Int[Tensor, "2 edge"]:
        grid, pairs = _Grid(hits), list[Pairs]()
        following, end = grid.hits + 1, grid.band(int(self.radius_px))[1]  # each pair once
        for hit, candidate, valid in grid.candidates(grid.hits, following, end):
            near = valid & (grid.squared_distance(hit, candidate) <= self.radius_px**2)
            which, place = near.nonzero(as_tuple=True)
            pairs.append((hit[which], candidate[which, place]))
        return _both_ways(pairs) if pairs else grid.hits.new_empty(2, 0)


class NearestNeighbours:
    """To each pixel its k nearest of the event, by distance of centres; of equally far ones the smaller pixel number.

    Edges go from the neighbour to the pixel, nearest first; the other way there may be none. A pixel of an event of n
    hits has min(k, n - 1) neighbours.

    Args:
        k: number of neighbours; InputError below 1.
    """

    def __init__(self, *, k: int) -> None:
        if k < 1:
            raise InputError(f"representation.neighbours.k={k}: at least 1 neighbour is expected")
        self.k = k

    def __call__(self, hits: Hits) -> Int[Tensor, "2 edge"]:
        """Look in a band of rows around each pixel; where a nearer one could be outside, in one four times as high."""
        grid = _Grid(hits)
        nearest, todo, rows = grid.hits.new_full((len(grid.hits), self.k), -1), grid.hits, 2
        while len(todo):
            first, end = grid.band(rows)
            unsure = [todo[:0]]
            for hit, candidate, valid in grid.candidates(todo, first, end):
                valid &= candidate != hit.unsqueeze(1)
                neighbour, farthest = self._nearest(candidate, valid, grid.squared_distance(hit, candidate))
                nearest[hit, : neighbour.shape[1]] = neighbour
                unsure.append(hit[farthest >= (rows + 1) ** 2])
            todo = torch.cat(unsure) if rows < hits.image_size else todo[:0]
            rows *= 4
        hit, rank = (nearest >= 0).nonzero(as_tuple=True)
        return torch.stack([nearest[hit, rank], hit])

    def _nearest(
        self,
        candidate: Int[Tensor, "node candidate"],
        valid: Bool[Tensor, "node candidate"],
        squared: Int[Tensor, "node candidate"],
    ) -> tuple[Int[Tensor, "node nearest"], Int[Tensor, " node"]]:
        """The nearest candidates in their order, -1 where there is none, and the squared distance of the k-th."""
        width = candidate.shape[1]
        key = squared * width + torch.arange(width, device=squared.device)  # candidates ascend: the smaller wins a tie
        found, place = key.masked_fill(~valid, NEVER).topk(min(self.k, width), largest=False)
        neighbour = candidate.gather(1, place).masked_fill(found == NEVER, -1)
        return neighbour, found[:, -1] // width if width >= self.k else torch.full_like(found[:, -1], NEVER)


class _Grid:
    """The hits of a batch with all images one below the other; `key` ascends, as events and their pixels do.

    Above each image there is a blank line and left of it a blank column, so that the pixel next to one at an edge is
    none of another image, nor of another line.
    """

    def __init__(self, hits: Hits) -> None:
        self.size, self.stride = hits.image_size, hits.image_size + 1
        self.hits = torch.arange(len(hits.pixel), device=hits.pixel.device)
        self._of = hits
        place = hits.pixel + hits.row + (self.stride + 1)  # below a blank line, right of a blank column
        self.key = place.add(hits.event, alpha=self.stride**2)

    @cached_property
    def row(self) -> Int[Tensor, " hit"]:
        return self._of.row

    @cached_property
    def column(self) -> Int[Tensor, " hit"]:
        return self._of.column

    @cached_property
    def top(self) -> Int[Tensor, " hit"]:
        """The line where the image of the hit begins."""
        return self._of.event * self.stride + 1

    @cached_property
    def lit(self) -> Int[Tensor, " word"]:
        """A bit for every pixel, 1 where there is a hit, in words of 64."""
        num_pixels = (self._of.num_events * self.stride + 2) * self.stride
        return self.key.new_zeros(num_pixels // 64 + 1).index_add_(0, self.key >> 6, _bit(self.key))

    def joined(self, rows: int, columns: int) -> Pairs:
        """Each hit that has one so many rows below and columns to the right of it, and that one."""
        step = rows * self.stride + columns
        if step == 1:  # it is the next
            source = (self.key.diff() == 1).nonzero().squeeze(1)
            return source, source + 1
        source, target = (self._is_lit(self.key + way).nonzero().squeeze(1) for way in (step, -step))
        return source, target  # keys ascend: the first that has a pixel there leads to the first there

    def _is_lit(self, key: Int[Tensor, " hit"]) -> Bool[Tensor, " hit"]:
        return (self.lit.index_select(0, key >> 6) & _bit(key)).bool()

    def band(self, rows: int) -> tuple[Int[Tensor, " hit"], Int[Tensor, " hit"]]:
        """The first hit, and the one after the last, of those of the event at most so many rows from each hit."""
        first = self.top + (self.row - rows).clamp(min=0)
        end = self.top + (self.row + rows + 1).clamp(max=self.size)
        return torch.searchsorted(self.key, first * self.stride), torch.searchsorted(self.key, end * self.stride)

    def candidates(
        self, chosen: Int[Tensor, " chosen"], first: Int[Tensor, " hit"], end: Int[Tensor, " hit"]
    ) -> Iterator[Candidates]:
        """For each hit chosen those from `first` to before `end`: hits with alike many together, in bounded memory."""
        number, order = (end - first)[chosen].sort(stable=True)
        widest = int(number[-1]) if len(number) else 0
        for part in order.chunk(max(1, -(-len(order) * widest // CANDIDATES_AT_A_TIME))):
            hit = chosen[part]
            width = int((end - first)[hit[-1:]].sum())
            if width > 0:
                candidate = first[hit].unsqueeze(1) + torch.arange(width, device=hit.device)
                yield hit, candidate.clamp(max=len(self.key) - 1), candidate < end[hit].unsqueeze(1)

    def squared_distance(
        self, hit: Int[Tensor, " node"], candidate: Int[Tensor, "node candidate"]
    ) -> Int[Tensor, "node candidate"]:
        rows = self.row[candidate] - self.row[hit].unsqueeze(1)
        columns = self.column[candidate] - self.column[hit].unsqueeze(1)
        return rows * rows + columns * columns


def _bit(key: Int[Tensor, " hit"]) -> Int[Tensor, " hit"]:
    """The bit of a pixel in its word."""
    return key.new_ones(1) << (key & 63)


def _both_ways(pairs: Sequence[Pairs]) -> Int[Tensor, "2 edge"]:
    """Every pair as an edge from the first to the second, then every pair as one back."""
    first, second = zip(*pairs, strict=True)
    return torch.cat([*first, *second, *second, *first]).view(2, -1)
