"""Loops and branches of a graph: what they compute is written as functions, which use arrays made before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx
from onnx import helper

from cdmtrain.export.graph import Array, Graph, Size

INFO, TYPE = helper.make_tensor_value_info, helper.np_dtype_to_tensor_dtype


def in_blocks(arrays: Sequence[Array], most: Size, make: Callable[..., Array]) -> Array:
    """make(*arrays), a row for each of theirs, with at most so many rows at a time.

    The last block is filled with zeros: indices must allow for a row 0.
    """
    graph, number = arrays[0].graph, arrays[0].size()
    rows = number.minimum(most).maximum(1)
    num_blocks = ((number + (rows - 1)) / rows).maximum(1)
    missing = graph.shape(0, num_blocks * rows - number)
    cut = []
    for one in arrays:
        filled = graph.op("Pad", one, missing, None, graph.shape(0))
        cut.append(filled.with_first_axes(1, num_blocks, rows))
    given = [graph.array(one.dtype) for one in arrays]
    nodes, (result,) = _inside(graph, lambda: [make(*given)])
    inputs = [INFO(one.name, TYPE(one.dtype), None) for one in given]
    body = helper.make_graph(nodes, "block", inputs, [INFO(result.name, TYPE(result.dtype), None)])
    stacked = graph.op("Scan", *cut, body=body, num_scan_inputs=len(cut), dtype=result.dtype)
    return stacked.with_first_axes(2, num_blocks * rows).rows(0, number)


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
