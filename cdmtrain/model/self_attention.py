"""One layer of self-attention, written as in the lecture: similarity, softmax, weighted sum (arXiv:1706.03762, eq. 1).

Notable choices:
- hits are a set: logits do not depend on their order;
- one head, one layer; the result is added to the embedding, and the hits of an event are averaged.

Differences from the paper: no output projection, no normalisation and no MLP after the attention. `model=transformer`
has these and more layers and heads.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cdmtrain.batch import Sequence
from cdmtrain.layers.activation import make_activation


class SelfAttention(nn.Module):
    """logits = W mean_i(s(x_i + z_i)) + b, with z_i = sum_j a_ij W_v x_j, x_i = s(W_e f_i + b_e).

    s is an activation, by default ReLU. The mean is over the hits i of an event, whose features are f_i; it is zero for
    an event without a hit.

    Args:
        width: numbers that describe a hit.
        activation: relu, gelu, silu, tanh or sigmoid.
        num_features: features of a hit as the representation gives them.
        num_classes: number of logits C.

    Shapes: Sequence with feature (B, L, F), mask (B, L) -> (B, C).
    """

    ignores: ClassVar = ("order",)

    def __init__(self, *, width: int, activation: str = "relu", num_features: int = 3, num_classes: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Linear(num_features, width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.activation = make_activation(activation)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, sequence: Sequence) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(sequence))

    def embed(self, sequence: Sequence) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        x = self.activation(self.embedding(sequence.feature))
        z = attention_weights(self.query(x), self.key(x), sequence.mask) @ self.value(x)
        hits = self.activation(x + z) * sequence.mask.unsqueeze(2)
        return hits.sum(1) / sequence.mask.sum(1, keepdim=True).clamp(min=1)

    def attention(self, sequence: Sequence) -> Float[Tensor, "event hit"]:
        """How much the hits of an event attend to each of them, on the average; 0 where there is no hit."""
        x = self.activation(self.embedding(sequence.feature))
        weight = attention_weights(self.query(x), self.key(x), sequence.mask) * sequence.mask.unsqueeze(2)
        return weight.sum(1) / sequence.mask.sum(1, keepdim=True).clamp(min=1)


def attention_weights(
    query: Float[Tensor, "event hit width"], key: Float[Tensor, "event hit width"], mask: Bool[Tensor, "event hit"]
) -> Float[Tensor, "event hit hit"]:
    """a_ij = exp(s_ij) / sum_j exp(s_ij), with s_ij = q_i . k_j / sqrt(width).

    The sum is over the hits j of the event of i. An event without a hit has equal weights, which keeps gradients
    finite.
    """
    similarity = query @ key.transpose(1, 2) / query.shape[2] ** 0.5
    return similarity.masked_fill(~mask.unsqueeze(1), torch.finfo(similarity.dtype).min).softmax(dim=2)
