"""One layer of self-attention, written out as the lecture's formula: similarity, softmax, weighted sum."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cdmtrain.batch import Sequence


class SelfAttention(nn.Module):
    """Each hit becomes a weighted sum of all hits of its event; their mean says what the particle is.

    x_i = ReLU(W_e f_i + b_e), query W_q x_i, key W_k x_i, value W_v x_i; then z_i as `self_attention` has it, the mean
    of ReLU(x_i + z_i) over the hits, one linear layer. `model=transformer` adds heads, layers and normalisation. An
    event without a hit has a mean of zeros.

    Args:
        width: numbers that describe a hit.
        num_features: features of a hit as the representation gives them.
        num_classes: number of logits C.

    Shapes: Sequence with feature (B, L, F), mask (B, L) -> (B, C).
    """

    def __init__(self, *, width: int, num_features: int = 3, num_classes: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Linear(num_features, width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.linear = nn.Linear(width, num_classes)

    def forward(self, sequence: Sequence) -> Float[Tensor, "event class"]:
        x = self.embedding(sequence.feature).relu()
        z = self_attention(self.query(x), self.key(x), self.value(x), sequence.mask)
        hits = (x + z).relu() * sequence.mask.unsqueeze(2)
        return self.linear(hits.sum(1) / sequence.mask.sum(1, keepdim=True).clamp(min=1))


def self_attention(
    query: Float[Tensor, "event place width"],
    key: Float[Tensor, "event place width"],
    value: Float[Tensor, "event place width"],
    mask: Bool[Tensor, "event place"],
) -> Float[Tensor, "event place width"]:
    """z_i = sum_j a_ij v_j (arXiv:1706.03762, eq. 1), over the hits j of the event that i belongs to.

    Similarity s_ij = q_i . k_j / sqrt(width), weights a_ij = exp(s_ij) / sum_j exp(s_ij). Without a hit the weights are
    equal, for no number is to be infinite.
    """
    similarity = query @ key.transpose(1, 2) / query.shape[2] ** 0.5
    weight = similarity.masked_fill(~mask.unsqueeze(1), torch.finfo(similarity.dtype).min).softmax(dim=2)
    return weight @ value
