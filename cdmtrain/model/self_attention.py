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
from cdmtrain.layers.by_length import encode_by_length
from cdmtrain.layers.one_pass import fits_float32
from cdmtrain.layers.ragged_attention import ragged_attention

NUM_GROUPS = {"cpu": 8, "gpu": 1}  # events of similar length are computed together; each group costs a GPU 50 kernels
MAX_WEIGHTS = 2**24  # of attention in memory at once, where they are shown: 64 MB


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
        if fits_float32(sequence.feature):
            return self._mean_of_rows(sequence)
        num_groups = NUM_GROUPS["cpu" if sequence.mask.device.type == "cpu" else "gpu"]
        return encode_by_length(self._mean, sequence, num_groups=num_groups)

    def _mean(self, sequence: Sequence) -> Float[Tensor, "event width"]:
        x, mask = self.activation(self.embedding(sequence.feature)), sequence.mask
        seen = mask | (mask.sum(1, keepdim=True) == 0)  # an event without a hit sees its padding: gradients stay finite
        query, key, value = (layer(x).unsqueeze(1) for layer in (self.query, self.key, self.value))
        z = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None]).squeeze(1)
        hits = self.activation(x + z) * mask.unsqueeze(2)
        return hits.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

    def _mean_of_rows(self, sequence: Sequence) -> Float[Tensor, "event width"]:
        """The same without padding."""
        number = sequence.mask.sum(1)
        begin = nn.functional.pad(number.cumsum(0), (1, 0)).numpy()
        x = self.activation(self.embedding(sequence.feature[sequence.mask]))
        weight = torch.cat([layer.weight for layer in (self.query, self.key, self.value)])
        hits = self.activation(x + ragged_attention(x @ weight.t(), begin, heads=1))
        event = torch.arange(len(number)).repeat_interleave(number)
        return x.new_zeros(len(number), x.shape[1]).index_add(0, event, hits) / number.clamp(min=1).unsqueeze(1)

    def attention(self, sequence: Sequence) -> Float[Tensor, "event hit"]:
        """How much the hits of an event attend to each of them, on the average; 0 where there is no hit."""
        x = self.activation(self.embedding(sequence.feature))
        query, key, mask = self.query(x), self.key(x), sequence.mask
        rows = max(1, MAX_WEIGHTS // mask.numel())
        given = [
            (attention_weights(some, key, mask) * seen.unsqueeze(2)).sum(1)
            for some, seen in zip(query.split(rows, 1), mask.split(rows, 1), strict=True)
        ]
        return torch.stack(given).sum(0) / mask.sum(1, keepdim=True).clamp(min=1)


def attention_weights(
    query: Float[Tensor, "event row width"], key: Float[Tensor, "event hit width"], mask: Bool[Tensor, "event hit"]
) -> Float[Tensor, "event row hit"]:
    """a_ij = exp(s_ij) / sum_j exp(s_ij), with s_ij = q_i . k_j / sqrt(width).

    The sum is over the hits j of the event of i. An event without a hit has equal weights.
    """
    similarity = query @ key.transpose(1, 2) / query.shape[2] ** 0.5
    return similarity.masked_fill(~mask.unsqueeze(1), torch.finfo(similarity.dtype).min).softmax(dim=2)
