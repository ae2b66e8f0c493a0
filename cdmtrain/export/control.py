"""Loops and branches of a graph: what they compute is written as functions, which use arrays made before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from cdmtrain.export.graph import Array, Graph, Size

INFO, TYPE = helper.make_tensor_value_info, helper.np_dtype_to_tensor_dtype


def blocks(number: Array, make: Callable[[Array], Array]) -> Array:
    """make(0), make(1), ..., which have one shape, stacked."""
    graph, index, keep = number.graph, number.graph.array(np.int64), number.graph.array(bool)
    nodes, (again, result) = _inside(graph, lambda: [keep, make(index)])
    inputs = [INFO(index.name, onnx.TensorProto.INT64, []), INFO(keep.name, onnx.TensorProto.BOOL, [])]
    outputs = [INFO(again.name, onnx.TensorProto.BOOL, []), INFO(result.name, TYPE(result.dtype), None)]
    body, stacked = helper.make_graph(nodes, "block", inputs, outputs), graph.array(result.dtype)
    yes = graph.constant(np.array(True))
    graph.nodes.append(helper.make_node("Loop", [number.name, yes.name], [stacked.name], body=body))
    return stacked


def in_blocks(length: Array, size: Size, make: Callable[[Array, Array], Array]) -> Array:
    """(row, ...) from make(first, end), which gives the rows first : end, at most `size` of `length` at a time."""
    graph, rows = length.graph, length.minimum(size)
    step, last = rows.maximum(1), length - rows

    def block(index: Array) -> Array:
        first = (index * rows).minimum(last)  # the last block overlaps the one before: all have one shape
        return make(first, first + rows)

    stacked = blocks(((length + (step - 1)) / step).maximum(1), block)
    row = graph.arange(length)
    number = row / step
    place = [number, row - (number * rows).minimum(last)]
    return graph.op("GatherND", stacked, graph.concat([one.unsqueeze(1) for one in place], 1))


def either(condition: Array, yes: Callable[[], Sequence[Array]], no: Callable[[], Sequence[Array]]) -> list[Array]:
    """The arrays of `yes` or of `no`, of which only one is computed."""
    graph, branches = condition.graph, {}
    for name, make in (("then_branch", yes), ("else_branch", no)):
        nodes, results = _inside(graph, make)
        infos = [INFO(one.name, TYPE(one.dtype), None) for one in results]
        branches[name] = helper.make_graph(nodes, name, [], infos)
    given = [graph.array(one.dtype) for one in results]
    graph.nodes.append(helper.make_node("If", [condition.name], [one.name for one in given], **branches))
    return given


def _inside(graph: Graph, make: Callable[[], Sequence[Array]]) -> tuple[list[onnx.NodeProto], list[Array]]:
    """The nodes that compute some arrays, and their results, which are made here even if nothing is computed."""
    outside, graph.nodes = graph.nodes, []
    results = [one.apply("Identity") for one in make()]
    inside, graph.nodes = graph.nodes, outside
    return inside, results
