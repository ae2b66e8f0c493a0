"""Self-attention is its formula, event by event and hit by hit."""

import torch
from torch import Tensor

from cdmtrain.batch import Sequence
from cdmtrain.model.self_attention import SelfAttention


def formula(net: SelfAttention, sequence: Sequence) -> Tensor:
    means = []
    for feature, mask in zip(sequence.feature, sequence.mask, strict=True):
        x = [(net.embedding.weight @ hit + net.embedding.bias).clamp(min=0) for hit in feature[mask]]
        rows = []
        for own in x:
            similarity = [(net.query.weight @ own) @ (net.key.weight @ other) / 8**0.5 for other in x]
            weight = [s.exp() / sum(t.exp() for t in similarity) for s in similarity]
            z = sum(a * (net.value.weight @ other) for a, other in zip(weight, x, strict=True))
            rows.append((own + z).clamp(min=0))
        means.append(torch.stack(rows).mean(0) if rows else net.embedding.bias.new_zeros(8))
    return torch.stack(means) @ net.linear.weight.T + net.linear.bias


def test_logits_and_gradients_are_those_of_the_formula(sequence, drawn, assert_equal_with_gradients):
    net = drawn(SelfAttention(width=8))
    assert_equal_with_gradients(net(sequence), formula(net, sequence), sequence.feature, *net.parameters())


def test_logits_do_not_depend_on_the_order_of_hits(sequence, permuted):
    torch.manual_seed(1)
    net = SelfAttention(width=8).double()
    torch.testing.assert_close(net(permuted(sequence)), net(sequence))


def test_logits_do_not_depend_on_padding(sequence, padded):
    torch.manual_seed(1)
    net = SelfAttention(width=8).double()
    torch.testing.assert_close(net(padded(sequence, value=7.0)), net(sequence))
