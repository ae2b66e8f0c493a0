"""Transformer encoder over the hits of an event (Vaswani 2017, arXiv:1706.03762): every hit attends to every other.

Notable choices:
- hits are a set: the index of a hit in the sequence is not encoded, its row and column are;
- row x and column y are encoded by sin(2^k pi x) and cos(2^k pi x), as in NeRF (arXiv:2003.08934, eq. 4), and enter
  beside the other features of the hit;
- a learned token stands for the whole event, as in BERT (arXiv:1810.04805), and alone is classified.

Differences from the paper: normalisation comes before attention and MLP (arXiv:2002.04745), and once more at the end;
GELU by default, not ReLU; no bias in queries, keys and values; no dropout on the embedding; no decoder. Of the last
layer the token of the event alone is computed, since nothing else is used.
"""

from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cdmtrain.batch import Sequence
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.by_length import encode_by_length, encode_hits_by_length

Tokens = Float[Tensor, "event token width"]
Mask = Bool[Tensor, "event token"]
Heads = Float[Tensor, "event head _ column"]


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
        return encode_by_length(self._encode, sequence, num_groups=8)

    def hit_features(self, sequence: Sequence) -> Float[Tensor, "hit feature"]:
        """The features of each hit after all layers, in the order of the sequence."""
        return encode_hits_by_length(self._encode_hits, sequence, num_groups=8)

    def attention(self, sequence: Sequence) -> Float[Tensor, "event element"]:
        """How much the token of the event attends to each hit in the last layer, on the average of the heads."""
        x, mask = self._tokens(sequence)
        for layer in self.layers[:-1]:
            x = layer(x, mask)
        return cast(EncoderLayer, self.layers[-1]).first_weights(x, mask)[:, 1:]

    def _encode(self, sequence: Sequence) -> Float[Tensor, "event width"]:
        x, mask = self._tokens(sequence)
        for layer in self.layers[:-1]:
            x = layer(x, mask)
        return self.norm(cast(EncoderLayer, self.layers[-1]).first(x, mask))

    def _encode_hits(self, sequence: Sequence) -> Tokens:
        x, mask = self._tokens(sequence)
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x[:, 1:])

    def _tokens(self, sequence: Sequence) -> tuple[Tokens, Mask]:
        """The token of the event and its embedded hits."""
        angle = (sequence.feature[..., 1:3].unsqueeze(3) * self.frequency).flatten(2)
        hits = self.embedding(torch.cat([sequence.feature, angle.sin(), angle.cos()], dim=2))
        x = torch.cat([self.whole_event.to(hits.dtype).expand(len(hits), 1, -1), hits], dim=1)
        return x, nn.functional.pad(sequence.mask, (1, 0), value=True)


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

    def forward(self, x: Tokens, mask: Mask) -> Tokens:
        query, key, value = self._query_key_value(self.norms[0](x))
        return self._update(x, query, key, value, mask)

    def first(self, x: Tokens, mask: Mask) -> Float[Tensor, "event width"]:
        """The first token alone, as `forward` gives it; it attends to all."""
        query, key, value = self._query_key_value(self.norms[0](x))
        return self._update(x[:, :1], query[:, :, :1], key, value, mask).squeeze(1)

    def _update(self, x: Tokens, query: Heads, key: Heads, value: Heads, mask: Bool[Tensor, "event key"]) -> Tokens:
        """softmax(Q K^T / sqrt(width of a head)) V in each head (eq. 1), over the tokens that are not padding."""
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        x = x + self.dropout(self.joined(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.norms[1](x)))

    def first_weights(self, x: Tokens, mask: Mask) -> Float[Tensor, "event token"]:
        """How much the first token attends to each, softmax(q K^T / sqrt(width of a head)): mean over heads."""
        query, key, _ = self._query_key_value(self.norms[0](x))
        similarity = query[:, :, :1] @ key.transpose(2, 3) / query.shape[3] ** 0.5
        return similarity.masked_fill(~mask[:, None, None], -torch.inf).softmax(3).mean(1).squeeze(1)

    def _query_key_value(self, x: Tokens) -> Float[Tensor, "3 event head token column"]:
        return self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
