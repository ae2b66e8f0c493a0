"""From a network and what its representation gives to logits: one function for each architecture."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any, cast

import numpy as np
from torch import nn

from cdmtrain.export.attention import Attention
from cdmtrain.export.events import Segments
from cdmtrain.export.graph import Array
from cdmtrain.export.layers import NotTranslatedError, each, layer, numbers
from cdmtrain.export.recurrent import last_outputs
from cdmtrain.export.representation import Pixels
from cdmtrain.export.sparse import Sites, down, find_sites, submanifold
from cdmtrain.model.alexnet import AlexNet
from cdmtrain.model.cnn import CNN
from cdmtrain.model.densenet import DenseNet
from cdmtrain.model.dnn import DNN
from cdmtrain.model.module import ImageModule
from cdmtrain.model.perceptron import Perceptron
from cdmtrain.model.resnet import ResNet
from cdmtrain.model.rnn import RNN
from cdmtrain.model.self_attention import SelfAttention
from cdmtrain.model.sparse_resnet import ResidualBlock, SparseResNet
from cdmtrain.model.transformer import EncoderLayer, Transformer
from cdmtrain.model.vit import ViT


@singledispatch
def logits(model: nn.Module, pixels: Pixels) -> Array:
    """Compute a network; NotTranslatedError if it is not one of this program."""
    raise NotTranslatedError(type(model).__name__)


def image_of(pixels: Pixels) -> Array:
    return pixels.hits.image() if pixels.image is None else pixels.image


@logits.register
def _(model: AlexNet, pixels: Pixels) -> Array:
    return layer(model.linear, _flat(layer(model.convolutions, image_of(pixels))))


@logits.register
def _(model: CNN, pixels: Pixels) -> Array:
    return layer(model.linear, _flat(layer(model.blocks, image_of(pixels))))


@logits.register
def _(model: DenseNet, pixels: Pixels) -> Array:
    return layer(model.linear, layer(model.layers, image_of(pixels)).reduce("Mean", 2, 3))


@logits.register
def _(model: ResNet, pixels: Pixels) -> Array:
    return layer(model.linear, each([model.stem, model.stages], image_of(pixels)).reduce("Mean", 2, 3))


@logits.register
def _(model: ImageModule, pixels: Pixels) -> Array:
    if not isinstance(model.module, nn.Module):
        raise NotTranslatedError(type(model.module).__name__)
    image = image_of(pixels)
    return layer(model.module, image.graph.concat([image] * model.channels, 1))


def _flat(x: Array) -> Array:
    return x.graph.op("Flatten", x, axis=1)


@logits.register
def _(model: Perceptron, pixels: Pixels) -> Array:
    return pixel_linear(model.linear, pixels)


@logits.register
def _(model: DNN, pixels: Pixels) -> Array:
    return each(list(model.layers)[1:], pixel_linear(model.layers[0], pixels))


def pixel_linear(module: Any, pixels: Pixels) -> Array:
    """The sum of the weights of the lit pixels times their energies."""
    graph, hits = pixels.hits.graph, pixels.hits
    weight, bias = numbers(module.weight), graph.constant(numbers(module.bias))
    if pixels.image is not None:
        return graph.op("Gemm", _flat(pixels.image), graph.constant(weight), bias)
    square = hits.image_size**2
    x = hits.sum(graph.constant(weight[:square]), weight=hits.energy, index=hits.pixel) + bias
    return x if pixels.event_feature is None else x + pixels.event_feature @ graph.constant(weight[square:])


@logits.register
def _(model: SparseResNet, pixels: Pixels) -> Array:
    assert pixels.feature is not None
    graph, pooled = pixels.hits.graph, list[Array]()
    x, stages, downs = pixels.feature, cast(Any, model.stages), cast(Any, model.downs)
    for number, sites in enumerate(find_sites(pixels.hits, len(stages))):
        step = down(downs[number - 1], x, sites) if number else submanifold(model.stem, x, sites)
        x = layer(model.activation, step)
        for block in stages[number]:
            x = _residual(block, x, sites)
        pooled += [sites.segments.mean(x), sites.segments.max(x).maximum(0)]
    whole = [] if pixels.event_feature is None else [pixels.event_feature]
    return layer(model.head, graph.concat([*pooled, *whole], 1))


def _residual(block: ResidualBlock, x: Array, sites: Sites) -> Array:
    hidden = layer(block.first.activation, submanifold(block.first, x, sites))
    return layer(block.second.activation, x + submanifold(block.second, hidden, sites))


@logits.register
def _(model: RNN, pixels: Pixels) -> Array:
    assert pixels.feature is not None
    directions = [one for one in (model.forward_rnn, model.backward_rnn) if len(one)]
    return layer(model.linear, last_outputs(directions, pixels.feature, pixels.hits))


@logits.register
def _(model: SelfAttention, pixels: Pixels) -> Array:
    assert pixels.feature is not None
    x = layer(model.activation, layer(model.embedding, pixels.feature))
    weight = np.concatenate([numbers(one.weight.t()) for one in (model.query, model.key, model.value)], axis=1)
    z = Attention(pixels.hits, tokens=False)(x @ x.graph.constant(weight), len(weight), 1)
    return layer(model.linear, pixels.hits.mean(layer(model.activation, x + z)))


@logits.register
def _(model: Transformer, pixels: Pixels) -> Array:
    assert pixels.feature is not None
    feature, hits = pixels.feature, pixels.hits
    graph = feature.graph
    place = feature.part(1, 3, axis=1).unsqueeze(2)
    angle = (place * graph.constant(numbers(model.frequency))).reshape(-1, 2 * len(model.frequency))
    x = layer(model.embedding, graph.concat([feature, angle.apply("Sin"), angle.apply("Cos")], 1))
    x, attention = _with_tokens(numbers(model.whole_event), x, hits)
    for number, block in enumerate(model.layers, 1):
        assert isinstance(block, EncoderLayer)
        query_key_value = layer(block.query_key_value, layer(block.norms[0], x))
        widths = len(model.whole_event), block.heads
        if number < len(model.layers):
            attended = attention(query_key_value, *widths)
        else:  # of the last layer the tokens of the events alone are needed
            x, attended = x.rows(0, hits.num_events), attention.of_tokens(query_key_value, *widths)
        x = x + layer(block.joined, attended)
        x = x + layer(block.mlp, layer(block.norms[1], x))
    return layer(model.linear, layer(model.norm, x))


@logits.register
def _(model: ViT, pixels: Pixels) -> Array:
    hits, graph = pixels.hits, pixels.hits.graph
    size, side = model.patch_size, math.isqrt(len(model.position))
    number = hits.row / size * side + hits.column / size  # of the patch
    key = hits.event * side**2 + number
    cells = hits.num_events * side**2
    lit = graph.full([cells], False, bool).scatter(key, graph.full([key.size()], True, bool))
    (patch,) = lit.nonzero()
    index = graph.full([cells], 0, np.int64).scatter(patch, graph.arange(patch.size()))
    inside = hits.row % size * size + hits.column % size
    dark = graph.full([patch.size() * size**2], 0.0)
    content = dark.scatter(index.take(key) * size**2 + inside, hits.energy).reshape(-1, size**2)
    weight = numbers(model.embedding.weight).reshape(-1, model.embedding.in_features // size**2, size**2).sum(1)
    position = graph.constant(numbers(model.position)).take(patch % side**2)
    x = content @ graph.constant(weight.T) + graph.constant(numbers(model.embedding.bias)) + position
    patches = Segments(patch / side**2, hits.num_events)
    x, attention = _with_tokens(numbers(model.whole_event), x, patches)
    for block in model.layers:
        x = _encoder_layer(block, x, attention)
    return layer(model.linear, layer(model.norm, x.rows(0, hits.num_events)))


def _with_tokens(token: np.ndarray, x: Array, segments: Segments) -> tuple[Array, Attention]:
    """The token of each event, then all other rows; and the attention among those of an event."""
    graph = x.graph
    tokens = graph.op("Expand", graph.constant(token), graph.shape(segments.num_events, len(token)))
    return graph.concat([tokens, x]), Attention(segments, tokens=True)


def _encoder_layer(block: Any, x: Array, attention: Attention) -> Array:
    """PyTorch's encoder layer, normalised first."""
    own, graph = block.self_attn, x.graph
    weight, bias = graph.constant(numbers(own.in_proj_weight.t())), graph.constant(numbers(own.in_proj_bias))
    query_key_value = graph.op("Gemm", layer(block.norm1, x), weight, bias)
    x = x + layer(own.out_proj, attention(query_key_value, own.embed_dim, own.num_heads))
    hidden = layer(block.activation, layer(block.linear1, layer(block.norm2, x)))
    return x + layer(block.linear2, hidden)
