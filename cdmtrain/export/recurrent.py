"""Recurrent networks in a graph, by ONNX's own nodes, which know the length of each sequence."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from cdmtrain.export.attention import Group, groups_of
from cdmtrain.export.control import either
from cdmtrain.export.events import Segments
from cdmtrain.export.graph import Array, Graph
from cdmtrain.export.layers import numbers

# the node, and where ONNX expects each of torch's gates: LSTM i f g o -> i o f c, GRU r z n -> z r h
CELLS: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "RNN": ("RNN", [0], {}),
    "LSTM": ("LSTM", [0, 3, 1, 2], {}),
    "GRU": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
}


def last_outputs(directions: list[Any], feature: Array, segments: Segments, num_groups: int = 4) -> Array:
    """(event, hidden) the outputs at the last hit, and of the network that reads backwards at the first.

    Args:
        directions: the layers of the network that reads forwards, and of the one that reads backwards if there is one.
        feature: (hit, feature)
    """
    graph = feature.graph
    padded = graph.concat([feature, graph.full([1, feature.size(1)], 0.0)])
    width = len(directions) * directions[0][0].hidden_size
    groups, place = groups_of(segments, num_groups)
    outputs = []
    for group in groups:  # onnxruntime does not end where a group has no event
        outputs += either(
            group.index.size() > 0,
            partial(_group_outputs, directions, padded, group),
            lambda: [graph.full([0, width], 0.0)],
        )
    return graph.concat(outputs).take(place)


def _group_outputs(directions: list[Any], padded: Array, group: Group) -> list[Array]:
    """One array (event of the group, hidden)."""
    graph, width = padded.graph, len(directions) * directions[0][0].hidden_size
    length = group.mask.cast(np.int32).reduce("Sum", 1).maximum(1)
    x = padded.take(group.table).transpose(1, 0, 2)
    for layers in zip(*directions, strict=True):
        y, last = _read(graph, list(layers), x, length)
        x = y.transpose(0, 2, 1, 3).reshape(y.size(0), y.size(2), width)
    return [last.transpose(1, 0, 2).reshape(last.size(1), width)]


def _read(graph: Graph, layers: list[Any], x: Array, length: Array) -> tuple[Array, Array]:
    """Outputs (time, direction, event, hidden) and the last of each direction."""
    node, order, more = CELLS[type(layers[0]).__name__]
    hidden = layers[0].hidden_size

    def gates(name: str) -> np.ndarray:
        """(direction, gate x hidden, ...) in ONNX's order."""
        parts = [numbers(getattr(one, name)).reshape(len(order), hidden, -1) for one in layers]
        return np.stack([np.concatenate([part[gate] for gate in order]) for part in parts])

    weight, recurrent = (graph.constant(gates(f"weight_{name}_l0")) for name in ("ih", "hh"))
    bias = graph.constant(np.concatenate([gates(f"bias_{name}_l0").squeeze(2) for name in ("ih", "hh")], axis=1))
    direction = "bidirectional" if len(layers) == 2 else "forward"
    options = {"hidden_size": hidden, "direction": direction, **more}
    y, last = graph.ops(node, x, weight, recurrent, bias, length, dtypes=[np.float32] * 2, **options)
    return y, last
