"""The representations in a graph: scales, features of hits and of whole events, orders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cdmtrain.export.events import Hits
from cdmtrain.export.graph import Array
from cdmtrain.export.layers import NotTranslatedError
from cdmtrain.export.neighbours import Neighbours, neighbours_of
from cdmtrain.representation import edge_features, event_features, features, order, scale
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.representation.sequence import SequenceRepresentation

TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Pixels:
    """What a network reads: hits with their features, and for graphs their neighbours."""

    hits: Hits
    feature: Array | None  # (hit, feature)
    event_feature: Array | None  # (event, event_feature)
    neighbours: Neighbours | None = None
    edge_feature: Array | None = None  # (edge, edge_feature)
    image: Array | None = None  # (event, 1, row, column), if it is given; on the scale of the representation


def represent(representation: Any, hits: Hits, image: Array | None = None) -> Pixels:
    """Compute a representation; NotTranslatedError if it or a part of it is not one of this program.

    Args:
        representation: the module of the run.
        hits: energies in MeV.
        image: the same energies as dense images, if they are given.
    """
    kind = type(representation)
    if kind not in (ImageRepresentation, HitsRepresentation, GraphRepresentation, SequenceRepresentation):
        raise NotTranslatedError(kind.__name__)
    if kind is ImageRepresentation:
        scaled = hits.with_energy(scaled_energy(representation.scale, hits.energy))
        return Pixels(scaled, None, None, image=None if image is None else scaled_energy(representation.scale, image))
    whole = event_columns(representation.event_features, hits)
    if kind is GraphRepresentation:
        hits = hits.take((hits.energy > representation.threshold_mev).nonzero()[0])
    if kind is SequenceRepresentation:
        hits = ordered(representation.order, hits)
    hits = hits.with_energy(scaled_energy(representation.scale, hits.energy))
    columns = [column for one in representation.features.values() for column in hit_columns(one, hits)]
    if whole is not None:
        columns.append(whole.take(hits.event))
    feature = hits.graph.concat(columns, 1) if columns else None
    if kind is not GraphRepresentation:
        return Pixels(hits, feature, whole)
    neighbours = neighbours_of(representation.neighbours, hits)
    edges = edge_columns(representation.edge_features, hits, neighbours)
    return Pixels(hits, feature, whole, neighbours, edges)


def scaled_energy(how: Any, energy: Array) -> Array:
    if type(how) is scale.LinearScale:
        return energy
    if type(how) is scale.LogScale:
        return (energy / how.reference_mev).log1p()
    if type(how) is scale.SqrtScale:
        return energy.apply("Sqrt")
    raise NotTranslatedError(type(how).__name__)


def hit_columns(feature: Any, hits: Hits) -> list[Array]:
    """The columns (hit, 1) of a feature."""
    last = hits.image_size - 1
    if type(feature) is features.Energy:
        return [hits.energy.unsqueeze(1)]
    if type(feature) is features.Position:
        return [(one.float() / float(max(last, 1))).unsqueeze(1) for one in (hits.row, hits.column)]
    if type(feature) is features.BorderDistance:
        near = (one.minimum(last - one) for one in (hits.row, hits.column))
        return [one.float().log1p().unsqueeze(1) for one in near]
    raise NotTranslatedError(type(feature).__name__)


def event_columns(chosen: Mapping[str, Any], hits: Hits) -> Array | None:
    """(event, feature), or None if no feature is chosen."""
    columns = [column for feature in chosen.values() for column in _event_columns(feature, hits)]
    return hits.graph.concat([one.log1p().unsqueeze(1) for one in columns], 1) if columns else None


def _event_columns(feature: Any, hits: Hits) -> list[Array]:
    """The values of a feature before their logarithm."""
    last, energy = hits.image_size - 1, hits.energy
    if type(feature) is event_features.NumHits:
        return [hits.num_rows.float()]
    if type(feature) is event_features.Energy:
        return [*hits.sums(energy, energy * energy), *hits.maxima(energy)]
    if type(feature) is event_features.Extent:
        alike = hits.graph.full([energy.size()], 1.0)
        moments = [Covariance(hits, weight) for weight in (energy, alike)]
        return [one for weighted in moments for one in weighted.spread()]
    if type(feature) is event_features.BorderDistance:
        row, column = hits.row.float(), hits.column.float()
        top, left, bottom, right = (last - one for one in hits.maxima(last - row, last - column, row, column))
        return [top.minimum(bottom), left.minimum(right), top.maximum(bottom), left.maximum(right)]
    raise NotTranslatedError(type(feature).__name__)


class Covariance:
    """Weighted second moments of the pixels of each event about their mean, as `representation.principal_axis`."""

    def __init__(self, hits: Hits, weight: Array) -> None:
        row, column = hits.row.float(), hits.column.float()
        total, of_rows, of_columns = hits.sums(weight, weight * row, weight * column)
        self.total = total.maximum(TINY)
        self.row = row - (of_rows / self.total).take(hits.event)
        self.column = column - (of_columns / self.total).take(hits.event)
        products = self.row * self.row, self.column * self.column, self.row * self.column
        self.sums = hits.sums(*(weight * one for one in products))  # yy, xx, yx

    def spread(self) -> list[Array]:
        """Standard deviation along and across the axis."""
        yy, xx, yx = (one / self.total for one in self.sums)
        centre, radius = (yy + xx) / 2, _hypot((yy - xx) / 2, yx)
        return [one.maximum(0).apply("Sqrt") for one in (centre + radius, centre - radius)]

    def angle(self) -> Array:
        """Angle of the axis from the direction of the columns: atan2(2 yx, xx - yy) / 2."""
        yy, xx, yx = self.sums
        return _atan2(yx * 2, xx - yy) / 2


def _hypot(x: Array, y: Array) -> Array:
    """sqrt(x^2 + y^2), exact where one of them is zero."""
    x, y = x.apply("Abs"), y.apply("Abs")
    large, small = x.maximum(y), x.minimum(y)
    ratio = small / large.maximum(TINY)
    return large * (ratio * ratio + 1).apply("Sqrt")


def _atan2(y: Array, x: Array) -> Array:
    """The angle of (x, y) in (-pi, pi]."""
    graph = x.graph
    nothing = x.equals(0) & y.equals(0)
    steep = y.apply("Abs") > x.apply("Abs")
    ratio = graph.where(steep, x, y) / graph.where(nothing, 1.0, graph.where(steep, y, x))
    angle = ratio.apply("Atan")
    upright = graph.where(y > 0, math.pi / 2 - angle, -math.pi / 2 - angle)
    flat = graph.where(x >= 0, angle, graph.where(y >= 0, angle + math.pi, angle - math.pi))
    return graph.where(steep, upright, flat)


def ordered(how: Any, hits: Hits) -> Hits:
    """The hits of each event in the order of a sequence."""
    if type(how) is order.RasterOrder:
        return hits
    if type(how) is order.EnergyOrder:
        return hits.sorted_by(hits.energy * -1)
    if type(how) is order.PrincipalAxisOrder:
        moments = Covariance(hits, hits.energy)
        angle = moments.angle().take(hits.event)
        return hits.sorted_by(moments.column * angle.apply("Cos") + moments.row * angle.apply("Sin"))
    raise NotTranslatedError(type(how).__name__)


def edge_columns(chosen: Mapping[str, Any], hits: Hits, neighbours: Neighbours) -> Array | None:
    """(edge, feature): differences of target minus source; None if no feature is chosen."""
    source, target = neighbours.edges
    columns = []
    rows, columns_apart, energy = (one.take(target) - one.take(source) for one in (hits.row, hits.column, hits.energy))
    for feature in chosen.values():
        if type(feature) is edge_features.Offset:
            columns += [rows.float(), columns_apart.float()]
        elif type(feature) is edge_features.Distance:
            columns.append((rows * rows + columns_apart * columns_apart).float().apply("Sqrt"))
        elif type(feature) is edge_features.EnergyDifference:
            columns.append(energy)
        else:
            raise NotTranslatedError(type(feature).__name__)
    return hits.graph.concat([one.unsqueeze(1) for one in columns], 1) if columns else None
