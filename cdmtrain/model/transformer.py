"""Transformer encoder over the hits of an event (Vaswani 2017, arXiv:1706.03762): every hit attends to every other.

Notable choices:
- hits are a set: the index of a hit in the sequence is not encoded, its row and column are;
- row x and column y are encoded by sin(2^k pi x) and cos(2^k pi x), as in NeRF (arXiv:2003.08934, eq. 4), and enter
  beside the other features of the hit;
- a learned token stands for the whole event, as in BERT (arXiv:1810.04805), and alone is classified.

Differences from the paper: normalisation comes before attention and MLP (arXiv:2002.04745), and once more at the end;
GELU by default, not ReLU; no bias in queries, keys and values; no dropout on the embedding; no decoder. Of the last
layer the token of the event alone is computed, since nothing else is used.

On a CPU in float32 the tokens of all events are rows one after another, without padding.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cdmtrain.batch import Sequence
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.attended_means import attended_means
from cdmtrain.layers.by_length import encode_by_length, encode_hits_by_length
from cdmtrain.layers.feed_forward import feed_forward
from cdmtrain.layers.one_pass import fits_float32
from cdmtrain.layers.ragged_attention import ragged_attention

Rows = Float[Tensor, "row width"]
Tokens = Float[Tensor, "event token width"]
Mask = Bool[Tensor, "event token"]
Heads = Float[Tensor, "3 event head token column"]


class Transformer(nn.Module):
    """Embedding of the hits, encoder layers, one linear layer on the token of the event.

    An event without a hit is its token alone.

    Args:
        width: numbers that describe a hit, divisible by `heads`.
        depth: encoder layers.
        heads: attention heads of each layer.
        dropout: probability that an output of attention or MLP is set to zero before it is added, in training.
        frequencies: sines and cosines of each coordinate; the shortest wavelength is 2^(2 - frequencies) images.
        activation: of the MLP: relu, gelu, silu, tanh or sigmoid.
        num_features: features of a hit as the representation gives them: energy, row, column (0 to 1), and others.
        num_classes: number of logits C.

    Shapes: Sequence with feature (B, L, F), mask (B, L) -> (B, C).
    """

    ignores: ClassVar = ("order",)
    first_features: ClassVar = ("energy", "position")

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
        frequencies: int,
        activation: str = "gelu",
        num_features: int = 3,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} is not divisible by heads={heads}; every head has the same share")
        if num_features < 3:
            raise ValueError(f"num_features={num_features}: energy, row and column of each hit are expected")
        self.frequency: Tensor
        self.register_buffer("frequency", torch.pi * 2.0 ** torch.arange(frequencies), persistent=False)
        self.embedding = nn.Linear(num_features + 4 * frequencies, width)
        self.whole_event = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, dropout, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, sequence: Sequence) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(sequence))

    def embed(self, sequence: Sequence) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        if not fits_float32(sequence.feature):
            return encode_by_length(self._encode, sequence, num_groups=8)
        x, begin = self._rows(sequence)
        for layer in self.layers[:-1]:
            x = layer(x, partial(ragged_attention, begin=begin))
        return self.norm(cast(EncoderLayer, self.layers[-1]).first_of_rows(x, begin))

    def hit_features(self, sequence: Sequence) -> Float[Tensor, "hit feature"]:
        """The features of each hit after all layers, in the order of the sequence."""
        if not fits_float32(sequence.feature):
            return encode_hits_by_length(self._encode_hits, sequence, num_groups=8)
        x, begin = self._rows(sequence)
        for layer in self.layers:
            x = layer(x, partial(ragged_attention, begin=begin))
        is_hit = torch.ones(len(x), dtype=torch.bool).index_fill_(0, torch.from_numpy(begin[:-1]), False)
        return self.norm(x[is_hit])

    def attention(self, sequence: Sequence) -> Float[Tensor, "event element"]:
        """How much the token of the event attends to each hit in the last layer, on the average of the heads."""
        x, mask = self._tokens(sequence)
        for layer in self.layers[:-1]:
            x = layer(x, partial(_attend, mask=mask))
        return cast(EncoderLayer, self.layers[-1]).first_weights(x, mask)[:, 1:]

    def _encode(self, sequence: Sequence) -> Float[Tensor, "event width"]:
        x, mask = self._tokens(sequence)
        for layer in self.layers[:-1]:
            x = layer(x, partial(_attend, mask=mask))
        return self.norm(cast(EncoderLayer, self.layers[-1]).first(x, mask))

    def _encode_hits(self, sequence: Sequence) -> Tokens:
        x, mask = self._tokens(sequence)
        for layer in self.layers:
            x = layer(x, partial(_attend, mask=mask))
        return self.norm(x[:, 1:])

    def _tokens(self, sequence: Sequence) -> tuple[Tokens, Mask]:
        """The token of the event and its embedded hits."""
        hits = self._embed(sequence.feature)
        x = torch.cat([self.whole_event.to(hits.dtype).expand(len(hits), 1, -1), hits], dim=1)
        return x, nn.functional.pad(sequence.mask, (1, 0), value=True)

    def _rows(self, sequence: Sequence) -> tuple[Rows, Int[np.ndarray, " event_plus_1"]]:
        """The same as rows without padding, those of event i from begin[i] to begin[i + 1]."""
        mask = nn.functional.pad(sequence.mask, (1, 0), value=True)
        begin = nn.functional.pad(mask.sum(1).cumsum(0), (1, 0))
        feature = nn.functional.pad(sequence.feature, (0, 0, 1, 0)).flatten(0, 1)
        x = self._embed(feature.index_select(0, mask.flatten().nonzero().squeeze(1)))
        return x.index_copy(0, begin[:-1], self.whole_event.expand(len(mask), -1)), begin.numpy()

    def _embed(self, feature: Float[Tensor, "*hit feature"]) -> Float[Tensor, "*hit width"]:
        angle = (feature[..., 1:3].unsqueeze(-1) * self.frequency).flatten(-2)
        return self.embedding(torch.cat([feature, angle.sin(), angle.cos()], dim=-1))


class EncoderLayer(nn.Module):
    """x + attention(LN(x)), then x + MLP(LN(x))."""

    def __init__(self, width: int, heads: int, dropout: float, activation: str) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.joined = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), make_activation(activation), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*token width"], attend: Callable[..., Tensor]) -> Float[Tensor, "*token width"]:
        """attend(query_key_value, heads=heads) is softmax(Q K^T / sqrt(width of a head)) V in each head (eq. 1)."""
        return self._update(x, attend(self.query_key_value(self.norms[0](x)), heads=self.heads))

    def first(self, x: Tokens, mask: Mask) -> Float[Tensor, "event width"]:
        """The first token alone, as `forward` gives it; it attends to all."""
        query, key, value = _split(self.query_key_value(self.norms[0](x)), self.heads)
        attended = nn.functional.scaled_dot_product_attention(
            query[:, :, :1], key, value, attn_mask=mask[:, None, None]
        )
        return self._update(x[:, :1], attended.transpose(1, 2).flatten(2)).squeeze(1)

    def first_of_rows(self, x: Rows, begin: Int[np.ndarray, " event_plus_1"]) -> Float[Tensor, "event width"]:
        """The same without keys and values: q . W_k x is W_k^T q . x, and the mean of values is W_v times one of x."""
        normed, first = self.norms[0](x), torch.from_numpy(begin[:-1])
        weights = self.query_key_value.weight.unflatten(0, (3, self.heads, -1))  # (3, head, column, width)
        query = torch.einsum("ew,hcw->ehc", normed.index_select(0, first), weights[0]) / weights.shape[2] ** 0.5
        means = attended_means(torch.einsum("ehc,hcw->ehw", query, weights[1]), normed, begin)
        return self._update(x.index_select(0, first), torch.einsum("ehw,hcw->ehc", means, weights[2]).flatten(1))

    def first_weights(self, x: Tokens, mask: Mask) -> Float[Tensor, "event token"]:
        """How much the first token attends to each, softmax(q K^T / sqrt(width of a head)): mean over heads."""
        query, key, _ = _split(self.query_key_value(self.norms[0](x)), self.heads)
        similarity = query[:, :, :1] @ key.transpose(2, 3) / query.shape[3] ** 0.5
        return similarity.masked_fill(~mask[:, None, None], -torch.inf).softmax(3).mean(1).squeeze(1)

    def _update(
        self, x: Float[Tensor, "*token width"], attended: Float[Tensor, "*token width"]
    ) -> Float[Tensor, "*token width"]:
        x = x + self.dropout(self.joined(attended))
        drops = self.training and self.dropout.p > 0
        if x.dim() == 2 and isinstance(self.mlp[1], nn.GELU) and not drops:  # rows without padding
            return feed_forward(x, cast(nn.LayerNorm, self.norms[1]), self.mlp)
        return x + self.dropout(self.mlp(self.norms[1](x)))


def _attend(query_key_value: Float[Tensor, "event token three_widths"], *, mask: Mask, heads: int) -> Tokens:
    """Attention to the tokens that are not padding."""
    query, key, value = _split(query_key_value, heads)
    attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
    return attended.transpose(1, 2).flatten(2)


def _split(query_key_value: Float[Tensor, "event token three_widths"], heads: int) -> Heads:
    return query_key_value.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
