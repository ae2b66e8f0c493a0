"""From trained networks to an ONNX model: views, networks, the mean of their probabilities, metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cdmtrain.batch import EventBatch
from cdmtrain.calibration.scaling import LEAST_LOG
from cdmtrain.export import graphs  # noqa: F401  registers its networks
from cdmtrain.export.events import Hits, hits_of_arrays, hits_of_image, turned
from cdmtrain.export.graph import IR_VERSION, OPSET, Array, Graph
from cdmtrain.export.models import logits
from cdmtrain.export.representation import represent

FEW_WEIGHTS = 64  # that are not worth to be halved
MOST_HALF = float(np.finfo(np.float16).max)


def onnx_model(
    networks: Sequence[Any],
    *,
    image_size: int,
    takes: str,
    symmetries: bool,
    about: Mapping[str, Any],
    precision: int = 32,
    scaling: tuple[Sequence[float], Sequence[float]] | None = None,
) -> onnx.ModelProto:
    """The mean of the probabilities of some networks, as `runs.combined.Ensemble`.

    Args:
        networks: with `representation` and `model`, in evaluation mode.
        image_size: rows and columns of an image.
        takes: image or hits.
        symmetries: whether the eight turned and mirrored views of each event are averaged.
        about: the metadata; `classes` names the probabilities of an event.
        precision: 16 stores weights in half precision; all is computed in float32.
        scaling: scale and bias for each class, which make softmax(scale * log p + bias) of the mean p.

    Raises:
        NotTranslatedError: where a part of a network is not one of this program.
    """
    graph, dense = Graph(), None
    if takes == "image":
        image = graph.input("image", np.float32, ["events", image_size, image_size])
        hits, dense = hits_of_image(image, image_size), image.unsqueeze(1)
    else:
        hits = _hits(graph, image_size)
    shape = -1, hits.num_events, len(about["classes"])
    if symmetries:
        hits, dense = turned(hits), None
    found = [logits(one.model, represent(one.representation, hits, dense)) for one in networks]
    if len(found) > 1 or symmetries:
        views = graph.concat([one.apply("LogSoftmax", axis=1).reshape(*shape) for one in found])
        found = [views.reduce("LogSumExp", 0)]  # of the sum, in place of the mean, whose softmax is the same
    if scaling is not None:
        scale, bias = (graph.constant(np.array(one, np.float32)) for one in scaling)
        found = [found[0].apply("LogSoftmax", axis=1).maximum(LEAST_LOG) * scale + bias]
    return finished(graph, found[0].apply("Softmax", axis=1), about, precision)


def _hits(graph: Graph, image_size: int) -> Hits:
    """Hits in any order; `num_events` need not be given, and tells of events without a hit after the last hit."""
    event, pixel = (graph.input(name, np.int64, ["hits"]) for name in ("event", "pixel"))
    energy = graph.input("energy", np.float32, ["hits"])
    told = graph.input("num_events", np.int64, [], default=np.array(0, np.int64))
    return hits_of_arrays(event, pixel, energy, told.maximum(event.largest(-1) + 1), image_size)


def finished(graph: Graph, probabilities: Array, about: Mapping[str, Any], precision: int) -> onnx.ModelProto:
    """The nodes that `probabilities` needs, as a model."""
    needed, nodes = {probabilities.name}, list[onnx.NodeProto]()
    for node in reversed(graph.nodes):
        if needed & set(node.output):
            needed |= names_used(node)
            nodes.insert(0, node)
    if precision == 16:
        nodes = [*_halved(graph, needed), *nodes]
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.values() if name in needed]
    constants += [numpy_helper.from_array(value, name) for name, value in graph.defaults.items()]
    nodes.append(helper.make_node("Identity", [probabilities.name], ["probabilities"]))
    shape: list[str | int | None] = ["events", len(about["classes"])]
    output = helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, shape)
    whole = helper.make_graph(nodes, "cdmtrain", graph.inputs, [output], constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(whole, opset_imports=[opset], ir_version=IR_VERSION, producer_name="cdmtrain")
    helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    return model


def _halved(graph: Graph, needed: set[str]) -> list[onnx.NodeProto]:
    """Store large weights in half precision; these nodes give them in float32, which onnxruntime does once."""
    casts = []
    for key, (name, value) in graph.constants.items():
        if value.dtype == np.float32 and value.size >= FEW_WEIGHTS and name in needed:
            half = np.clip(value, -MOST_HALF, MOST_HALF).astype(np.float16)
            graph.constants[key] = (f"{name}_half", half)
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
            needed.add(f"{name}_half")
    return casts


def names_used(node: onnx.NodeProto) -> set[str]:
    """What a node reads, in its branches too."""
    names = set(node.input)
    for attribute in node.attribute:
        for inside in attribute.g.node:
            names |= names_used(inside)
        names |= {one.name for one in attribute.g.output}
    return names


def feeds(batch: EventBatch) -> dict[str, np.ndarray]:
    """The inputs of a file that takes hits."""
    arrays = {"event": batch.event, "pixel": batch.pixel, "energy": batch.energy}
    return {name: one.numpy() for name, one in arrays.items()} | {"num_events": np.array(batch.num_events)}
