"""Graph networks in a graph: gather over the table of neighbours, then reduce."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv, global_add_pool, global_max_pool

from cdmtrain.export.events import Segments
from cdmtrain.export.graph import Array
from cdmtrain.export.layers import NotTranslatedError, each, layer, numbers, pair_linear
from cdmtrain.export.models import logits
from cdmtrain.export.neighbours import LOWEST, Neighbours
from cdmtrain.export.representation import Pixels
from cdmtrain.model.edgeconv import EdgeConv
from cdmtrain.model.gnn import GNN
from cdmtrain.model.graph_network import GNBlock, GraphNetwork
from cdmtrain.model.message_passing import MessagePassing


def parts(pixels: Pixels) -> tuple[Array, Neighbours, Segments]:
    assert pixels.feature is not None
    assert pixels.neighbours is not None
    return pixels.feature, pixels.neighbours, pixels.hits


def pooled(segments: Segments, x: Array, how: str) -> Array:
    """(event, feature) sum, mean or max over the rows of each event; 0 without a row."""
    if how == "max":
        return segments.max(x)
    return segments.mean(x) if how == "mean" else segments.sum(x)


@logits.register
def _(model: GNN, pixels: Pixels) -> Array:
    x, neighbours, nodes = parts(pixels)
    if model.is_gcn_mean:
        return layer(model.linear, _gcn_mean(model, x, neighbours, nodes))
    for number, convolution in enumerate(model.convolutions):
        x = _convolution(convolution, x if number == 0 else layer(model.activation, x), neighbours)
    how = {global_max_pool: "max", global_add_pool: "sum"}.get(model.pool, "mean")
    return layer(model.linear, pooled(nodes, x, how))


def _gcn_mean(model: GNN, x: Array, neighbours: Neighbours, nodes: Segments) -> Array:
    """The last layer is linear up to the mean over nodes, so it acts on one row per event, as in `layers.gcn_mean`."""
    graph, scale = x.graph, _scale(neighbours).squeeze(1)
    convolutions: Any = model.convolutions
    *inner, last = convolutions
    weight = scale * (neighbours.sum_at_sources(scale) + scale)
    function = partial(layer, nn.Identity())
    for convolution in inner:
        x = _smoothed(function(x), neighbours)
        function = partial(_gcn_layer, convolution, model.activation)
    mean = nodes.sum_of(function, x, weight=weight) / nodes.at_least_one
    bias = graph.constant(numbers(last.bias)) * (nodes.num_rows > 0).float().unsqueeze(1)
    return layer(last.lin, mean) + bias


def _scale(neighbours: Neighbours) -> Array:
    """(node, 1) the diagonal of D^-1/2, D counting the neighbours and the node itself."""
    return (neighbours.counts + 1).apply("Sqrt").apply("Reciprocal")


def _smoothed(x: Array, neighbours: Neighbours) -> Array:
    """D^-1/2 (A + 1) D^-1/2 x."""
    scale = _scale(neighbours)
    scaled = scale * x
    return scale * (neighbours.sum_of_sources(scaled) + scaled)


def _gcn_layer(convolution: Any, activation: nn.Module, x: Array) -> Array:
    return layer(activation, _gcn_linear(convolution, x))


def _gcn_linear(convolution: Any, x: Array) -> Array:
    weight, bias = (x.graph.constant(numbers(one)) for one in (convolution.lin.weight.t(), convolution.bias))
    return x.graph.op("Gemm", x, weight, bias)


def _convolution(convolution: Any, x: Array, neighbours: Neighbours) -> Array:
    if type(convolution) is GCNConv:
        return _gcn_linear(convolution, _smoothed(x, neighbours))
    if type(convolution) is GATConv:
        return _gat(convolution, x, neighbours.with_self())
    total = neighbours.sum_of_sources(x)
    if type(convolution) is GINConv:
        return layer(convolution.nn, total + x * (1 + float(convolution.eps)))
    if type(convolution) is SAGEConv:
        return layer(convolution.lin_l, total / neighbours.counts.maximum(1)) + layer(convolution.lin_r, x)
    raise NotTranslatedError(type(convolution).__name__)


def _gat(convolution: Any, x: Array, neighbours: Neighbours) -> Array:
    """One head: attention among the sources of each node, the node itself included."""
    graph, x = x.graph, layer(convolution.lin, x)
    weights = (graph.constant(numbers(one).reshape(-1, 1)) for one in (convolution.att_src, convolution.att_dst))
    source, target = (x @ one for one in weights)
    score = neighbours.of_sources(source).reduce("Sum", 2) + target
    score = score.apply("LeakyRelu", alpha=convolution.negative_slope)
    weight = graph.where(neighbours.valid, score, LOWEST).apply("Softmax", axis=1)
    weighted = weight.unsqueeze(1) @ neighbours.of_sources(x)
    return weighted.reduce("Sum", 1) + graph.constant(numbers(convolution.bias))


@logits.register
def _(model: MessagePassing, pixels: Pixels) -> Array:
    h, neighbours, nodes = parts(pixels)
    if model.self_messages:
        neighbours = neighbours.with_self()
    steps: Any = zip(model.pairs, model.messages, model.norms, strict=True)
    for pair, (activation, linear), norm in steps:
        if model.aggregation == "max":
            h = neighbours.of_pairs(pair, h, partial(each, (activation, linear)), "max")
        else:  # the last layer of a message is linear, so it is applied to the sum
            total = neighbours.of_pairs(pair, h, partial(layer, activation), model.aggregation)
            number = neighbours.counts.minimum(1) if model.aggregation == "mean" else neighbours.counts
            bias = number * h.graph.constant(numbers(linear.bias))
            h = total @ h.graph.constant(numbers(linear.weight.t())) + bias
        h = layer(model.update, layer(norm, h))
    return layer(model.linear, nodes.mean(h))


@logits.register
def _(model: EdgeConv, pixels: Pixels) -> Array:
    x, neighbours, nodes = parts(pixels)
    if model.dynamic:
        raise NotTranslatedError("EdgeConv with dynamic=true")
    neighbours, outputs = neighbours.with_self(), list[Array]()
    steps: Any = zip(model.pairs, model.h, model.norms, strict=True)
    for pair, h, norm in steps:
        x = layer(model.activation, layer(norm, neighbours.of_pairs(pair, x, partial(layer, h), "max")))
        outputs.append(x)
    x = x.graph.concat(outputs, 1)
    return layer(model.linear, x.graph.concat([nodes.mean(x), nodes.max(x)], 1))


@logits.register
def _(model: GraphNetwork, pixels: Pixels) -> Array:
    v, neighbours, nodes = parts(pixels)
    e, u = pixels.edge_feature, None
    for block in model.blocks:
        assert isinstance(block, GNBlock)
        new = _gn_block(block, e, v, u, neighbours, nodes)
        e, v, u = new if u is None or e is None else (e + new[0], v + new[1], u + new[2])
    assert u is not None
    return layer(model.linear, u)


def _gn_block(
    block: GNBlock, e: Array | None, v: Array, u: Array | None, neighbours: Neighbours, nodes: Segments
) -> tuple[Array, Array, Array]:
    """Update all edges, then all nodes, then all events."""
    graph, how = v.graph, block.rho.keywords["reduce"]
    v = v if u is None else graph.concat([v, u.take(nodes.event)], 1)
    hidden = pair_linear(block.of_ends, v, neighbours.edges)
    e = layer(block.phi_e, hidden if block.of_edge is None or e is None else hidden + layer(block.of_edge, e))
    v = layer(block.phi_v, graph.concat([neighbours.of_edges(e, how), v], 1))
    edges = Segments(nodes.event.take(neighbours.edges[1]), nodes.num_events)
    whole = [pooled(edges, e, how), pooled(nodes, v, how), *([] if u is None else [u])]
    return e, v, layer(block.phi_u, graph.concat(whole, 1))
