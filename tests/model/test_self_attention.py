"""Self-attention is its formula, event by event."""

import torch
from torch import Tensor

from cdmtrain.batch import Sequence
from cdmtrain.model.self_attention import SelfAttention


def formula(net: SelfAttention, sequence: Sequence) -> Tensor:
    means = []
    for feature, mask in zip(sequence.feature, sequence.mask, strict=True):
        x = (feature[mask] @ net.embedding.weight.T + net.embedding.bias).clamp(min=0)
        query, key, value = (x @ layer.weight.T for layer in (net.query, net.key, net.value))
        similarity = (query @ key.T / 8**0.5).exp()
        z = similarity / similarity.sum(1, keepdim=True) @ value
        means.append((x + z).clamp(min=0).mean(0) if mask.any() else x.new_zeros(8))
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
